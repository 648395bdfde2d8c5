"""The benchmark of compare as a user runs it, with toy models."""

from __future__ import annotations

import pytest

from alignbench.findings import read_run
from alignbench.session.selection import needed_by_ids
from alignbench.tests.toys import CONFTEST, copy_benchmarks, run, scores

PATCHES = """
    def patches(self, images):
        rng = np.random.default_rng(1)
        small = np.stack([np.asarray(i.resize((4, 8)), dtype=np.float32) / 255 for i in images])
        return small.reshape(len(small), 8, -1) @ rng.standard_normal((12, self.width)).astype(np.float32)


class ToyLLM(Toy):"""
FAST = ("--align-epochs=5", "--align-splits=2")


def with_patches(project: pytest.Pytester) -> None:
    project.makeconftest(CONFTEST.replace("\n\nclass ToyLLM(Toy):", PATCHES))
    copy_benchmarks(project, "test_compare.py")


def test_scores_are_the_same_serially_and_in_workers(project: pytest.Pytester) -> None:
    with_patches(project)
    assert run(project, "benchmarks", *FAST, "-p", "no:randomly", "-p", "no:xdist").ret == 0
    serial = scores(project)
    assert run(project, "benchmarks", *FAST, "--align-no-embedding-cache", "-n", "2").ret == 0
    again = scores(project)
    assert serial.keys() == again.keys()
    assert {key[6] for key in serial} == {"", "linear", "mlp", "2layer_mlp", "cross_attention"}
    assert len({key[5] for key in serial}) == 4  # all, and three types
    for key, score in serial.items():
        assert score["value"] == pytest.approx(again[key]["value"], abs=1e-12), key
        assert score["repeats"] == pytest.approx(again[key]["repeats"], abs=1e-12)
        for field in ("mean", "p"):
            assert (score["null"] or {}).get(field) == pytest.approx((again[key]["null"] or {}).get(field))


def test_an_encoder_without_patches_skips_what_needs_them(project: pytest.Pytester) -> None:
    copy_benchmarks(project, "test_compare.py")
    result = run(project, "benchmarks", *FAST, "-k", "cross_attention", "-rs")
    result.assert_outcomes(skipped=2)
    result.stdout.fnmatch_lines(["*toy-a gives no patch embeddings*"])


def test_images_and_patches_take_one_load_and_then_none(project: pytest.Pytester) -> None:
    with_patches(project)
    args = ("benchmarks", *FAST, "-k", "test_projection", "--encoders=toy-a", "-p", "no:randomly")
    cold = run(project, *args)
    assert cold.ret == 0
    cold.stdout.fnmatch_lines(["model*toy-a:*30 to embed, patches of 30 to embed*"])
    loads = read_run(project.path / "reports" / "latest")[0]["loads"]
    assert sorted(load["model"] for load in loads) == ["toy-a", "toy-llm"]
    warm = run(project, *args)
    warm.stdout.fnmatch_lines(["model*toy-a:*cached, not loaded*"])
    assert read_run(project.path / "reports" / "latest")[0]["loads"] == []


def test_missing_patches_are_in_the_plan(project: pytest.Pytester) -> None:
    with_patches(project)
    one = ("benchmarks", *FAST, "--encoders=toy-a")
    assert run(project, *one, "-k", "test_projection and linear").ret == 0
    result = run(project, *one, "-k", "test_projection and cross_attention", "-n", "1")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["model*toy-a:*, patches of 30 to embed*"])


def test_patches_are_known_by_ids() -> None:
    ids = ["t.py::test_projection[a-l-cross_attention]", "t.py::test_projection[b-l-mlp]"]
    assert needed_by_ids(ids, ("a", "b"), ("l",)).patches == ("a",)
    assert needed_by_ids(["patchy/t.py::test_x[a-l]"], ("a",), ("l",)).patches == ()


def test_the_cka_tests_are_of_compare_and_filed_under_cka(project: pytest.Pytester) -> None:
    copy_benchmarks(project, "test_cka.py", "test_compare.py")
    result = run(project, "benchmarks", "-m", "compare", "-k", "linear_cka", "--encoders=toy-a")
    assert result.ret == 0
    assert {key[0] for key in scores(project)} == {"cka"}
    collected = run(project, "benchmarks", "-m", "all", "--collect-only", "-q")
    assert "test_cka.py::test_cka[" in collected.stdout.str()


def test_figures_are_drawn_from_what_a_run_leaves(project: pytest.Pytester) -> None:
    with_patches(project)
    models = ("--encoders=toy-a,toy-b", "--llms=toy-llm,toy-llm2")
    few = ("--n-samples=10", "--align-permutations=19")
    assert project.runpytest_subprocess("benchmarks", *FAST, *models, *few).ret == 0
    drawn = {path.stem for path in (project.path / "reports" / "latest").glob("*.png")}
    assert drawn >= {"cka_by_data_type", "projector_comparison", "model_similarity", "alignment_summary"}
