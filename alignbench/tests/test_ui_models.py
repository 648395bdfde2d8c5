"""What the page offers, and what stays in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from alignbench.errors import ConfigError
from alignbench.experiments.trained import SOLVED_SPLITS
from alignbench.types import ModelInfo
from alignbench.ui.models import LOADED, SUITES, Chooser, Loaded, Suites

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
    offered = {name: shown for shown, name in Chooser().encoders()}
    assert offered["mini-clip"] == "mini-clip (built-in toy model)"
    assert offered["random-vit"] == "random-vit (untrained)"
    assert "not at hand" in offered["clip"]


def test_the_embedded_models_are_chosen_at_first() -> None:
    defaults = Chooser().defaults()
    assert defaults["encoders"] == ["mini-clip", "mini-siglip", "mini-dinov2", "random-vit"]
    assert defaults["llms"] == ["mini-llama"]


@pytest.mark.parametrize(
    "spec", ["../elsewhere", "~/model", "hf:org/name", "npy:x.npy", "mine=mini-clip", "clpi"]
)
def test_a_browser_can_name_nothing_that_is_not_offered(spec: str) -> None:
    with pytest.raises(ConfigError, match="is not on the list"):
        Chooser().options({"encoders": [spec], "llms": ["mini-llama"]})
    with pytest.raises(ConfigError, match="is not on the list"):
        Chooser().options({"encoders": ["mini-clip"], "llms": [spec]})


def test_splits_that_are_left_out_are_those_of_the_command() -> None:
    pytest.importorskip("gradio", reason="the extra `ui` is not installed")
    from alignbench.ui import fields

    built = {field.name: field for field in fields.build("training", fields.Offer([], [], [], {}))}
    splits, chooser = built["splits"], Chooser()
    names = {"encoders": ["mini-clip"], "llms": ["mini-llama"]}
    solved = {"splits": SOLVED_SPLITS}
    assert splits.read(splits.component.value) is None
    found = chooser.options({**names, "splits": splits.read("")})
    assert (found.splits, found.with_defaults(solved).splits) == (5, SOLVED_SPLITS)
    assert f"solved: {SOLVED_SPLITS}" in splits.component.info
    found = chooser.options({**names, "splits": splits.read("12")})
    assert (found.splits, found.with_defaults(solved).splits) == (12, 12)
    for given in ("1", "41", "many", "2.5"):
        with pytest.raises(ConfigError, match=r"splits: expected"):
            chooser.options({**names, "splits": splits.read(given)})


def test_the_page_asks_for_neighbours_as_the_options_do() -> None:
    pytest.importorskip("gradio", reason="the extra `ui` is not installed")
    from alignbench.experiments.layouts import Reach
    from alignbench.ui import fields

    _, perplexity, neighbors = fields.build("methods", fields.Offer([], [], [], {}))
    assert (perplexity.name, neighbors.name) == ("perplexity", "neighbors")
    chooser, names = Chooser(), {"encoders": ["mini-clip"], "llms": ["mini-llama"]}

    def asked(p: Any, n: Any) -> Reach:
        return chooser.options(
            {**names, "perplexity": perplexity.read(p), "neighbors": neighbors.read(n)}
        ).reach

    assert asked("", None) == Reach()
    assert asked(" 12.5 ", "7") == Reach(12.5, 7)
    command = chooser.command("embedding", {**names, "perplexity": 12.5, "neighbors": None})
    assert command.endswith("--perplexity 12.5")
    for p, n, says in (
        ("many", "", "Perplexity of t-SNE: expected a number or nothing, got 'many'"),
        ("", "1.5", "Neighbours of UMAP: expected a whole number or nothing, got '1.5'"),
        ("nan", "", "--align-perplexity: expected a number from 1 on, got nan"),
        ([3], {}, "Perplexity of t-SNE: expected a number or nothing"),
        ("", "1", "--align-neighbors: expected at least 2, got 1"),
    ):
        with pytest.raises(ConfigError, match=says):
            asked(p, n)


def test_a_reserved_type_is_refused_and_rows_without_types_offer_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {"encoders": ["mini-clip"], "llms": ["mini-llama"]}
    with pytest.raises(ConfigError, match="--data-types: 'all' is reserved"):
        Chooser().options({**names, "data_types": ["chart", "all"]})
    monkeypatch.delenv("VLM_DATA_ROOT", raising=False)
    monkeypatch.chdir(tmp_path)
    for name in ("v", "t"):
        np.save(f"{name}.npy", np.random.default_rng(0).standard_normal((9, 4)).astype(np.float32))
    given = {"encoders": ["npy:v.npy"], "llms": ["npy:t.npy"]}
    assert Chooser(given).data_types() == []
    (tmp_path / "labels.txt").write_text("\n".join("abcabcabc"))
    assert Chooser({**given, "labels": "labels.txt"}).data_types() == ["a", "b", "c"]


@pytest.mark.parametrize("types", [[], ["chart", "table"]])
def test_types_can_be_chosen_where_there_are_some(types: list[str]) -> None:
    pytest.importorskip("gradio")
    from alignbench.ui.fields import Offer, build

    fields = [field.name for field in build("data", Offer([], [], types, Chooser().defaults()))]
    assert fields == [*(["data_types"] if types else []), "n_samples", "seed"]


def test_what_the_command_names_is_offered_and_chosen() -> None:
    chooser = Chooser({"encoders": ["mine=mini-clip"]})
    assert chooser.encoders()[0][1] == "mine=mini-clip"
    assert chooser.defaults()["encoders"] == ["mine=mini-clip"]
    assert chooser.options({"encoders": ["mine=mini-clip"], "llms": ["mini-llama"]}).encoders == (
        "mine=mini-clip",
    )


def test_no_model_is_one_clear_line() -> None:
    with pytest.raises(ConfigError, match="choose at least one LLM"):
        Chooser().options({"encoders": ["mini-clip"], "llms": []})


def test_the_command_says_what_was_chosen() -> None:
    chosen = {"encoders": ["mini-clip", "mini-dinov2"], "n_samples": 10, "prompts": ["a dog"]}
    command = Chooser({"device": "cpu"}).command("attention", chosen)
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
    words = Chooser().command("e2e", chosen).split()[1:]
    given = build_parser().parse_args(words)
    assert (given.encoders, given.n_samples, given.losses) == (["mini-clip"], 10, ["mse"])


def test_a_model_is_loaded_once_for_two_clicks() -> None:
    loaded, model = Loaded(), FakeModel("a")
    model_again: Any = FakeModel("a", model.loads)
    first: Any = model
    assert loaded.get(first, "cpu", "auto") is loaded.get(model_again, "cpu", "auto")
    assert model.loads == ["a"]


def test_only_so_many_models_stay_in_memory() -> None:
    loaded = Loaded()
    models: list[Any] = [FakeModel(str(i)) for i in range(LOADED + 2)]
    for model in models:
        loaded.get(model, "cpu", "auto")
        assert sum(one.loaded for one in models) <= LOADED
    assert models[-1].loaded
    loaded.clear()
    assert not any(model.loaded for model in models)


def test_a_large_model_does_not_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    from alignbench.ui import models

    monkeypatch.setattr(models, "loaded_bytes", lambda model: models.LOADED_BYTES + 1)
    loaded, model = Loaded(), FakeModel("large")
    given: Any = model
    loaded.get(given, "cpu", "auto")
    loaded.tidy()
    assert not model.loaded


def test_other_epochs_keep_the_embeddings_and_other_samples_do_not() -> None:
    chooser, suites = Chooser(), Suites()
    chosen: dict[str, Any] = {"encoders": ["mini-clip"], "llms": ["mini-llama"], "n_samples": 10}
    first = suites.get(chooser.options(chosen))
    assert suites.get(chooser.options({**chosen, "epochs": 7})) is first
    assert suites.get(chooser.options({**chosen, "n_samples": 11})) is not first
    suites.forget(first)
    assert suites.get(chooser.options(chosen)) is not first


def test_only_so_many_selections_stay() -> None:
    chooser, suites = Chooser(), Suites()
    chosen: dict[str, Any] = {"encoders": ["mini-clip"], "llms": ["mini-llama"]}
    first = suites.get(chooser.options({**chosen, "n_samples": 1}))
    for n in range(2, SUITES + 2):
        suites.get(chooser.options({**chosen, "n_samples": n}))
    assert suites.get(chooser.options({**chosen, "n_samples": 1})) is not first
