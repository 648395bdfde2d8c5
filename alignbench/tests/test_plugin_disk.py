"""Runs whose disk is full, read-only or somebody else's: said at once or at the end, and no score is lost."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from alignbench.errors import UnwritableError
from alignbench.findings import Findings, read_run, read_scores
from alignbench.session.keep import Keeper
from alignbench.session.runfolder import RunFolder
from alignbench.tests.report_fakes import make_run, make_score, make_scores
from alignbench.tests.toys import CONFTEST, RECORD, run

# Every write ends in os.fsync; the disk is full for the paths named here, from the first test on. The hook
# is one that is called in workers and on their controller.
FULL = (
    CONFTEST
    + """
import errno, os

real = os.fsync
where = []

def fsync(descriptor):
    place = os.readlink(f"/proc/self/fd/{descriptor}")
    if any(part in place for part in where):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    real(descriptor)

os.fsync = fsync

def pytest_runtest_logstart():
    where[:] = WHERE
"""
)
linux = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="asks Linux where a file is")


def text(result: pytest.RunResult) -> str:
    return result.stdout.str() + result.stderr.str()


def full(project: pytest.Pytester, *where: str) -> None:
    project.makeconftest(FULL.replace("WHERE", repr([*where])))


def test_runs_that_start_in_the_same_second_have_a_folder_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alignbench.session.runfolder.time.strftime", lambda _: "20260101-000000")
    folders = [RunFolder.named(tmp_path / "reports", "cka") for _ in range(3)]
    for folder in folders:  # all were named before the first was claimed, as by processes side by side
        folder.claim()
    names = ["20260101-000000-cka", "20260101-000000-cka-2", "20260101-000000-cka-3"]
    assert [folder.path.name for folder in folders] == names
    assert sorted(path.name for path in (tmp_path / "reports").iterdir()) == names
    assert not [*(tmp_path / "reports").rglob(".tmp-*")]
    (folders[1].path / "scores.json").touch()
    for folder in folders:
        folder.leave()
    assert [path.name for path in (tmp_path / "reports").iterdir()] == [names[1]]


def test_a_folder_of_reports_that_was_there_stays(tmp_path: Path) -> None:
    folder = RunFolder.named(tmp_path, "cka")
    folder.claim()
    folder.leave()
    assert tmp_path.is_dir()
    fresh = RunFolder.named(tmp_path / "a" / "b", "cka")
    fresh.claim()
    fresh.leave()
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("place", ["file", "file/below", "n" * 300])
def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UnwritableError, match=r"can't be written: "):
        RunFolder.named(tmp_path / place, "cka").claim()


def test_a_report_folder_that_cannot_be_written_is_said_before_anything_is_collected(
    project: pytest.Pytester,
) -> None:
    project.makepyfile(test_it="raise RuntimeError('collected')")
    (project.path / "reports").write_text("in the way")
    result = run(project)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    [line] = [line for line in result.errlines if line.startswith("ERROR: ")]
    assert "there is a file where a folder is needed; name another with --align-output-dir" in line
    assert "Traceback" not in text(result)
    assert "RuntimeError" not in text(result)


def test_a_cache_that_cannot_be_written_is_said_before_anything_is_embedded(
    project: pytest.Pytester,
) -> None:
    project.makepyfile(test_it=RECORD)
    (project.path / "cache").write_text("in the way")
    result = run(project, "--align-cache-dir=cache/below")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    [line] = [line for line in result.errlines if line.startswith("ERROR: ")]
    assert "there is a file where a folder is needed" in line
    assert "--align-no-embedding-cache" in line
    assert "Traceback" not in text(result)
    assert not (project.path / "reports").exists()


@linux
@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["serial", "workers"])
def test_a_disk_that_fills_up_costs_no_score(
    project: pytest.Pytester, workers: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    project.makepyfile(
        test_it=RECORD
        + """
