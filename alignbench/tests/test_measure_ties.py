"""The measurement of ties: it sees what Holm's rule does wrong, and keeps to its own section of the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from alignbench.stats import joint_of_deletions, tie_groups
from alignbench.workshop.measure import ties
from alignbench.workshop.measure.calibration import PAGE
from alignbench.workshop.sections import template, with_section, with_sections_of

if TYPE_CHECKING:
    from pathlib import Path


def someone_apart(first: Any, _: Any) -> list[Any]:
    return [~first.all(axis=1)]


@pytest.mark.slow
def test_holms_rule_tells_equal_encoders_apart_too_often_and_ours_does_not() -> None:
    [[before], [now]] = ties.shares(ties.WORLDS[0], 60, [0.0] * 10, 400, someone_apart)
    assert before > 0.09
    assert now == pytest.approx(0.05, abs=0.035)


def test_of_two_encoders_both_rules_are_the_same() -> None:
    [[before], [now]] = ties.shares(ties.WORLDS[0], 60, [2.0, 0.0], 100, someone_apart)
    assert 0.2 < before == now < 0.8


@pytest.mark.parametrize("world", [*ties.WORLDS, *ties.HARDER], ids=lambda world: world.title)
def test_worlds_are_of_mean_0_and_correlate_as_they_say(world: ties.ValueModel) -> None:
    values: Any = world.draw(np.random.default_rng(0), 40_000, 4)
    correlations = np.corrcoef(values.T)
    assert values.mean(axis=0) == pytest.approx(np.zeros(4), abs=0.05)
    assert correlations[0, 1] == pytest.approx(0.95**0.5 if world.twins else world.correlation, abs=0.03)
    assert correlations[1, 2] == pytest.approx(world.correlation, abs=0.03)
    assert values.std(axis=0)[[0, -1]] == pytest.approx([1 / world.spread, world.spread], rel=0.05)


@pytest.mark.parametrize("gap", [0.0, 3.0])
def test_many_draws_at_once_are_decided_as_the_suite_decides_each(gap: float) -> None:
    rng = np.random.default_rng(1)
    blocks: Any = rng.normal(size=(60, 30, 6)) * np.geomspace(0.5, 2, 6)
    blocks[:, :, :2] += gap / 30**0.5
    names = [str(i) for i in range(6)]
    everyone = np.ones((60, 6), dtype=bool)
    for rule, least in zip((ties.by_holm, tie_groups), ties.rules(6, 29), strict=True):
        first = ties.first_group(blocks, everyone, least)
        second = ties.first_group(blocks, ~first, least) & ~first
        for draw, *masks in zip(blocks, first, second, strict=True):
            without = (draw.sum(axis=0) - draw) / 29
            joint = joint_of_deletions({name: without[:, i].tolist() for i, name in enumerate(names)})
            groups = rule(dict(zip(names, draw.mean(axis=0).tolist(), strict=True)), joint)
            expected = [{int(name) for name in group} for group in [*groups, []][:2]]
            assert [set(np.flatnonzero(mask).tolist()) for mask in masks] == expected


@pytest.mark.slow
def test_encoders_that_see_a_text_equally_well_are_drawn() -> None:
    assert ties.real(4).shape == (2, 1)


def test_the_command_writes_its_own_section_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("equal", "power", "clusters"):
        monkeypatch.setattr(ties, name, lambda draws, name=name: f"{name} of {draws}")
    page = tmp_path / "page.md"
    page.write_text("# Page\n\nText.\n\n<!-- begin other -->\n## Other\n<!-- end other -->\n")
    ties.main(["--out", str(page), "--draws", "7"])
    ties.main(["--out", str(page), "--draws", "8"])
    text = page.read_text()
    assert text.startswith("# Page\n\nText.\n\n<!-- begin other -->\n## Other\n<!-- end other -->\n")
    assert text.count("## Which encoders tie") == 1
    assert "equal of 8\n" in text
    assert "of 7" not in text


def test_sections_stay_where_the_page_is_written_anew() -> None:
    before = with_section(with_section("# Old\n", "one", "## One"), "two", "## Two")
    after = with_sections_of("# New\n", before)
    assert after == (
        "# New\n\n<!-- begin one -->\n## One\n<!-- end one -->\n"
        "\n<!-- begin two -->\n## Two\n<!-- end two -->\n"
    )
    assert with_section(after, "one", "## 1") == after.replace("## One", "## 1")


def test_the_page_in_the_docs_has_the_section_of_this_code() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert "<!-- begin ties -->\n## Which encoders tie\n" in text
    for paragraph in template("ties").split("\n\n"):
        if "{" not in paragraph:
            assert paragraph.strip() in text
    for count in ties.COUNTS:
        assert f"| {count} encoders, correlation 0.9 |" in text
