from __future__ import annotations

import threading
from queue import Queue

import pytest

from alignbench.plugin.terminal import Printer
from alignbench.session.environment import machine, versions
from alignbench.session.selection import needed_by_ids


def test_versions_name_what_scores_depend_on() -> None:
    assert {"python", "numpy", "torch", "transformers", "pillow", "alignbench"} <= set(versions())


def test_the_machine_is_described() -> None:
    assert machine()["cores"] >= 1


def test_longest_names_are_found_first_in_ids() -> None:
    needed = needed_by_ids(
        ["t.py::test_cka[linear_cka-mini-clip-mini-llama]", "t.py::test_vv[ncoral-clip.b+other]"],
        ("clip", "mini-clip", "clip.b", "other", "unused"),
        ("llama", "mini-llama"),
    )
    assert needed.vision == ("mini-clip", "clip.b", "other")
    assert needed.text == ("mini-llama",)


@pytest.fixture
def lines() -> Queue[list[str]]:
    return Queue()


@pytest.fixture
def printer(pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch, lines: Queue[list[str]]) -> Printer:
    printer = Printer(pytestconfig)
    monkeypatch.setattr(printer, "lines", lines.put)
    return printer


def test_long_work_asks_for_patience(printer: Printer, lines: Queue[list[str]]) -> None:
    with printer.patience("wait", seconds=0.01):
        assert lines.get(timeout=10) == ["wait"]
    assert lines.empty()


def test_short_work_asks_for_no_patience(printer: Printer, lines: Queue[list[str]]) -> None:
    before = set(threading.enumerate())
    with printer.patience("wait", seconds=60.0):
        [timer] = set(threading.enumerate()) - before
    timer.join(timeout=10)
    assert not timer.is_alive()
    assert lines.empty()
