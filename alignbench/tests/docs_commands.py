"""Checks a command of the docs without running it: with the parser that would read it, and by its names."""

from __future__ import annotations

import argparse
import contextlib
import io
import re
import runpy
import shlex
import sys
import tomllib
import warnings
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from alignbench import encoders, llms
from alignbench.cli import main as run_command
from alignbench.cli.options import given_options
from alignbench.errors import AlignbenchError, WeightsMissingError
from alignbench.experiments import experiments
from alignbench.metrics import METRICS
from alignbench.options import OPTIONS
from alignbench.plugin.options import read_options
from alignbench.session.options import Options
from alignbench.tests.docs_blocks import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

OPERATORS = frozenset({"&&", ">>", ">", "|", ";"})
PLACEHOLDERS = {"..."}
"""Words that stand for what a reader has."""


class WrongCommandError(AssertionError):
    """A command of the docs that a user could not type."""


class _Parsed(Exception):  # noqa: N818
    """Ends a command as soon as its arguments are parsed."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments


def parts_of(line: str) -> Iterator[list[str]]:
    """Yield the words of each command of a line; a redirection's file is no command."""
    words: list[str] = []
    redirected = False
    for word in shlex.split(line):
        if word not in OPERATORS:
            words.append(word)
            continue
        if words and not redirected:
            yield words
        words, redirected = [], word in (">", ">>")
    if words and not redirected:
        yield words


class _Caught:
    """A plugin that keeps the configuration of a pytest run and ends the run before it begins."""

    config: pytest.Config | None = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_cmdline_main(self, config: pytest.Config) -> int:
        self.config = config
        return 0


def parsed_by_pytest(*words: str) -> pytest.Config:
    """Return the configuration of the pytest run that these arguments would start in the current folder.

    `pytester.parseconfig` forgets what is imported meanwhile, and modules in C can't be imported twice.

    Raises:
        AssertionError: pytest refuses them.
    """
    caught = _Caught()
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()) as said:
        warnings.simplefilter("ignore")  # that plugins were imported before
        status = pytest.main(["-p", "no:cacheprovider", *words], plugins=[caught])
    assert caught.config is not None, f"pytest ends with {status}: {said.getvalue().strip()}"
    return caught.config


def checked(words: Sequence[str], own: Iterable[str]) -> None:
    """Check the options, values and names of a command.

    Args:
        words: the command.
        own: names that the page itself registers.

    Raises:
        WrongCommandError: it can't be typed.
    """
    program, *rest = words
    try:
        if program == "alignbench":
            _check_alignbench(rest, own)
        elif program == "pytest":
            _check_pytest(rest, own)
        elif program in ("python", "python3") and rest[:1] == ["-m"] and rest[1].startswith("alignbench."):
            _check_module(rest[1], rest[2:])
        elif program in ("python", "python3") and rest[:1] == ["-c"]:
            compile(rest[1], "docs", "exec")
        elif program == "pip":
            _check_extras(rest)
        elif program == "bash":
            assert (ROOT / rest[0]).is_file(), f"there is no {rest[0]}"
        else:
            raise AssertionError(f"no test knows {program}")
    except (AlignbenchError, AssertionError, SystemExit, SyntaxError, pytest.UsageError) as error:
        raise WrongCommandError(f"{shlex.join(words)}: {error}") from error


def _arguments(command: Callable[[], object]) -> argparse.Namespace:
    """Return the arguments that a command parses; it does not get any further."""
    parse = argparse.ArgumentParser.parse_args

    def parse_only(parser: argparse.ArgumentParser, *args: Any, **kwargs: Any) -> argparse.Namespace:
        raise _Parsed(parse(parser, *args, **kwargs))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, "parse_args", parse_only)
        try:
            status = command()
        except _Parsed as parsed:
            return parsed.arguments
    raise AssertionError(f"it ends with {status} before it has read its arguments")


def _check_alignbench(words: list[str], own: Iterable[str]) -> None:
    at = words.index("--") if "--" in words else len(words)
    arguments = _arguments(lambda: run_command(words[:at]))
    assert arguments.run is not None, "it names no command"
    values = given_options(arguments)
    if values.get("n_samples") is None or arguments.is_run:
        _check_values(values, own)
    for name in ("encoders", "llms"):
        _check_models(name, getattr(arguments, name, None) or (), own)
    _check_keyword(words[at:], own)


def _check_pytest(words: list[str], own: Iterable[str]) -> None:
    config = parsed_by_pytest(*words)
    options = read_options(config)
    for name in ("encoders", "llms"):
        _check_models(name, options.value_of(OPTIONS.get(name)) or (), own)
    _check_metrics(options.value_of(OPTIONS.get("metrics")) or (), own)
    markers = {one.name for one in experiments()} | {"study", "slow", "realweights"}
    _known("marker", re.findall(r"\w+", config.option.markexpr), markers)
    _check_keyword(words, own)
    for word in words:
        if word.startswith(("benchmarks", "alignbench")):
            assert (ROOT / word.partition("::")[0]).exists(), f"there is no {word}"


def _check_values(values: dict[str, Any], own: Iterable[str]) -> None:
    of_page = set(own)
    given = {name: value for name, value in values.items() if name != "metrics"}
    _check_metrics(Options(given).value_of(OPTIONS.get("metrics")) or (), of_page)
    metrics = [one for text in values.get("metrics") or () for one in str(text).split(",")]
    _check_metrics(metrics, of_page)


def _check_metrics(names: Iterable[str], own: Iterable[str]) -> None:
    _known("metric", names, {*METRICS.names(), *own})


def _check_models(side: str, specs: Iterable[str], own: Iterable[str]) -> None:
    resolve = encoders.resolve if side == "encoders" else llms.resolve
    for spec in (one for text in specs for one in text.split(",")):
        if spec in PLACEHOLDERS or spec in own:
            continue
        try:
            resolve(spec)
        except WeightsMissingError:
            assert re.search(r"[/.]", spec), spec  # a reader's file or folder


def _check_keyword(words: Sequence[str], own: Iterable[str]) -> None:
    """Check that `-k` finds something among the names of the benchmarks, their metrics and their models."""
    names = [file.name for file in (ROOT / "benchmarks").glob("test_*.py")]
    names += [*METRICS.names(), *encoders.ENCODERS.names(), *own]
    for flag, expression in pairwise(words):
        if flag == "-k":
            for word in set(re.findall(r"\w+", expression)) - {"and", "or", "not"}:
                assert any(word in name for name in names), f"-k {word} finds nothing"


def _check_module(module: str, words: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [module, *words])
        _arguments(lambda: runpy.run_module(module, run_name="__main__"))


def _check_extras(words: Sequence[str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert words[0] == "install", "no test knows this command of pip"
    for extras in re.findall(r"^(?:\.|alignbench)\[(.+)\]$", "\n".join(words), re.M):
        _known("extra", extras.split(","), project["optional-dependencies"])


def _known(what: str, names: Iterable[str], known: Iterable[str]) -> None:
    unknown = set(names) - {*known, "and", "or", "not"}
    assert not unknown, f"there is no {what} {', '.join(sorted(unknown))}"