def test_arrays(pair, record):
    assert record.artifact("similarity", [pair.x.model.label], {"a": [1.0]}) is None
"""
    )
    full(project, "/reports/", "/cache/")
    monkeypatch.setenv("TMPDIR", str(project.mkdir("temporary")))
    result = run(project, "--align-cache-dir=cache", *workers)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=6, warnings=result.parseoutcomes().get("warnings", 0))
    said = text(result)
    assert "Traceback" not in said
    assert "INTERNALERROR" not in said
    result.stdout.fnmatch_lines(["*kept for this run only*", "LLM toy-llm: *", "report: temporary/*"])
    [line] = [line for line in result.outlines if "NOT WRITTEN" in line]
    for name in ("scores.jsonl", "artifacts/similarity-toy-a", "scores.json", "summary.md", "report.html"):
        assert name in line
    assert line.count("No space left on device") == 1
    rescued = Path(line.rpartition("the scores are in ")[2])
    assert len(read_run(rescued)[1]) == 4
    [log] = (project.path / "reports").rglob("scores*")
    assert (log.name, log.read_bytes()) == ("scores.jsonl", b"")


@linux
def test_timings_that_cannot_be_saved_cost_no_score(project: pytest.Pytester) -> None:
    project.makeconftest(
        CONFTEST
        + """
import errno
from pytest_benchmark.storage.file import FileStorage

def save(self, output_json, save):
    raise OSError(errno.ENOSPC, "No space left on device")

FileStorage.save = save
"""
    )
    project.makepyfile(
        test_it="""
import pytest
from alignbench.experiments.speed.works import Work

@pytest.mark.speed
def test_mine(stopwatch):
    stopwatch(Work("my_step_ms", call=lambda: None, dataset="mine", items=1, group="mine"))
"""
    )
    result = run(project)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "Traceback" not in text(result)
    result.stdout.fnmatch_lines(["*NOT SAVED under *: No space left on device*"])
    assert read_run(project.path / "reports" / "latest")[1]


def no_space(_: int) -> None:
    raise OSError(28, "No space left on device")


@pytest.fixture
def keeper(tmp_path: Path) -> Keeper:
    folder = RunFolder.named(tmp_path, "cka")
    folder.claim()
    return Keeper(folder)


def test_scores_that_came_while_the_disk_was_full_are_logged_when_it_is_not(
    keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = make_scores()[:4]
    keeper.log(scores[0])
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", no_space)
        keeper.log(scores[1])
        keeper.log(scores[2])
        assert list(keeper.missing) == ["scores.jsonl"]
    keeper.log(scores[3])
    assert not keeper.missing
    logged = read_scores(keeper.folder.path / "scores.jsonl")
    assert {score.key for score in logged} == {score.key for score in scores}
    assert keeper.sentence() == ""


def test_where_nothing_can_be_written_the_run_ends_all_the_same(
    keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    def mkdtemp(prefix: str) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_space)
    monkeypatch.setattr("alignbench.session.keep.tempfile.mkdtemp", mkdtemp)
    keeper.finish(Findings.of([make_score("rsa", 0.2)], make_run()), figures=False)
    assert list(keeper.missing) == ["scores.json", "summary.md", "report.html"]
    assert keeper.rescued is None
    assert keeper.sentence().endswith("what is above is all that is left of it")


@pytest.mark.slow
def test_figures_that_cannot_be_written_are_named_and_the_rest_is_there(
    keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    def save(figure: object, stem: Path) -> list[Path]:
        raise UnwritableError(stem, "No space left on device")

    monkeypatch.setattr("alignbench.plots.drawing.save", save)
    keeper.finish(Findings.of(make_scores(), make_run()), figures=True)
    assert "alignment_summary" in keeper.missing
    assert "scores.json" not in keeper.missing
    assert "the scores are in" not in keeper.sentence()
    assert "No space left on device" in keeper.sentence()
    assert (keeper.folder.path / "report.html").is_file()
