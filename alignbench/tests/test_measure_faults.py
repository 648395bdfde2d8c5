"""The measurement of faults: what it counts, and that it can tell a fault when it meets one."""

from __future__ import annotations

import errno
import os
import random
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from alignbench.errors import InputError
from alignbench.workshop.measure.faults import entrances, failing_disk, fuzz
from alignbench.workshop.measure.faults.mutate import mutated_bytes, mutated_json
from alignbench.workshop.measure.faults.tally import Tally
from alignbench.workshop.measure.faults.trial import isolated, outcome_of

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.slow

# The entrances whose inputs take no run of the suite to make.
QUICK = ("jsonl", "labels", "npy", "specs", "yaml", "gates")


def _raises(error: BaseException) -> Callable[[], object]:
    def attempt() -> None:
        raise error

    return attempt


@pytest.mark.parametrize(
    ("attempt", "outcome"),
    [
        (lambda: None, "accepted"),
        (_raises(InputError("x")), "refused"),
        (_raises(SystemExit(4)), "refused"),
        (_raises(SystemExit(0)), "accepted"),
        (_raises(KeyError("x")), "traceback"),
        (_raises(MemoryError()), "traceback"),
    ],
)
def test_only_errors_of_ours_are_refusals(attempt: Callable[[], object], outcome: str) -> None:
    assert outcome_of(attempt)[0] == outcome


def test_a_crash_and_a_hang_cost_only_their_own_process() -> None:
    assert isolated(lambda: os._exit(3), 60)[0] == "crash"
    assert isolated(threading.Event().wait, 0.2)[0] == "hang"
    assert isolated(lambda: None, 60)[0] == "accepted"


def test_only_faults_count_as_failures() -> None:
    tally = Tally("x")
    for outcome in ("accepted", "refused", "traceback", "lost", "hang", "crash", "silent"):
        tally.add(outcome, "input")
    assert tally.failures == 5
    assert len(tally.examples) == 5


def test_mutations_are_those_of_their_seed_and_change_something() -> None:
    data, value = b"a line of text, and more", {"a": [1, {"b": "c"}], "d": None}
    drawn = [
        (mutated_bytes(data, random.Random(i)), mutated_json(value, random.Random(i))) for i in range(50)
    ]
    again = [
        (mutated_bytes(data, random.Random(i)), mutated_json(value, random.Random(i))) for i in range(50)
    ]
    assert drawn == again
    assert len({d for d, _ in drawn}) > 25
    assert len({j for _, j in drawn}) > 25
    assert value == {"a": [1, {"b": "c"}], "d": None}


def test_the_fuzzer_tells_a_raw_exception_and_a_hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def entrance(_: Path) -> Any:
        calls = iter([None, InputError("x"), KeyError("x"), KeyError("x")])

        def feed(_: random.Random) -> None:
            error = next(calls, None)
            if error is not None:
                raise error

        return feed

    monkeypatch.setitem(entrances.ENTRANCES, "planted", entrance)
    tally = fuzz.fuzz("planted", 1, 0, tmp_path, most=5)
    assert dict(tally.counts) == {"accepted": 2, "refused": 1, "traceback": 2}
    assert len(tally.examples) == 1  # the same fault twice is one example


@pytest.mark.parametrize("name", QUICK)
def test_mutated_input_is_accepted_or_refused_in_our_words(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    tally = fuzz.fuzz(name, 5, 7, tmp_path, most=60)
    assert tally.inputs == 60
    assert tally.failures == 0, tally.examples


@pytest.mark.parametrize(
    ("event", "args", "path"),
    [
        ("open", ("/x/a", "w", 0), "/x/a"),
        ("open", ("/x/a", "rb+", 0), "/x/a"),
        ("open", ("/x/a", None, os.O_WRONLY | os.O_CREAT), "/x/a"),
        ("open", ("/x/a", "r", os.O_RDONLY), None),
        ("open", (3, "w", 0), None),
        ("os.mkdir", ("/x/a", 0o777, -1), "/x/a"),
        ("os.rename", ("/x/a", "/x/b", -1, -1), "/x/b"),
        ("os.remove", ("/x/a", -1), None),
    ],
)
def test_the_failing_disk_sees_what_writes(event: str, args: tuple[object, ...], path: str | None) -> None:
    assert failing_disk.written(event, args) == path


def test_places_of_two_runs_have_one_pattern() -> None:
    first = failing_disk.pattern("/x/reports/20261128-081359-coral/.tmp-12-ab34cd56.json", "/x")
    second = failing_disk.pattern("/x/reports/20251231-235959-coral/.tmp-7-00ffee11.json", "/x")
    assert first == second == "reports/#-#-coral/.tmp-#-#.json"


def test_the_failing_disk_holds_in_every_process_of_a_run(tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(Path(failing_disk.__file__).read_text())
    code = (
        "import errno, pathlib, sys\n"
        "root = pathlib.Path(sys.argv[1])\n"
        "(root / 'fine').write_text('x')\n"
        "try: (root / 'full').write_text('x')\n"
        "except OSError as error: print(errno.errorcode[error.errno])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        env={
            **os.environ,
            "PYTHONPATH": str(site),
            failing_disk.VARIABLE: f'{{"root": "{tmp_path}", "place": "full", "errno": {errno.ENOSPC}}}',
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "ENOSPC"
