"""Every block of code of README and docs is run, or a table says which other test runs it or why none does.

Commands are read by the parsers that would read them, with their options, values and names; some are run.
"""

from __future__ import annotations

import csv
import importlib.util
import inspect
import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import pytest
import yaml

from alignbench.config import load_config
from alignbench.encoders import ENCODERS
from alignbench.errors import DataError
from alignbench.executors.on_ray import INSTALL
from alignbench.experiments.validity.table import read_table
from alignbench.metrics import METRICS
from alignbench.plugin.options import read_options
from alignbench.tests import docs_given
from alignbench.tests.docs_blocks import (
    PAGES,
    Block,
    all_blocks,
    blocks_of,
    commands_of,
    inline_commands,
)
from alignbench.tests.docs_commands import WrongCommandError, checked, parsed_by_pytest, parts_of

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
BLOCKS = all_blocks()
PYTHON = [
    block for block in BLOCKS if block.language == "python" and not docs_given.run_by(block.page, block.text)
]


def own_names(page: str) -> set[str]:
    """Return the names that the Python of a page registers, and others in its quotation marks."""
    python = "\n".join(block.text for block in BLOCKS if block.page == page and block.kind == "python")
    return set(re.findall(r'"([\w-]+)"', python))


def commands(page: str) -> Iterator[tuple[Block, str]]:
    """Yield the commands of a page, those of its blocks and those between backticks in its text."""
    text = PAGES[page].read_text(encoding="utf-8")
    for block in blocks_of(page, text):
        if block.kind == "command":
            for line in commands_of(block.text):
                yield block, line
        elif block.language == "yaml":  # the steps of a workflow
            for line in re.findall(r"^- run: (.*)$", block.text, re.M):
                yield block, line
    for block in inline_commands(page, text):
        bare = len(block.first.split()) == 2 and block.first.startswith("alignbench ")  # names a command
        if "NAME" not in block.first and block.first not in docs_given.FORMS and not bare:
            yield block, block.first


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the files that commands of the docs name."""
    for name in ("page.png", "photo.png"):
        (tmp_path / name).touch()
    for name in ("PairAnnotation/test", "JPEGImages"):
        (tmp_path / "SPair-71k" / name).mkdir(parents=True)
    docs_given.for_table(tmp_path)
    (tmp_path / "table.csv").rename(tmp_path / "mine.csv")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_commands_are_those_that_a_user_can_type(page: str, folder: Path) -> None:
    wrong = []
    for block, line in commands(page):
        for words in parts_of(line):
            if docs_given.reason_not_run(" ".join(words)):
                continue
            try:
                checked(words, own_names(page))
            except WrongCommandError as error:
                if INSTALL in str(error) and importlib.util.find_spec("ray") is None:
                    continue
                wrong.append(f"{block}: {error}")
    assert not wrong, "\n".join(wrong)


def test_every_block_is_of_a_known_kind() -> None:
    assert len(BLOCKS) > 100
    for block in BLOCKS:
        assert block.kind


def test_what_another_test_runs_is_on_a_page_that_it_reads() -> None:
    for page, begins in docs_given.RUN_BY.items():
        texts = [block.text for block in BLOCKS if block.page == page]
        for begin, test in begins.items():
            assert any(text.startswith(begin) for text in texts), f"{page} has no block {begin!r}"
            assert not test or page in (HERE / test).read_text(encoding="utf-8"), f"{test} reads no {page}"
    everything = "\n".join(text.read_text(encoding="utf-8") for text in PAGES.values())
    for begin in (*docs_given.NOT_RUN, *docs_given.FORMS):
        assert begin in everything, f"no page has {begin!r}"


def test_what_is_shown_or_a_script_is_of_a_test() -> None:
    for block in BLOCKS:
        if block.kind in ("shown", "script", "txt", "json"):
            told = docs_given.run_by(block.page, block.text) or docs_given.reason_not_run(block.text)
            assert told, f"{block}: say in docs_given.py which test checks it"


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.kind in ("csv", "yaml", "toml")], ids=str)
def test_data_are_of_their_form(block: Block, folder: Path) -> None:
    if docs_given.run_by(block.page, block.text):
        return
    if block.kind == "yaml":
        found = yaml.safe_load(block.text)
        if isinstance(found, list):
            assert all({"run", "uses"} & step.keys() for step in found)
        else:
            (folder / "alignbench.yaml").write_text(block.text, encoding="utf-8")
            assert load_config(folder=folder).encoders.items() >= found["vision_encoders"].items()
    elif block.kind == "csv":
        header, *rows = csv.reader(io.StringIO(block.text))
        assert all(len(row) == len(header) for row in rows)
        (folder / "mine.csv").write_text(block.text, encoding="utf-8")
        with pytest.raises(DataError, match="at least"):  # of two rows
            read_table(folder / "mine.csv")
    else:
        (folder / "pyproject.toml").write_text(block.text, encoding="utf-8")
        read_options(parsed_by_pytest())


@pytest.mark.slow
@pytest.mark.parametrize("block", PYTHON, ids=str)
def test_python_runs(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for begin, given in docs_given.GIVEN.items():
        if block.text.startswith(begin):
            names |= given(tmp_path)
    code = block.text
    for shown, instead in docs_given.INSTEAD.items():
        code = code.replace(shown, instead)
    metrics, encoders = METRICS.names(), ENCODERS.names()
    try:
        exec(compile(code, str(block), "exec"), names)
        for name, test in list(names.items()):
            if name.startswith("test_"):
                test(**{wanted: names[wanted] for wanted in inspect.signature(test).parameters})
    finally:
        for name in set(METRICS.names()) - set(metrics):
            METRICS.remove(name)
        for name in set(ENCODERS.names()) - set(encoders):
            ENCODERS.remove(name)
        plt.close("all")
