"""The named encoders, and whether the page about models says what the code says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import alignbench
from alignbench.config import load_config
from alignbench.encoders import ENCODERS, resolve
from alignbench.encoders.families import BY_MODEL_TYPE, COMPARED

PAGE = Path(alignbench.__file__).parent / "docs" / "models.md"


def rows() -> dict[str, list[str]]:
    """Return the cells of the table of encoders, by name."""
    section = PAGE.read_text(encoding="utf-8").partition("\n## Encoders")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0].strip("`"): row[1:] for row in cells if len(row) == 5}


def test_every_configured_encoder_is_on_the_page_with_its_repository() -> None:
    repositories = load_config().encoders
    page = rows()
    assert {name: page[name][0].partition(" ")[0] for name in repositories} == dict(repositories)
    assert {*page} - {"hf:`, folders", "open_clip:", "timm:"} == {*ENCODERS.names()}


@pytest.mark.parametrize("name", sorted(load_config().encoders))
def test_a_named_encoder_is_of_the_family_on_the_page(name: str) -> None:
    _, family, default, poolings = rows()[name]
    model = resolve(name)
    assert model.info.family == family
    assert model.info.params["pooling"] == default
    known = getattr(model, "family").poolings  # noqa: B009
    assert set(poolings.split(", ")) <= set(known)


def test_the_page_lists_the_model_types_that_the_code_knows() -> None:
    section = PAGE.read_text(encoding="utf-8").partition("### Which models of transformers")[2]
    adapters, _, others = section.partition("\n### ")[0].partition("Every other vision model")
    named = set(re.findall(r"`([a-z0-9_]+)`", adapters))
    assert named == set(BY_MODEL_TYPE)
    tested = others.partition("The tests compare these")[2].partition("Others run")[0]
    assert set(re.findall(r"`([a-z0-9_]+)`", tested)) == set(COMPARED)
