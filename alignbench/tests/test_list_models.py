"""`alignbench list` of models: what it knows without a network, and that it is what the networks have."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from alignbench import encoders, llms
from alignbench.cli import listing, main
from alignbench.config import load_config
from alignbench.weights import hub
from alignbench.weights.facts import TABLE, Facts, facts_of_files, published
from alignbench.workshop.measure.facts import networks

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

COLUMNS = 120  # of a terminal


def rows_of(lines: list[str]) -> dict[str, list[str]]:
    return {line.split()[0]: line.split() for line in lines if line and not line.startswith("-")}


def test_every_named_model_has_facts_and_every_fact_has_its_origin() -> None:
    config = load_config()
    table: dict[str, dict[str, Any]] = json.loads(TABLE.read_text(encoding="utf-8"))
    assert set(table) == {*config.encoders.values(), *config.llms.values()} == set(networks())
    for repository, known in table.items():
        facts = published(repository)
        assert facts.width, repository
        assert facts.parameters, repository
        looked_up = {name for name in ("download", "licence") if known[name] is not None}
        assert set(known["from"]) == looked_up, repository
    assert published("org/other") == Facts()


@pytest.mark.slow
@pytest.mark.parametrize(
    "repository",
    [
        "openai/clip-vit-base-patch32",
        "facebook/dinov2-base",
        "timm/eva02_base_patch16_clip_224.merged2b",
        "google/gemma-3-270m",
    ],
)
def test_recorded_facts_are_those_of_the_network(repository: str) -> None:
    facts = published(repository)
    assert networks()[repository].counted() == (facts.width, facts.parameters)


def test_a_vision_transformer_counted_by_hand() -> None:
    width, hidden, layers, patches = 768, 3072, 12, 7 * 7
    block = 4 * width * (width + 1) + width * hidden + hidden + hidden * width + width + 4 * width
    stem = 3 * 32 * 32 * width + width + (patches + 1) * width
    assert published("openai/clip-vit-base-patch32").parameters == stem + layers * block + 4 * width


@pytest.mark.slow
def test_the_tables_fit_a_terminal_and_need_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "list_files", lambda *_, **__: pytest.fail("the Hub was asked"))
    for lines in (listing.encoders(), listing.llms()):
        assert max(map(len, lines)) <= COLUMNS
    rows = rows_of(listing.encoders())
    assert rows["clip"][1:] == ["clip", "768", "87M", "605", "MB", "—", "no", "openai/clip-vit-base-patch32"]
    assert rows["mini-clip"][6:9] == ["apache-2.0", "yes", "built-in"]
    assert rows_of(listing.llms())["llama3.2"][2:7] == ["3072", "3.2B", "6.4", "GB", "llama3.2"]


def test_names_of_the_user_have_facts_too(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    folders: Callable[[str], Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = folders("clip")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "alignbench.yaml").write_text(
        f"vision_encoders:\n  again: facebook/dinov2-base\n  mine: {folder}\n  gone: ./nowhere\n",
        encoding="utf-8",
    )
    assert main(["list", "encoders"]) == 0
    rows = rows_of(capsys.readouterr().out.splitlines())
    assert rows["again"][2:8] == ["768", "87M", "346", "MB", "apache-2.0", "no"]
    assert rows["mine"][-2:] == ["yes", str(folder)]
    assert "there is no model folder ./nowhere" in " ".join(rows["gone"])


def test_a_folder_says_what_it_holds(folders: Callable[[str], Path], tmp_path: Path) -> None:
    from safetensors.torch import load_file
    from transformers import CLIPModel

    folder = folders("clip")
    files, config = (folder / "model.safetensors",), json.loads((folder / "config.json").read_bytes())
    network = CLIPModel.from_pretrained(folder)
    for side, part in (("vision", network.vision_model), ("text", network.text_model)):
        facts = facts_of_files(files, config, side)  # type: ignore[arg-type]
        assert facts.width == config[f"{side}_config"]["hidden_size"]
        counted = sum(weight.numel() for weight in part.parameters())
        # The projections to the shared space, and the logit scale, stand beside the towers.
        beside = sum(value.numel() for value in load_file(files[0]).values()) - sum(
            weight.numel()
            for tower in (network.vision_model, network.text_model)
            for weight in tower.parameters()
        )
        assert facts.parameters is not None
        assert counted <= facts.parameters <= counted + beside
    assert facts.size == files[0].stat().st_size
    assert facts.licence is None


@pytest.mark.parametrize(("family", "side"), [("siglip", "vision"), ("llama", "text"), ("internlm2", "text")])
def test_a_head_that_predicts_does_not_count_and_one_that_pools_does(
    family: str, side: str, folders: Callable[[str], Path]
) -> None:
    folder = folders(family)
    model: Any = (encoders if side == "vision" else llms).resolve(str(folder))
    model.load("cpu", "float32")
    network = model.running().model.model
    config = json.loads((folder / "config.json").read_bytes())
    facts = facts_of_files((folder / "model.safetensors",), config, side)  # type: ignore[arg-type]
    assert facts.parameters == sum(weight.numel() for weight in network.parameters())


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ("---\nlicense: mit\n---\n# A model", "mit"),
        ("---\nlanguage: en\nlicense: cc-by-4.0\ntags:\n- a\n---\n", "cc-by-4.0"),
        ("# A model\n\nlicense: mit\n", None),
        ("---\nlanguage: en\n---\nlicense: mit\n---\n", None),
        ("---\nlicense: mit", None),
    ],
)
def test_a_licence_is_read_from_the_front_of_the_card(
    tmp_path: Path, folders: Callable[[str], Path], card: str, licence: str | None
) -> None:
    (tmp_path / "model.safetensors").write_bytes((folders("clip") / "model.safetensors").read_bytes())
    (tmp_path / "README.md").write_text(card, encoding="utf-8")
    assert facts_of_files((tmp_path / "model.safetensors",), {}, "vision").licence == licence
