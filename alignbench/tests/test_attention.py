"""The attention experiment: its scores, its maps, its options and figures."""

from __future__ import annotations

import contextlib
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from alignbench.encoders import resolve
from alignbench.experiments.attention.scores import Subject, attention, padded
from alignbench.plots import FIGURES, FigureInputs
from alignbench.tests.toys import copy_benchmarks, run, scores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from alignbench.types import Score

MEASURES = {"localisation_auc", "pointing_game", "overlap_iou"}


@cache
def of_scenes(folder: Path) -> tuple[list[Score], Any]:
    return attended(folder)


def attended(folder: Path, subject: Subject | None = None) -> tuple[list[Score], Any]:
    handle: Any = resolve(f"eye={folder}")

    @contextlib.contextmanager
    def loaded() -> Iterator[Any]:
        whole = handle.varied(fit="squash")
        whole.load("cpu", "float32")
        yield whole

    return attention(handle, loaded, subject=subject, draws=19)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["clip", "siglip"])
def test_an_encoder_with_texts_has_every_method_its_gain_and_its_own_attention(
    family: str, folders: Callable[[str], Path]
) -> None:
    found, _ = of_scenes(folders(family))
    whose = "CLS" if family == "clip" else "pooling"
    variants = ("value", "raw", "negated", f"{whose} attention, any object")
    expected = {(metric, variant) for metric in MEASURES for variant in variants}
    assert {(s.metric, s.variant) for s in found} == expected | {
        ("localisation_gain", "AUC of value over raw")
    }
    for score in found:
        assert score.interval is not None
        assert score.value is not None
        assert score.interval.low <= score.value <= score.interval.high
        assert score.chance is not None
        assert len(score.deletions) == score.n
        assert (score.null is None) == (score.metric == "localisation_gain")
    by = {(s.metric, s.variant): s.value or 0.0 for s in found}
    auc = {variant: by["localisation_auc", variant] for variant in variants[:3]}
    assert auc["negated"] == pytest.approx(1 - auc["raw"])
    gain = by["localisation_gain", "AUC of value over raw"]
    assert gain == pytest.approx(auc["value"] - auc["raw"])


@pytest.mark.slow
@pytest.mark.parametrize("family", ["dinov2", "internvit"])
def test_an_encoder_without_texts_says_so_and_has_its_own_attention(
    family: str, folders: Callable[[str], Path]
) -> None:
    found, arrays = of_scenes(folders(family))
    missing = [score for score in found if score.value is None]
    assert [(s.metric, s.variant, s.reason) for s in missing] == [
        ("localisation_auc", "value", "eye: no text tower, so no text can be looked for")
    ]
    assert {s.metric for s in found if s.variant == "CLS attention, any object"} == MEASURES
    assert set(map(str, arrays["method"])) == {"cls attention"}


def test_a_model_that_has_no_map_at_all_is_not_loaded(folders: Callable[[str], Path]) -> None:
    handle: Any = resolve(str(folders("paligemma")))

    def loaded() -> Any:
        raise AssertionError("nothing of it can be shown")

    found, arrays = attention(handle, loaded)
    assert arrays is None
    assert all(score.status == "not_applicable" for score in found)
    assert "no CLS token and no pooling head" in str(found[1].reason)


@pytest.mark.slow
def test_maps_of_the_users_image_take_the_place_of_the_scenes(folders: Callable[[str], Path]) -> None:
    photo = Image.new("RGB", (60, 30), (200, 30, 30))
    subject = Subject((("photo.png", photo), ("again.png", photo)), ("a chart", "a cat"))
    _, arrays = attended(folders("clip"), subject=subject)
    assert arrays["images"].shape == (2, 224, 224, 3)
    rows = zip(arrays["image"], arrays["prompt"], arrays["method"], strict=True)
    texts = [(int(image), str(prompt)) for image, prompt, method in rows if method == "value"]
    assert texts == [(0, "a chart"), (0, "a cat"), (1, "a chart"), (1, "a cat")]
    assert arrays["map"].shape[1:] == (4, 4)
    assert np.isnan(arrays["box"]).all()
    bare = Subject((("photo.png", photo),))
    assert set(map(str, attended(folders("clip"), subject=bare)[1]["method"])) == {"cls attention"}


