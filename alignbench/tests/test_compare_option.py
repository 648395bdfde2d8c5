"""`--align-compare`: a run that says what changed since an earlier one, and fails on a regression."""

from __future__ import annotations

from pathlib import Path

import pytest

from alignbench.errors import AlignbenchError
from alignbench.findings import read_run
from alignbench.plugin.against import Against
from alignbench.plugin.terminal import Printer
from alignbench.session.options import Options
from alignbench.tests.diff_fakes import recorded, write
from alignbench.tests.report_fakes import make_score
from alignbench.tests.toys import CONFTEST, RECORD, run

# The vectors have nothing to do with the images any more; what the encoder says of itself stays.
BLURRED = """
class ToyEncoder(ToyEncoder):
    def fingerprint(self):
        return {"source": self.name, "revision": "blurred"}

    def embed(self, images):
        vectors = super().embed(images)
        noise = np.random.default_rng(0).standard_normal((len(vectors), 1))  # one dimension predicts little
        return vectors / 100 + noise

ENCODERS.remove("toy-b")
ENCODERS.add("toy-b", ToyEncoder("toy-b"))
"""
QUIET = ("-p", "no:randomly")
GATE = "--align-compare-fail=linear_cka:0.02,mutual_knn:50%"
BASE: dict[str, str] = {}


@pytest.fixture
def compared(project: pytest.Pytester) -> pytest.Pytester:
    """A project with a test, and an earlier run of it in `base`."""
    project.makepyfile(test_it=RECORD)
    base = project.mkdir("base") / "scores.json"
    if not BASE:
        assert run(project, *QUIET, "--align-output-dir=first").ret == 0
        BASE["scores"] = (project.path / "first/latest/scores.json").read_text(encoding="utf-8")
    base.write_text(BASE["scores"], encoding="utf-8")
    return project


def latest(project: pytest.Pytester) -> Path:
    return project.path / "reports" / "latest"


def comparison(project: pytest.Pytester) -> str:
    return (latest(project) / "comparison.md").read_text(encoding="utf-8")


def test_an_unchanged_run_passes_and_says_so(compared: pytest.Pytester) -> None:
    result = run(compared, *QUIET, "--align-compare=base", "--align-compare-fail=linear_cka:0,mutual_knn:0%")
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "*= alignbench =*",
            "*= compared with base =*",
            "A base: *",
            "B this run: *",
            "No regression by linear_cka:0, mutual_knn:0%. Of 4 scores in both: 4 same.",
        ]
    )
    assert comparison(compared).startswith("## What changed?")
    _, scores = read_run(latest(compared))
    assert "compare" not in str(scores[0].reproduce)


@pytest.mark.parametrize("args", [("-p", "no:xdist"), ("-n", "2")], ids=["serial", "workers"])
def test_a_planted_regression_fails_the_run_though_every_test_passes(
    compared: pytest.Pytester, args: tuple[str, ...]
) -> None:
    compared.makeconftest(CONFTEST + BLURRED)
    result = run(compared, *QUIET, *args, "--align-compare=base/scores.json", GATE)
    result.assert_outcomes(passed=4)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["REGRESSED  linear_cka  toy-b, toy-llm  *", "1 regression by *"])
    assert "REGRESSED  linear_cka  toy-a" not in result.stdout.str()
    assert comparison(compared).count("**REGRESSED**") == 1
    assert "Traceback" not in result.stdout.str() + result.stderr.str()


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--align-compare=base", "--align-compare-fail=linear_cka"), "expected METRIC:TOLERANCE such as"),
        (
            ("--align-compare=broken", "-n", "2"),
            "--align-compare: *broken/scores.json: it is damaged",
        ),
    ],
    ids=["spec", "workers"],
)
def test_what_can_not_be_compared_is_one_line_before_anything_runs(
    compared: pytest.Pytester, args: tuple[str, ...], says: str
) -> None:
    (compared.mkdir("broken") / "scores.json").write_text(BASE["scores"][:1000], encoding="utf-8")
    result = run(compared, *args)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    errors = [line for line in result.errlines if line.startswith("ERROR: ")]
    assert len(errors) == 1
    pytest.LineMatcher(errors).fnmatch_lines([f"*{says}*"])
    assert "collected" not in result.stdout.str()
    assert not (compared.path / "reports").exists()


