"""The embedding experiment as a run: the same with workers, silent, and part of `-m all`."""

from __future__ import annotations

import numpy as np
import pytest

from alignbench.tests.toys import copy_benchmarks, run, scores


def test_scores_and_points_do_not_depend_on_who_computes_them(project: pytest.Pytester) -> None:
    copy_benchmarks(project, "test_embedding.py")
    assert run(project, "benchmarks", "-m", "embedding", "-p", "no:randomly", "-p", "no:xdist").ret == 0
    serial, points = scores(project), artifacts(project)
    assert run(project, "benchmarks", "-m", "embedding", "-n", "2").ret == 0
    again, points_again = scores(project), artifacts(project)
    assert len(serial) == 3 * 3 * 2 + 2  # models x methods x measures, and the overlay of each pair
    assert serial.keys() == again.keys()
    for key, score in serial.items():
        assert score["value"] == pytest.approx(again[key]["value"], abs=1e-12)
        assert score["null"]["p"] == again[key]["null"]["p"]
        assert score["artifact"] == again[key]["artifact"]
    assert len(points) == 3 * 3 + 2 + 1  # and the thumbnails of the samples
    assert points.keys() == points_again.keys()
    for name, arrays in points.items():
        for kind, values in arrays.items():
            assert (values == points_again[name][kind]).all(), (name, kind)


def artifacts(project: pytest.Pytester) -> dict[str, dict[str, np.ndarray]]:
    found = {}
    for path in (project.path / "reports" / "latest" / "artifacts").glob("*.npz"):
        with np.load(path) as file:
            found[path.stem] = {name: file[name] for name in file.files}
    return found


def test_a_run_draws_its_figures_and_says_nothing_of_its_libraries(project: pytest.Pytester) -> None:
    copy_benchmarks(project, "test_embedding.py")
    result = project.runpytest_subprocess(
        "benchmarks",
        "-m",
        "all",
        "--encoders=toy-a",
        "--llms=toy-llm",
        "--n-samples=8",
        "-p",
        "no:cacheprovider",
    )
    assert result.ret == 0
    # Ours, that these models see drawings only, may stand; a library's may not.
    said = (result.stdout.str() + result.stderr.str()).replace("WARNING: Real models", "Real models")
    assert "warning" not in said.lower()
    drawn = {path.stem for path in (project.path / "reports" / "latest").glob("*.svg")}
    assert drawn == {"embedding_scatter", "procrustes_overlay", "cross_modal_similarity"}


def test_methods_are_chosen_by_option(project: pytest.Pytester) -> None:
    copy_benchmarks(project, "test_embedding.py")
    assert run(project, "benchmarks", "-k", "vision_space", "--align-method=pca").ret == 0
    assert {key[-1] for key in scores(project)} == {"pca"}
    result = run(project, "benchmarks", "--align-method=tnse")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "Did you mean 'tsne'?" in result.stderr.str()


def test_neighbours_are_given_by_option(project: pytest.Pytester) -> None:
    copy_benchmarks(project, "test_embedding.py")
    asked = ("--align-method=tsne,umap", "--align-perplexity=4.5", "--align-neighbors=6", "--encoders=toy-a")
    assert run(project, "benchmarks", "-k", "vision_space", *asked).ret == 0
    params = {key[-1]: score["params"] for key, score in scores(project).items()}
    assert params["tsne"]["perplexity"] == 4.5
    assert params["umap"]["n_neighbors"] == 6
    for wrong, message in (
        ("--align-perplexity=0", "--align-perplexity: expected a number from 1 on, got 0.0"),
        ("--align-perplexity=nan", "--align-perplexity: expected a number from 1 on, got nan"),
        ("--align-neighbors=1", "--align-neighbors: expected at least 2, got 1"),
    ):
        result = run(project, "benchmarks", wrong)
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        assert message in result.stderr.str()


def test_samples_too_few_for_a_layout_are_reported_and_nothing_fails(project: pytest.Pytester) -> None:
    copy_benchmarks(project, "test_embedding.py")
    assert run(project, "benchmarks", "-m", "embedding", "--n-samples=3").ret == 0
    found = scores(project).values()
    assert {score["status"] for score in found} == {"not_applicable"}
    assert all("at least" in score["reason"] for score in found)