def test_a_wide_image_is_padded_and_not_distorted() -> None:
    square = np.asarray(padded(Image.new("RGB", (40, 20), (0, 0, 0))))
    assert square.shape == (40, 40, 3)
    assert (square[:10] == 255).all()
    assert (square[10:30] == 0).all()


def test_a_run_scores_and_draws_the_same_in_workers(
    folders: Callable[[str], Path], project: pytest.Pytester
) -> None:
    copy_benchmarks(project, "test_attention.py")
    ours = (f"--encoders=eye={folders('clip')},other={folders('dinov2')},toy-a", "--n-samples=2")
    result = run(project, "benchmarks", *ours, "-m", "attention", "-p", "no:xdist")
    assert result.ret == 0
    result.stdout.fnmatch_lines_random(
        ["model  eye: *, loaded for attention maps", "model  toy-a: custom, not loaded"]
    )
    serial = scores(project)
    folder = project.path / "reports" / "latest"
    assert {p.name for p in (folder / "artifacts").iterdir()} == {"attention-eye.npz", "attention-other.npz"}
    assert run(project, "benchmarks", *ours, "-m", "attention", "-n", "2").ret == 0
    again = scores(project)
    assert serial.keys() == again.keys()
    for key, score in serial.items():
        if score["value"] is not None:
            assert again[key]["value"] == pytest.approx(score["value"], abs=1e-6)
    reasons = [score["reason"] for key, score in serial.items() if key[2] == "toy-a"]
    assert all("give no maps, only embeddings" in str(reason) for reason in reasons)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--align-prompt=a cat",), "--align-prompt: say in which image to look for it"),
        (("--align-image=nowhere.png",), "--align-image: there is no file 'nowhere.png'"),
        (("--align-image=conftest.py", "--align-prompt= "), "expected a text, got an empty one"),
    ],
)
def test_options_that_can_not_be_are_one_line(
    options: tuple[str, ...], message: str, project: pytest.Pytester
) -> None:
    copy_benchmarks(project, "test_attention.py")
    result = project.runpytest_subprocess("benchmarks", "--encoders=toy-a", *options)
    assert result.ret == 4
    result.stderr.fnmatch_lines([f"ERROR: *{message}*".replace("[", "[[]")])


def figure_of(folder: Path, name: str) -> Any:
    found, arrays = of_scenes(folder)
    return FIGURES.get(name)(FigureInputs(scores=found, artifacts={"attention": [arrays]}))


@pytest.mark.slow
def test_the_figure_of_texts_has_the_image_then_a_map_a_method(folders: Callable[[str], Path]) -> None:
    figure = figure_of(folders("clip"), "attention_of_texts")
    axes = np.asarray(figure.axes).reshape(3, 4)
    assert [ax.get_title("left").split("\n")[-1] for ax in axes[0]] == ["", "value", "negated", "raw"]
    assert len(axes[0, 0].images) == 1
    assert all(len(ax.images) == 2 and len(ax.patches) == 2 for ax in axes[:, 1:].ravel())
    assert axes[0, 0].get_ylabel().endswith(".")


@pytest.mark.slow
def test_the_figure_of_own_attention_names_whose_it_is(folders: Callable[[str], Path]) -> None:
    figure = figure_of(folders("siglip"), "attention_own")
    assert figure.axes[1].get_title("left") == "eye\npooling"
    assert FIGURES.get("attention_of_texts")(FigureInputs()) is None
    assert FIGURES.get("attention_own")(FigureInputs()) is None


@pytest.mark.slow
def test_the_figure_of_scores_shows_chance_and_null_beside_each(folders: Callable[[str], Path]) -> None:
    figure = figure_of(folders("clip"), "attention_localisation")
    assert [ax.get_title("left") for ax in figure.axes] == [
        "localisation_auc",
        "pointing_game",
        "overlap_iou",
    ]
    rows = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert rows == ["eye\nvalue", "negated", "raw", "CLS attention, any object"]
    for ax in figure.axes:
        assert sum(line.get_marker() == "x" for line in ax.lines) == 4
        assert sum(line.get_marker() == "o" for line in ax.lines) == 4
