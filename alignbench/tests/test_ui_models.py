"""What the page offers, and what stays in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from alignbench.errors import ConfigError
from alignbench.experiments.repeats import SOLVED_SPLITS
from alignbench.types import ModelInfo
from alignbench.ui.menu import Choices, Menu
from alignbench.ui.models import LOADED, SESSIONS, RecentModels, Sessions

if TYPE_CHECKING:
    from pathlib import Path


@dataclass
class FakeSource:
    def local(self, wanted: object) -> None:
        return None


@dataclass
class FakeModel:
    name: str
    loads: list[str] = field(default_factory=list)
    loaded: bool = False
    source: FakeSource = field(default_factory=FakeSource)
    wanted: None = None

    @property
    def info(self) -> ModelInfo:
        return ModelInfo(self.name, "vision", "clip", "here", "custom")

    def load(self, device: str, dtype: str) -> None:
        self.loads.append(self.name)
        self.loaded = True

    def unload(self) -> None:
        self.loaded = False


def test_names_without_weights_are_marked() -> None:
    offered = {name: shown for shown, name in Menu().encoders()}
    assert offered["mini-clip"] == "mini-clip (toy)"
    assert offered["random-vit"] == "random-vit (untrained)"
    assert "not at hand" in offered["clip"]


def test_the_embedded_models_are_chosen_at_first() -> None:
    defaults = Menu().defaults()
    assert defaults["encoders"] == ["mini-clip", "mini-siglip", "mini-dinov2", "random-vit"]
    assert defaults["llms"] == ["mini-llama"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "spec", ["../elsewhere", "~/model", "hf:org/name", "npy:x.npy", "mine=mini-clip", "clpi"]
)
def test_a_browser_can_name_nothing_that_is_not_offered(spec: str) -> None:
    with pytest.raises(ConfigError, match="is not on the list"):
        Menu().options({"encoders": [spec], "llms": ["mini-llama"]})
    with pytest.raises(ConfigError, match="is not on the list"):
        Menu().options({"encoders": ["mini-clip"], "llms": [spec]})


def test_splits_that_are_left_out_are_those_of_the_command() -> None:
    pytest.importorskip("gradio", reason="the extra `ui` is not installed")
    from alignbench.ui import fields

    [splits] = fields.build("splits", Choices([], [], [], {}))
    menu = Menu()
    names = {"encoders": ["mini-clip"], "llms": ["mini-llama"]}
    solved = {"splits": SOLVED_SPLITS}
    assert splits.read(splits.component.value) is None
    found = menu.options({**names, "splits": splits.read("")})
    assert (found.splits, found.with_defaults(solved).splits) == (5, SOLVED_SPLITS)
    assert f"{SOLVED_SPLITS} if the projector is solved" in splits.component.info
    found = menu.options({**names, "splits": splits.read("12")})
    assert (found.splits, found.with_defaults(solved).splits) == (12, 12)
    for given in ("1", "41", "many", "2.5"):
        with pytest.raises(ConfigError, match=r"splits: expected"):
            menu.options({**names, "splits": splits.read(given)})


def test_the_page_asks_for_neighbours_as_the_options_do() -> None:
    pytest.importorskip("gradio", reason="the extra `ui` is not installed")
    from alignbench.experiments.layouts import Reach
    from alignbench.ui import fields

    [perplexity] = fields.build("perplexity", Choices([], [], [], {}))
    [neighbors] = fields.build("neighbors", Choices([], [], [], {}))
    assert (perplexity.name, neighbors.name) == ("perplexity", "neighbors")
    menu, names = Menu(), {"encoders": ["mini-clip"], "llms": ["mini-llama"]}

    def asked(p: Any, n: Any) -> Reach:
        return menu.options({**names, "perplexity": perplexity.read(p), "neighbors": neighbors.read(n)}).reach

    assert asked("", None) == Reach()
    assert asked(" 12.5 ", "7") == Reach(12.5, 7)
    command = menu.command("embedding", {**names, "perplexity": 12.5, "neighbors": None})
    assert command.endswith("--perplexity 12.5")
    for p, n, says in (
        ("many", "", "Perplexity of t-SNE: expected a number or nothing, got 'many'"),
        ("", "1.5", "Neighbours of UMAP: expected a whole number or nothing, got '1.5'"),
        ("nan", "", "Perplexity of t-SNE: expected a number from 1 on, got nan"),
        ([3], {}, "Perplexity of t-SNE: expected a number or nothing"),
        ("", "1", "Neighbours of UMAP: expected at least 2, got 1"),
    ):
        with pytest.raises(ConfigError, match=says):
            asked(p, n)


def test_a_reserved_type_is_refused_and_rows_without_types_offer_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {"encoders": ["mini-clip"], "llms": ["mini-llama"]}
    with pytest.raises(ConfigError, match="Data types: 'all' is reserved"):
        Menu().options({**names, "data_types": ["chart", "all"]})
    monkeypatch.delenv("VLM_DATA_ROOT", raising=False)
    monkeypatch.chdir(tmp_path)
    for name in ("v", "t"):
        np.save(f"{name}.npy", np.random.default_rng(0).standard_normal((9, 4)).astype(np.float32))
    given = {"encoders": ["npy:v.npy"], "llms": ["npy:t.npy"]}
    assert Menu(given).data_types() == []
    (tmp_path / "labels.txt").write_text("\n".join("abcabcabc"))
    assert Menu({**given, "labels": "labels.txt"}).data_types() == ["a", "b", "c"]


@pytest.mark.parametrize("types", [[], ["chart", "table"]])
def test_types_can_be_chosen_where_there_are_some(types: list[str]) -> None:
    pytest.importorskip("gradio")
    from alignbench.ui.fields import build

    fields = [field.name for field in build("data", Choices([], [], types, Menu().defaults()))]
    assert fields == [*(["data_types"] if types else []), "n_samples", "seed"]


def test_what_the_command_names_is_offered_and_chosen() -> None:
    menu = Menu({"encoders": ["mine=mini-clip"]})
    assert menu.encoders()[0][1] == "mine=mini-clip"
    assert menu.defaults()["encoders"] == ["mine=mini-clip"]
    assert menu.options({"encoders": ["mine=mini-clip"], "llms": ["mini-llama"]}).encoders == (
        "mine=mini-clip",
    )


def test_no_model_is_one_clear_line() -> None:
    with pytest.raises(ConfigError, match="choose at least one LLM"):
        Menu().options({"encoders": ["mini-clip"], "llms": []})


def test_the_command_says_what_was_chosen() -> None:
    chosen = {"encoders": ["mini-clip", "mini-dinov2"], "n_samples": 10, "prompts": ["a dog"]}
    command = Menu({"device": "cpu"}).command("attention", chosen)
    assert command.startswith("alignbench attention --encoders mini-clip mini-dinov2 --n-samples 10")
    assert "--device cpu" in command
    assert command.endswith("--prompt 'a dog'")


def test_a_command_of_the_page_is_one_of_the_command_line() -> None:
    from alignbench.cli.main import build_parser

    chosen = {
        "encoders": ["mini-clip"],
        "llms": ["mini-llama"],
        "n_samples": 10,
        "seed": 1,
        "losses": ["mse"],
    }
    words = Menu().command("e2e", chosen).split()[1:]
    given = build_parser().parse_args(words)
    assert (given.encoders, given.n_samples, given.losses) == (["mini-clip"], 10, ["mse"])


def test_a_model_is_loaded_once_for_two_clicks() -> None:
    loaded, model = RecentModels(), FakeModel("a")
    model_again: Any = FakeModel("a", model.loads)
    first: Any = model
    assert loaded.get(first, "cpu", "auto") is loaded.get(model_again, "cpu", "auto")
    assert model.loads == ["a"]


def test_only_so_many_models_stay_in_memory() -> None:
    loaded = RecentModels()
    models: list[Any] = [FakeModel(str(i)) for i in range(LOADED + 2)]
    for model in models:
        loaded.get(model, "cpu", "auto")
        assert sum(one.loaded for one in models) <= LOADED
    assert models[-1].loaded
    loaded.clear()
    assert not any(model.loaded for model in models)


def test_a_large_model_does_not_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    from alignbench.ui import models

    monkeypatch.setattr(models, "bytes_of", lambda model: models.LOADED_BYTES + 1)
    loaded, model = RecentModels(), FakeModel("large")
    given: Any = model
    loaded.get(given, "cpu", "auto")
    loaded.tidy()
    assert not model.loaded


def test_other_epochs_keep_the_embeddings_and_other_samples_do_not() -> None:
    menu, sessions = Menu(), Sessions()
    chosen: dict[str, Any] = {"encoders": ["mini-clip"], "llms": ["mini-llama"], "n_samples": 10}
    first = sessions.get(menu.options(chosen))
    assert sessions.get(menu.options({**chosen, "epochs": 7})) is first
    assert sessions.get(menu.options({**chosen, "n_samples": 11})) is not first
    sessions.forget(first)
    assert sessions.get(menu.options(chosen)) is not first


def test_only_so_many_selections_stay() -> None:
    menu, sessions = Menu(), Sessions()
    chosen: dict[str, Any] = {"encoders": ["mini-clip"], "llms": ["mini-llama"]}
    first = sessions.get(menu.options({**chosen, "n_samples": 1}))
    for n in range(2, SESSIONS + 2):
        sessions.get(menu.options({**chosen, "n_samples": n}))
    assert sessions.get(menu.options({**chosen, "n_samples": 1})) is not first
