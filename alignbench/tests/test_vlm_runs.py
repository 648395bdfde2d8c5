"""The VLM benchmark as a user runs it, with the smallest of trainings; and its figures."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from alignbench.experiments.vlm.scores import METRICS
from alignbench.findings import Findings, read_run
from alignbench.plots import FIGURES, FigureInputs
from alignbench.tests import tiny_models as tiny
from alignbench.tests.toys import copy_benchmarks, run, scores
from alignbench.tests.vlm_fakes import gain_score, vlm_arrays
from alignbench.types import Null

TINY = ("--align-epochs=1", "--align-splits=2", "--n-samples=5", "-p", "no:randomly")


def plain(summary: str) -> str:
    """Return markdown without the marks that only a renderer needs."""
    return re.sub(r"</?code>|[\\\\`]", "", summary)


# Of the module, so that nothing is imported while pytester watches: it forgets modules that came after it.
@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    eye, mouth = (tmp_path_factory.mktemp(name) for name in ("eye", "mouth"))
    return f"--encoders=eye={tiny.clip(eye)}", f"--llms=mouth={tiny.llama(mouth)}"


def test_a_run_has_perplexity_gain_and_answers_the_same_in_workers(
    models: tuple[str, str], project: pytest.Pytester
) -> None:
    copy_benchmarks(project, "test_vlm.py")
    assert run(project, "benchmarks/test_vlm.py", *models, *TINY, "-p", "no:xdist").ret == 0
    serial = scores(project)
    assert {key[:4] for key in serial} == {("vlm", metric, "eye", "mouth") for metric in METRICS}
    folder = project.path / "reports" / "latest"
    summary = plain((folder / "summary.md").read_text(encoding="utf-8"))
    assert "encoders by image_gain, linear" in summary
    assert "## A VLM of mouth" in summary
    assert "None" not in summary
    assert [path.name for path in (folder / "artifacts").iterdir()] == ["vlm-linear-eye~mouth.npz"]
    assert run(project, "benchmarks/test_vlm.py", *models, *TINY, "-n", "2").ret == 0
    for key, score in scores(project).items():
        assert score["value"] == pytest.approx(serial[key]["value"], abs=1e-12)
        assert score["null"] == serial[key]["null"]


def test_what_gives_embeddings_only_is_skipped_with_the_reason(project: pytest.Pytester) -> None:
    copy_benchmarks(project, "test_vlm.py")
    result = run(project, "benchmarks/test_vlm.py", "-rs", *TINY)
    result.assert_outcomes(skipped=2)
    result.stdout.fnmatch_lines(["*toy-llm gives embeddings only: a VLM needs an LLM's weights*"])


def test_the_default_run_trains_two_encoders_and_names_the_others(project: pytest.Pytester) -> None:
    copy_benchmarks(project, "test_vlm.py")
    result = project.runpytest_subprocess(
        "benchmarks/test_vlm.py", "-rs", "--n-samples=2", "--align-no-figures"
    )
    result.assert_outcomes(passed=2, skipped=2)
    result.stdout.fnmatch_lines(
        ["*by default a VLM is trained only with mini-clip and random-vit; name others*"]
    )
    _, found = read_run(project.path / "reports" / "latest")
    assert {score.reason for score in found} == {
        ("expected at least 10 groups to train on some and hold out others, got 6; use more samples")
    }


def test_the_gain_figure_has_a_row_a_pair_the_lowest_perplexity_first() -> None:
    made = [vlm_arrays("good", gain=0.5), vlm_arrays("bad", gain=0.0)]
    made[1] = {**made[1], "right": made[1]["right"] + 1}
    inputs = FigureInputs(
        scores=[gain_score("good", gain=0.5), gain_score("bad", gain=0.0)], artifacts={"vlm": made[::-1]}
    )
    figure: Any = FIGURES.get("vlm_gain")(inputs)
    left, right = figure.axes
    assert [label.get_text().split("\n")[0] for label in left.get_yticklabels()] == ["good", "bad"]
    assert [text.get_text() for text in right.texts] == ["+0.500  p = 0.004", "+0.000  p = 0.004"]
    marks = [float(line.get_xdata()[0]) for line in left.lines if len(line.get_xdata()) == 1]
    assert marks[0] == pytest.approx(float(np.exp(made[0]["right"].mean())))
    assert marks[1] == pytest.approx(float(np.exp(made[0]["shuffled"].mean())))


@pytest.mark.parametrize("epochs", [1, 5])
def test_the_curves_of_every_training_are_drawn(epochs: int) -> None:
    inputs = FigureInputs(scores=[gain_score("good")], artifacts={"vlm": [vlm_arrays("good", epochs=epochs)]})
    figure: Any = FIGURES.get("vlm_curves")(inputs)
    curves = [line for line in figure.axes[0].lines if len(line.get_xdata()) == epochs]
    assert len(curves) >= 8


def test_terminal_and_summary_say_what_came_of_the_trainings() -> None:
    from alignbench.show import summary_markdown, terminal_table
    from alignbench.tests.report_fakes import make_run

    gain = gain_score("good", gain=0.01)
    underfit = replace(gain, flags=("underfit",), params={"epochs_to_try": 24, "projector": "linear"})
    told = {"shuffled": 2.25, "no_image": 2.5, "projector": "linear"}
    perplexity = replace(
        gain, metric="caption_perplexity", value=2.125, interval=None, null=None, params=told
    )
    said = replace(
        gain, metric="answer_exact_match", value=0.5, chance=0.25, variant="type linear", params=told
    )
    within = replace(gain, metric="gain_within_type", value=0.005, null=Null("permuted", p=0.25))
    rate = replace(gain, metric="mir", value=1.25, null=Null("untrained", mean=1.5))
    found = [underfit, perplexity, said, within, rate]
    lines = terminal_table(Findings.of(found, make_run(("good",))), width=100)
    row = next(line for line in lines if "2.125" in line)
    assert row.split() == [
        "good",
        "linear",
        "2.125",
        "2.250",
        "2.500",
        "0.010",
        "[-0.090,",
        "0.110]",
        "0.004",
    ]
    text = " ".join(" ".join(lines).split())
    assert "Right short answers of good, linear: type 0.500 (chance 0.250)." in text
    assert "images of the same data type of good, linear: 0.005, p 0.250." in text
    assert "(MIR, lower is closer) of good, linear: 1.250, before the training 1.500." in text
    assert "good, linear: underfit: the projector's training loss is still falling" in text
    assert "try --align-epochs 24" in text
    assert "ranked by image_gain, linear" in text
    summary = plain(summary_markdown(Findings.of(found, make_run(("good",)))))
    assert "| good | linear | 2.125 | 2.250 | 2.500 | 0.010 | [-0.090, 0.110] | 0.004 |" in summary
    assert "try --align-epochs 24" in summary


def test_the_caption_of_one_training_is_whole() -> None:
    inputs = FigureInputs(scores=[gain_score("good")], artifacts={"vlm": [vlm_arrays("good")]})
    figure: Any = FIGURES.get("vlm_curves")(inputs)
    assert figure.get_supxlabel().replace("\n", " ").endswith("No epoch was chosen by these curves.")
    figure.canvas.draw()
    label = figure._supxlabel.get_window_extent(figure.canvas.get_renderer())
    assert label.x1 <= figure.bbox.x1


def test_no_figure_without_trainings() -> None:
    assert FIGURES.get("vlm_gain")(FigureInputs()) is None
    assert FIGURES.get("vlm_curves")(FigureInputs()) is None
