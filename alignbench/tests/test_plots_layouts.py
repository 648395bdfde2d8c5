"""Figures of two dimensions: every point where it is, types by more than colour."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from alignbench.experiments.embedding.figures import (
    cross_modal_similarity,
    embedding_scatter,
    procrustes_overlay,
)
from alignbench.plots import FIGURES, FigureInputs, save
from alignbench.plots.style import type_looks
from alignbench.tests.figure_helpers import drawn, texts
from alignbench.tests.report_fakes import HOSTILE, make_inputs, make_score, make_spaces
from alignbench.types import Null

if TYPE_CHECKING:
    from pathlib import Path


OURS = ("embedding_scatter", "procrustes_overlay", "cross_modal_similarity")
MISSING: dict[str, Any] = {
    "status": "not_applicable",
    "reason": "x: expected at least 10 rows, got 9",
    "experiment": "embedding",
}


def points(ax: Any) -> dict[str, np.ndarray]:
    """Return colour of the face -> points, of the scatters in a panel."""
    from matplotlib.collections import PathCollection
    from matplotlib.colors import to_hex

    scatters: list[Any] = [c for c in ax.collections if isinstance(c, PathCollection)]
    return {to_hex(c.get_facecolor()[0]).upper(): np.asarray(c.get_offsets()) for c in scatters}


def test_each_sample_is_drawn_in_its_type_s_colour_and_marker() -> None:
    inputs = make_inputs(("a", "b"), ("l",))
    figure = drawn(embedding_scatter(inputs))
    assert [ax.get_title() for ax in figure.axes[:3]] == ["t-SNE", "UMAP", "PCA"]
    assert [ax.get_ylabel() for ax in figure.axes[::3]] == ["a", "b", "l"]
    looks = type_looks(("chart", "document", "table"))
    assert len({look.colour for look in looks.values()}) == len({look.marker for look in looks.values()}) == 3
    for ax, arrays in zip(figure.axes, inputs.artifacts["layout"], strict=True):
        shown = points(ax)
        for label, look in looks.items():
            expected = np.asarray(arrays["points"])[np.asarray(arrays["labels"]) == label]
            assert shown[look.colour.upper()] == pytest.approx(expected)


def test_types_keep_their_look_when_another_model_lacks_one() -> None:
    assert type_looks(("b", "a")) == type_looks(("a", "b", "a"))
    many = type_looks([f"type-{i:02}" for i in range(40)])
    assert len({(look.colour, look.marker) for look in many.values()}) == 40


def test_how_far_a_picture_can_be_believed_is_below_it() -> None:
    about: dict[str, Any] = {"experiment": "embedding", "variant": "pca", "chance": 0.511}
    scores = [
        make_score("trustworthiness", 0.8125, "a", None, **about),
        make_score("continuity", 0.75, "a", None, **about),
    ]
    figure = drawn(embedding_scatter(FigureInputs(scores, artifacts=make_spaces(("a",), ()))))
    assert [ax.get_xlabel() for ax in figure.axes] == ["", "", "T 0.812   C 0.750"]
    assert "chance is 0.511" in " ".join(figure.get_supxlabel().split())


@pytest.mark.parametrize("draw", [embedding_scatter, procrustes_overlay])
def test_a_panel_without_points_says_why(draw: Any) -> None:
    scores = [
        make_score("trustworthiness", None, "b", None, variant="pca", **MISSING),
        make_score("overlay_residual", None, "b", "l", **MISSING),
    ]
    figure = drawn(draw(FigureInputs(scores, artifacts=make_spaces(("a",), ("l",)))))
    written = " ".join(texts(figure)).replace("\n", " ")
    assert "n/a: x: expected at least 10 rows, got 9" in written
    assert drawn(draw(FigureInputs(scores))) is not None


def test_a_line_joins_each_image_with_its_own_text() -> None:
    from matplotlib.collections import LineCollection

    inputs = make_inputs(("a",), ("l",))
    [ax] = drawn(procrustes_overlay(inputs)).axes
    [arrays] = inputs.artifacts["overlay"]
    [lines] = [c for c in ax.collections if isinstance(c, LineCollection)]
    segments = np.asarray(lines.get_segments())
    assert segments[:, 0] == pytest.approx(np.asarray(arrays["x"]))
    assert segments[:, 1] == pytest.approx(np.asarray(arrays["y"]))
    assert ax.get_aspect() == 1.0
    labels = np.asarray(arrays["labels"])
    scatters: list[Any] = list(ax.collections[1:])
    hollow, filled = scatters[:3], scatters[3:]
    for kind, side in ((hollow, "y"), (filled, "x")):
        for scatter, label in zip(kind, ("chart", "document", "table"), strict=True):
            assert np.asarray(scatter.get_offsets()) == pytest.approx(
                np.asarray(arrays[side])[labels == label]
            )
    assert {tuple(scatter.get_facecolor()[0]) for scatter in hollow} == {(1.0, 1.0, 1.0, 1.0)}
    assert drawn(procrustes_overlay(inputs)).get_suptitle().startswith("Vision laid over text, on 45 pairs")


def test_the_residual_stands_beside_that_of_shuffled_pairs() -> None:
    null = Null("permutation", 1.02, 0.1, p=0.005, within_mean=0.5, within_p=0.3)
    score = make_score("overlay_residual", 0.4, "a", "l", experiment="embedding", null=null)
    [ax] = drawn(procrustes_overlay(FigureInputs([score], artifacts=make_spaces(("a",), ("l",))))).axes
    assert ax.get_xlabel() == "residual 0.400; shuffled pairs 1.020\np = 0.005; within types 0.300"


def test_cosines_share_one_scale_around_zero_and_name_own_texts() -> None:
    cross = np.array([[0.9, 0.2, -0.1], [0.4, 0.7, -0.3], [0.0, -0.2, 0.5]])
    about = {"name_x": np.array("a"), "name_y": np.array("l"), "labels": np.array(["c", "c", "d"])}
    arrays = {**about, "x": cross[:, :2], "y": cross[:, :2], "cross": cross}
    ax = drawn(cross_modal_similarity(FigureInputs(artifacts={"overlay": [arrays]}))).axes[0]
    assert ax.images[0].get_clim() == (-1, 1)
    assert ax.get_xlabel() == "own 0.700, type 0.300, others -0.150"


@pytest.mark.slow
@pytest.mark.parametrize("name", OURS)
def test_what_is_too_much_for_a_page_is_said(name: str) -> None:
    figure = drawn(FIGURES.get(name)(make_inputs([f"e{i}" for i in range(9)], [f"l{i}" for i in range(5)])))
    assert " of " in figure.get_supxlabel().splitlines()[-1]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Glyph .* missing from")
@pytest.mark.parametrize("name", OURS)
def test_hostile_types_are_drawn_as_text_and_the_legend_stays_on_the_page(name: str, tmp_path: Path) -> None:
    inputs = FigureInputs(artifacts=make_spaces(("a",), ("l",), types=HOSTILE))
    figure = drawn(FIGURES.get(name)(inputs))
    save(figure, tmp_path / name)
    assert not any(c in text for text in texts(figure) for c in "\x1b\u202e")
    for legend in figure.legends:
        box = legend.get_window_extent()
        assert box.x1 <= figure.bbox.x1 * 1.02


def test_thousands_of_points_are_drawn_smaller() -> None:
    few = drawn(embedding_scatter(FigureInputs(artifacts=make_spaces(("a",), (), n=30)))).axes[0]
    many = drawn(embedding_scatter(FigureInputs(artifacts=make_spaces(("a",), (), n=1000)))).axes[0]
    assert many.collections[0].get_sizes()[0] < few.collections[0].get_sizes()[0]  # type: ignore[attr-defined]
