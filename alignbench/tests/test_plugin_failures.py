"""Tests that fail: said once and in one line where the user can mend it, and part of the run's report."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from alignbench.errors import DataError, ModelError, UnwritableError
from alignbench.findings import SCHEMA, read_run
from alignbench.session.attempts import Attempts
from alignbench.tests.toys import CONFTEST, RECORD, copy_benchmarks, run

REASON = "image chart_3.png can't be decoded: 4 of 9 rows are missing; replace the file"
BROKEN = (
    CONFTEST
    + f"""
from pathlib import Path

from alignbench.errors import DataError, ModelError


class Loads(ToyEncoder):
    '''Notes each time that it is loaded, and fails.'''

    error = None

    def load(self, device, dtype):
        with Path("loads").open("a") as file:
            file.write(self.name + "\\n")

    def embed(self, images):
        raise self.error


class Damaged(Loads):
    error = DataError({REASON!r})


class Wrong(Loads):
    error = ModelError("its config names no size\\nand has a second line")


class Bug(Loads):
    error = RuntimeError("no such luck")


for kind in (Damaged, Wrong, Bug):
    ENCODERS.add(kind.__name__.lower(), kind(kind.__name__.lower()))
ENCODERS.add("damaged-too", Damaged("damaged-too"))
"""
)
WORKERS = pytest.mark.parametrize("args", [(), ("-n", "2")], ids=["serial", "workers"])


@pytest.fixture
def broken(project: pytest.Pytester) -> pytest.Pytester:
    project.makeconftest(BROKEN)
    return project


@WORKERS
def test_unreadable_data_fill_a_page_and_no_more(broken: pytest.Pytester, args: tuple[str, ...]) -> None:
    copy_benchmarks(broken, "test_cka.py", "test_coral.py", "test_eas.py")
    result = run(broken, "benchmarks", "--encoders=damaged,damaged-too", "-ra", *args)
    text = result.stdout.str()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert result.parseoutcomes()["errors"] > 30
    assert text.count(REASON.split(";")[0]) == 1
    assert "Traceback" not in text
    assert "DataError" not in text
    assert len(result.outlines) < 60


@WORKERS
def test_a_model_is_not_loaded_again_after_it_failed(broken: pytest.Pytester, args: tuple[str, ...]) -> None:
    copy_benchmarks(broken, "test_cka.py", "test_coral.py")
    assert run(broken, "benchmarks", "--encoders=wrong,bug", *args).ret == pytest.ExitCode.TESTS_FAILED
    loads = (broken.path / "loads").read_text(encoding="utf-8").split()
    processes = 2 if args else 1
    assert 1 <= loads.count("wrong") <= processes
    assert 1 <= loads.count("bug") <= processes


def test_a_model_that_fails_is_one_line_that_names_it(broken: pytest.Pytester) -> None:
    copy_benchmarks(broken, "test_cka.py")
    result = run(broken, "benchmarks", "--encoders=toy-a,wrong", "-ra")
    text = " ".join(result.stdout.str().split())
    assert (
        text.count("wrong: its config names no size and has a second line") == 1 + 1
    )  # table, and why no rank
    assert "Traceback" not in text


def test_a_bug_keeps_its_traceback_where_it_happened_first(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_own="""
import pytest

@pytest.fixture(scope="session")
def broken():
    raise RuntimeError("no such luck")

@pytest.mark.parametrize("i", range(9))
def test_it(i, broken):
    pass
"""
    )
    result = run(project)
    text = result.stdout.str()
    result.assert_outcomes(errors=9)
    assert text.count('raise RuntimeError("no such luck")') == 1
    assert "9 tests of custom: RuntimeError: no such luck" in text
    assert len(result.outlines) < 50


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (DataError("row 3"), DataError, "row 3"),
        (ModelError("no size"), ModelError, "a: no size"),
        (ModelError("a: no size"), ModelError, "a: no size"),
        (RuntimeError("lost"), ModelError, "a: RuntimeError: lost (an earlier test failed with this"),
    ],
    ids=["data", "model", "named already", "bug"],
)
def test_what_failed_once_fails_again_without_being_tried(
    error: Exception, kind: type[Exception], text: str
) -> None:
    attempts, tried = Attempts(), []

    def fail() -> None:
        with attempts.attempt("vectors", model="a"):
            tried.append(1)
            raise error

    with pytest.raises(type(error)):
        fail()
    with pytest.raises(kind, match=f"^{re.escape(text)}"):
        fail()
    assert len(tried) == 1


def test_an_error_in_a_test_of_ones_own_is_one_line(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_own="""
from alignbench.errors import ConfigError