def asked(compare: str | None, fail: str) -> Options:
    return Options({"compare": compare, "compare_fail": fail or None})


@pytest.mark.parametrize(
    ("compare", "fail", "says"),
    [
        ("nowhere", "", "^--align-compare: .*nowhere: expected a run's scores.json"),
        ("base", "linear_cca:1", "^--align-compare-fail: in base: .* Did you mean 'linear_cka'"),
        ("base", "rsa:1", "^--align-compare-fail: in base: unknown metric 'rsa'"),
        (None, "linear_cka:1", "^--align-compare-fail: say what to compare with, by --align-compare$"),
    ],
)
def test_a_run_that_is_not_there_or_has_nothing_to_judge(
    tmp_path: Path, compare: str | None, fail: str, says: str
) -> None:
    write(tmp_path / "base", recorded([make_score("linear_cka", 0.3)]))
    with pytest.raises(AlignbenchError, match=says):
        Against.from_options(asked(compare, fail), tmp_path)


def test_nothing_is_compared_unless_asked() -> None:
    assert Against.from_options(asked(None, ""), Path()) is None


@pytest.mark.parametrize(("fail", "status"), [("", 0), ("linear_cka:1", 4)])
def test_a_run_without_scores_passes_no_gate(tmp_path: Path, fail: str, status: int) -> None:
    write(tmp_path / "base", recorded([make_score("linear_cka", 0.3)]))
    against = Against.from_options(asked("base", fail), tmp_path)
    assert against is not None
    assert against.finish(None, tmp_path, Printer(None)) == status  # type: ignore[arg-type]
    assert against.lines == ["nothing to compare: this run recorded no score"]


def test_unlike_runs_are_not_compared_and_a_gate_does_not_pass_over_them(compared: pytest.Pytester) -> None:
    fewer = ("--align-compare=base", "--n-samples=9", "-k", "linear_cka", *QUIET)
    told = run(compared, *fewer, "--align-compare-fail=linear_cka:1")
    assert told.ret == pytest.ExitCode.USAGE_ERROR
    told.stdout.fnmatch_lines(["not compared: *--align-compare-unlike*", "- data: sample_data *"])
    assert "**Not compared.**" in comparison(compared)
    forced = run(compared, *fewer, "--align-compare-fail=linear_cka:1", "--align-compare-unlike")
    assert forced.ret == 0
    forced.stdout.fnmatch_lines(["unlike: data: sample_data *", "No regression by linear_cka:1.*"])


def test_a_gate_that_judged_nothing_does_not_pass(compared: pytest.Pytester) -> None:
    result = run(compared, *QUIET, "--align-compare=base", GATE, "-k", "linear_cka")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stdout.fnmatch_lines(["not compared: --align-compare-fail: *", "*unknown metric 'mutual_knn'*"])
    assert run(compared, "--align-compare=base", GATE, "--collect-only").ret == 0


def test_a_failed_test_keeps_its_exit_status(compared: pytest.Pytester) -> None:
    compared.makepyfile(test_it=RECORD + "\n\ndef test_wrong():\n    assert False\n")
    result = run(compared, *QUIET, "--align-compare=base", "--align-compare-fail=linear_cka:1")
    result.assert_outcomes(passed=4, failed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "No regression" in comparison(compared)


def test_without_a_gate_a_change_is_told_against_what_latest_was_when_the_run_began(
    compared: pytest.Pytester,
) -> None:
    (compared.path / "reports").mkdir()
    (compared.path / "base").rename(compared.path / "reports" / "earlier")
    latest(compared).symlink_to("earlier", target_is_directory=True)
    compared.makeconftest(CONFTEST + BLURRED)
    result = run(compared, *QUIET, "--align-compare=reports/latest", "-k", "linear_cka")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*worse* linear_cka *toy-b, toy-llm *", "Only in A: 2 scores"])
    assert latest(compared).resolve().name != "earlier"
