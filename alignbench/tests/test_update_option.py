"""`--align-update`: a run that is accepted as the new baseline, in a small file that git can compare."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from alignbench.errors import ConfigError, UnknownNameError, UnwritableError
from alignbench.findings import Findings
from alignbench.plugin.against import Against
from alignbench.plugin.terminal import Printer
from alignbench.session.options import Options
from alignbench.tests.diff_fakes import moved, recorded, write
from alignbench.tests.report_fakes import make_score
from alignbench.tests.toys import CONFTEST, RECORD, run

if TYPE_CHECKING:
    from pathlib import Path

FILE = "tests/alignment.json"
QUIET = ("-p", "no:randomly")
GATE = "--align-compare-fail=linear_cka:0.02,mutual_knn:0.05"
# The vectors of toy-b have little to do with the images any more; what it says of itself stays.
BLURRED = """
class Blurred(ToyEncoder):
    def fingerprint(self):
        return {"source": self.name, "revision": "blurred"}

    def embed(self, images):
        return super().embed(images) / 100 + np.random.default_rng(0).standard_normal((len(images), 1))

ENCODERS.remove("toy-b")
ENCODERS.add("toy-b", Blurred("toy-b"))
"""


def test_a_baseline_is_made_compared_with_and_updated(project: pytest.Pytester) -> None:
    project.makepyfile(test_it=RECORD)
    file = project.path / FILE
    made = run(project, *QUIET, f"--align-compare={FILE}", GATE, "--align-update")
    assert made.ret == 0
    made.stdout.fnmatch_lines([f"*= baseline {FILE} =*", f"accepted: {FILE} now holds 4 scores of this run"])
    first = file.read_text(encoding="utf-8")
    assert str(project.path) not in first

    same = run(project, *QUIET, f"--align-compare={FILE}", GATE)
    assert same.ret == 0
    same.stdout.fnmatch_lines(["No regression by linear_cka:0.02, mutual_knn:0.05. *4 same."])

    project.makeconftest(CONFTEST + BLURRED)
    worse = run(project, *QUIET, f"--align-compare={FILE}", GATE)
    assert worse.ret == pytest.ExitCode.TESTS_FAILED
    worse.stdout.fnmatch_lines(["REGRESSED *linear_cka *toy-b, toy-llm *"])
    assert file.read_text(encoding="utf-8") == first

    accepted = run(project, *QUIET, f"--align-compare={FILE}", GATE, "--align-update")
    assert accepted.ret == 0
    accepted.stdout.fnmatch_lines(["REGRESSED *toy-b*", f"accepted: {FILE} now holds 4 scores of this run"])
    changed = set(file.read_text(encoding="utf-8").splitlines()) - set(first.splitlines())
    assert changed
    assert all("toy-b" in line for line in changed)


def against(place: str, folder: Path, fail: str = "") -> Against:
    options = Options({"compare": place, "update": True, "compare_fail": fail or None})
    found = Against.from_options(options, folder)
    assert found is not None
    return found


PRINTER = Printer(None)  # type: ignore[arg-type]
SCORE = make_score("linear_cka", 0.3)


def test_a_run_that_did_not_pass_or_has_no_scores_is_not_accepted(tmp_path: Path) -> None:
    updating = against("base.json", tmp_path)
    assert updating.finish(None, tmp_path, PRINTER) == pytest.ExitCode.USAGE_ERROR
    assert updating.lines == ["nothing to accept: this run recorded no score"]
    assert updating.finish(recorded([SCORE]), tmp_path, PRINTER, passed=False) == 0
    assert "not accepted: base.json was not written" in updating.lines[-1]
    assert not (tmp_path / "base.json").exists()
    (tmp_path / "base.json").write_text("{}")
    updating.finish(recorded([SCORE]), tmp_path, PRINTER, passed=False)
    assert "not accepted: base.json is unchanged" in updating.lines[-1]
    assert (tmp_path / "base.json").read_text() == "{}"


def test_runs_that_are_not_alike_are_accepted_and_said_to_be_so(tmp_path: Path) -> None:
    assert against("base.json", tmp_path).finish(recorded([SCORE]), tmp_path, PRINTER) == 0
    other = recorded([moved(SCORE, -0.2), make_score("eas", 0.2)], dataset={"name": "new", "digest": "ab"})
    updating = against("base.json", tmp_path, "linear_cka:0.01,eas:0.01")
    assert updating.finish(other, tmp_path, PRINTER) == 0
    assert any(line.startswith("unlike: data: sample_data") for line in updating.lines)
    assert updating.lines[-1] == "accepted: base.json now holds 2 scores of this run, instead of 1"
    assert not updating.regressions
    assert Findings.read(tmp_path / "base.json").run["dataset"]["name"] == "new"


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("run", "^--align-update: run is a folder, and a baseline is a file"),
        ("alignment.txt", "^--align-update: alignment.txt does not end in .json"),
        (
            "run/scores.json",
            "^--align-update: run/scores.json holds no baseline, or a damaged one, and is not",
        ),
        (
            "mine.json",
            "^--align-update: mine.json holds no baseline, or a damaged one, and is not overwritten; delete",
        ),
    ],
)
def test_nothing_but_a_baseline_is_overwritten(tmp_path: Path, place: str, says: str) -> None:
    write(tmp_path / "run", recorded([SCORE]))
    (tmp_path / "mine.json").write_text("half a {", encoding="utf-8")
    with pytest.raises(ConfigError, match=says):
        against(place, tmp_path)


def test_a_baseline_that_is_not_there_can_be_made(tmp_path: Path) -> None:
    for place, hint in (("base.json", True), ("base", False)):
        with pytest.raises(ConfigError) as told:
            Against.from_options(Options({"compare": place}), tmp_path)
        assert ("; --align-update makes it a baseline of this run's scores" in str(told.value)) == hint


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("<<<<<<< HEAD", r"it is damaged or cut off \(Expecting value"),
        ("{}", "it holds no scores of alignbench, but {}"),
        ('{"alignbench_scores": 1}', "data: expected a mapping, got None"),
    ],
)
def test_it_is_said_what_to_do_with_a_damaged_baseline(tmp_path: Path, content: str, says: str) -> None:
    (tmp_path / "base.json").write_text(content, encoding="utf-8")
    to_do = "; delete it and write a new one with --align-update, or name another file$"
    with pytest.raises(ConfigError, match=rf"^--align-compare: \S+base.json: {says}.*{to_do}"):
        Against.from_options(Options({"compare": "base.json"}), tmp_path)


def test_it_is_said_before_anything_runs_that_a_baseline_can_not_be_written(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.path)
    deep = against("a/b/base.json", project.path)
    deep.try_writing()
    assert not (project.path / "a").exists()
    (project.path / "tests").write_text("a file", encoding="utf-8")
    project.makepyfile(test_it=RECORD)
    for place in (FILE, f"tests/deep{FILE}"):
        with pytest.raises(UnwritableError, match="tests can't be written: there is a file where a folder"):
            against(place, project.path).try_writing()
    refused = run(project, *QUIET, f"--align-compare={FILE}", "--align-update")
    assert refused.ret == pytest.ExitCode.USAGE_ERROR
    refused.stderr.fnmatch_lines(["ERROR: --align-update: */tests can't be written: there is a file *"])
    assert "passed" not in refused.stdout.str()


def test_a_baseline_that_can_not_be_written_at_the_end_fails_the_run(tmp_path: Path) -> None:
    (tmp_path / "tests").write_text("a file", encoding="utf-8")
    updating = against(FILE, tmp_path)
    assert updating.finish(recorded([SCORE]), tmp_path, PRINTER) == pytest.ExitCode.TESTS_FAILED
    assert "can't be written: there is a file where a folder is needed" in updating.lines[-1]


def test_it_needs_a_file_and_a_gate_needs_its_metric_unless_it_is_accepted(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"^--align-update: name the file of the baseline, by --align-compare"
    ):
        Options({"update": True})
    against("base.json", tmp_path).finish(recorded([SCORE]), tmp_path, PRINTER)
    against("base.json", tmp_path, "eas:1")
    with pytest.raises(UnknownNameError, match="unknown metric 'eas'"):
        Against.from_options(Options({"compare": "base.json", "compare_fail": "eas:1"}), tmp_path)