def test_it():
    raise ConfigError("the gate is of no metric; name one")

def test_bug():
    raise KeyError("lost")
"""
    )
    result = run(project, "--junitxml=junit.xml")
    text = result.stdout.str()
    result.assert_outcomes(failed=2)
    assert text.count("the gate is of no metric; name one") == 1
    assert "raise ConfigError" not in text
    assert 'raise KeyError("lost")' in text
    said = {one.get("message") for one in ET.parse(project.path / "junit.xml").iter("failure")}
    assert said == {"the gate is of no metric; name one", "KeyError: 'lost'"}


def test_full_trace_shows_where(broken: pytest.Pytester) -> None:
    copy_benchmarks(broken, "test_cka.py")
    text = run(broken, "benchmarks", "--encoders=wrong", "-k", "linear_cka", "--full-trace").stdout.str()
    assert "raise self.error" in text


def test_a_file_that_can_not_be_collected_is_one_line(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_own="""
from alignbench.errors import DataError
raise DataError("labels.csv, line 3: no such image")
"""
    )
    result = run(project)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert "labels.csv, line 3: no such image" in result.stdout.str()
    assert "raise DataError" not in result.stdout.str()


def test_an_expected_failure_is_none(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_own="""
import pytest
from alignbench.errors import DataError

@pytest.mark.xfail(raises=DataError, strict=True)
def test_it(pair, record):
    record("linear_cka", pair)
    raise DataError("as expected")
"""
    )
    assert run(project).ret == 0
    assert read_run(project.path / "reports" / "latest")[0]["failures"] == []


@WORKERS
def test_failures_are_part_of_the_run(broken: pytest.Pytester, args: tuple[str, ...]) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    copy_benchmarks(broken, "test_cka.py", "test_coral.py")
    result = run(broken, "benchmarks", "--encoders=toy-a,toy-b,damaged", "-k", "not spectral", *args)
    folder = broken.path / "reports" / "latest"
    data: dict[str, Any] = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
    jsonschema.validate(data, json.loads(SCHEMA.read_text(encoding="utf-8")))
    failures = data["run"]["failures"]
    assert len(failures) == result.parseoutcomes()["errors"] + result.parseoutcomes().get("failed", 0)
    assert {f["reason"] for f in failures} == {REASON}
    assert {f["experiment"] for f in failures} == {"cka", "coral"}
    assert all("damaged" in f["encoders"] for f in failures)
    [ranking] = data["ranking"]
    assert ranking["unranked"] == {"damaged": f"its test failed: {REASON}"}
    assert "damaged" in {model["name"] for model in data["run"]["models"]}
    failed = f"{len(failures)} tests failed"
    for text in (
        result.stdout.str(),
        *((folder / n).read_text("utf-8") for n in ("summary.md", "report.html")),
    ):
        assert failed in text
        assert "damaged" in text
    assert (folder / "report.html").read_text("utf-8").count("of which there is no score here") == 2


def test_a_worker_that_died_is_a_failure_of_the_run(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_it=RECORD
        + """
def test_more(pair):
    import os
    if pair.x.model.name == "toy-b":
        os._exit(9)
"""
    )
    run(project, "-n", "1", "-p", "no:randomly")
    [failure] = read_run(project.path / "reports" / "latest")[0]["failures"]
    assert "test_more[toy-b-toy-llm]" in failure["nodeid"]
    assert failure["encoders"] == ["toy-b"]
    assert "crashed" in failure["reason"]


def test_an_error_that_is_made_of_more_than_a_text_reads_the_same_again() -> None:
    attempts = Attempts()
    for _ in range(2):
        with (
            pytest.raises(UnwritableError, match=r"^report can't be written: full$"),
            attempts.attempt("work"),
        ):
            raise UnwritableError(Path("report"), "full")
