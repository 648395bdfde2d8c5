"""Which names are public, and which of them the reference describes."""

from __future__ import annotations

import importlib
import inspect
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import alignbench
from alignbench import errors
from alignbench.cli.main import build_parser
from alignbench.config import load_config
from alignbench.datasets import READERS
from alignbench.experiments import experiments
from alignbench.findings import FLAGS
from alignbench.findings.files import SCHEMA
from alignbench.metrics import METRICS
from alignbench.options import OPTIONS
from alignbench.plots import FIGURES
from alignbench.plugin import hookspecs
from alignbench.show.glossary import measures
from alignbench.workshop.sections import DOCS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_IMPORTED = re.compile(r"^from (alignbench(?:\.\w+)*) import ([\w, ]+)$", re.M)


@dataclass(frozen=True, slots=True)
class Named:
    """A public name.

    Args:
        kind: what it is, in the plural.
        page: the page of the site that has to describe it.
        name: the name as that page writes it.
        about: what is said of it; empty if nothing is.
    """

    kind: str
    page: str
    name: str
    about: str


def python_names() -> dict[str, list[str]]:
    """Return module -> the public names in it: what `import alignbench` offers, and what pages import."""
    found: dict[str, set[str]] = {}
    for page in sorted(DOCS.glob("*.md")):
        for module, names in _IMPORTED.findall(page.read_text(encoding="utf-8")):
            found.setdefault(module, set()).update(name.strip() for name in names.split(","))
    known = {name for name in alignbench.__all__ if not name.startswith("_")}
    found["alignbench"] = found.get("alignbench", set()) | known
    return {module: sorted(found[module]) for module in sorted(found)}


def errors_of_users() -> dict[str, type[Exception]]:
    """Return name -> class of each error that a caller may catch."""
    classes = vars(errors).items()
    return {
        name: thing
        for name, thing in classes
        if inspect.isclass(thing) and issubclass(thing, errors.AlignbenchError)
    }


def hooks() -> dict[str, Any]:
    """Return name -> function of each hook of pytest that others can implement."""
    return {name: thing for name, thing in vars(hookspecs).items() if name.startswith("pytest_")}


def commands() -> Mapping[str, Any]:
    """Return name -> the parser of each command of `alignbench`, experiments included."""
    (found,) = (action.choices for action in build_parser()._actions if isinstance(action.choices, dict))
    return found


def public_names() -> Iterator[Named]:
    """Yield every name that a user may write or read."""
    for module, names in python_names().items():
        for name in names:
            about = inspect.getdoc(getattr(importlib.import_module(module), name)) or ""
            yield Named("names in Python", "reference/python.md", name, about)
    for name, thing in errors_of_users().items():
        yield Named("errors", "reference/python.md", name, inspect.getdoc(thing) or "")
    for name, thing in hooks().items():
        yield Named("hooks", "reference/python.md", name, inspect.getdoc(thing) or "")
    for name, parser in commands().items():
        yield Named("commands", "reference/commands.md", f"alignbench {name}", parser.description or "")
    for option in OPTIONS:
        yield Named("options", "reference/options.md", option.flag, option.help)
    for name in METRICS.names():
        yield Named("metrics", "reference/metrics.md", name, measures(name))
    for one in experiments():
        yield Named("experiments", "reference/experiments.md", one.name, one.question)
    config = load_config()
    for name, source in {**config.encoders, **config.llms}.items():
        yield Named("models", "reference/models.md", name, source)
    for name in READERS.names():
        yield Named("readers", "reference/readers.md", name, READERS.get(name).summary)
    for name, flag in FLAGS.items():
        yield Named("flags", "reference/flags.md", name, flag.meaning)
    for name in FIGURES.names():
        caption = FIGURES.get(name).caption
        yield Named("figures", "gallery.md", name, "" if caption is None else caption.read)
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    for part in (schema, *schema["$defs"].values()):
        for name, field in part.get("properties", {}).items():
            yield Named("fields of scores.json", "reference/scores.md", name, field.get("description", ""))


def coverage(pages: Mapping[str, str]) -> dict[str, tuple[int, list[str]]]:
    """Return kind -> how many names there are, and those that are not described.

    Args:
        pages: name -> text of each page of the site.
    """
    found: dict[str, tuple[int, list[str]]] = {}
    for one in public_names():
        total, missing = found.get(one.kind, (0, []))
        shown = re.search(rf"(`|::: [\w.]*\b|^#+ ){re.escape(one.name)}\b", pages.get(one.page, ""), re.M)
        found[one.kind] = (total + 1, missing if one.about and shown else [*missing, one.name])
    return found
