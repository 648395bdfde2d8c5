"""The pages of the reference, made of the registries, the schema and the docstrings."""

from __future__ import annotations

import importlib
import inspect
import json
from typing import TYPE_CHECKING, Any

from alignbench.config import load_config
from alignbench.datasets import READERS
from alignbench.experiments import experiments
from alignbench.findings import FLAGS
from alignbench.findings.files import SCHEMA
from alignbench.metrics import METRICS
from alignbench.options import OPTIONS
from alignbench.session import table as options_table  # noqa: F401 (declares the options)
from alignbench.show.glossary import measures
from alignbench.show.text import markdown, table
from alignbench.workshop.site.coverage import commands, errors_of_users, hooks, python_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


_WIDE = "---\nhide: [toc]\n---"  # tables get the room of the list of headings


def reference_pages() -> dict[str, str]:
    """Return name -> text of the pages of the reference."""
    return {
        "metrics": _metrics(),
        "experiments": _experiments(),
        "options": _options(),
        "models": _models(),
        "readers": _readers(),
        "flags": _flags(),
        "scores": _scores(),
        "python": _python(),
        "commands": _commands(),
    }


def _page(title: str, about: str, *parts: str) -> str:
    return "\n\n".join((_WIDE, f"# {title}", about, *parts)) + "\n"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    return "\n".join(table(list(head), [list(row) for row in rows]))


def _code(text: object) -> str:
    return f"`{text}`" if str(text) else ""


def _metrics() -> str:
    rows = []
    for metric in map(METRICS.get, METRICS.names()):
        low, high = (f"{bound:g}".replace("inf", "∞") for bound in metric.bounds)
        rows.append(
            (
                _code(metric.name),
                markdown(measures(metric.name)),
                "yes" if metric.pairing else "no",
                f"[{low}, {high}]",
                "higher" if metric.higher_is_better else "lower",
                ", ".join(metric.invariant_to).replace("_", " "),
            )
        )
    head = ("metric", "what it measures", "sees the pairing", "range", "better", "unchanged by")
    about = (
        "The registered metrics with their declared properties, which Hypothesis checks. "
        "[metrics](../metrics.md) has the formulas."
    )
    return _page("Metrics", about, _table(head, rows))


def _experiments() -> str:
    rows = [
        (
            _code(one.name),
            _code(f"alignbench {one.command}"),
            markdown(one.question),
            ", ".join(map(_code, one.options)),
        )
        for one in experiments()
    ]
    about = (
        "The experiments that are registered. [experiments](../experiments.md) says what each one does "
        "and how to add your own."
    )
    return _page("Experiments", about, _table(("marker", "command", "answers", "its own options"), rows))


def _options() -> str:
    groups: dict[str, list[tuple[str, ...]]] = {}
    for option in OPTIONS:
        default = option.default
        shown = "" if default is None or callable(default) else _plain(default)
        title = option.group or "single experiments"
        groups.setdefault(title, []).append(
            (_code(option.flag), _code(option.name), shown, markdown(option.help))
        )
    head = ("pytest", "Python, and pytest's configuration file", "default", "what it sets")
    parts = [f"## Options of {title}\n\n{_table(head, rows)}" for title, rows in groups.items()]
    about = (
        "Each option is declared once. pytest takes it as the flag that is shown, the command `alignbench` "
        "without `align-`, `Session` as a keyword, and pytest's configuration file with the prefix "
        "`alignbench_`."
    )
    return _page("Options", about, *parts)


def _plain(default: object) -> str:
    if isinstance(default, tuple):
        return ", ".join(map(str, default))
    return (
        {True: "yes", False: "no"}.get(default, str(default)) if isinstance(default, bool) else str(default)
    )


def _models() -> str:
    config = load_config()
    parts = [
        f"## {title}\n\n{_table(('name', 'weights'), [map(_code, item) for item in named.items()])}"
        for title, named in (("Encoders", config.encoders), ("LLMs", config.llms))
    ]
    about = (
        "The names of the packaged configuration; `alignbench.yaml` adds yours. [models](../models.md) says "
        "what else can be named, and `alignbench list` shows widths, sizes and licences."
    )
    return _page("Named models", about, *parts)


def _readers() -> str:
    rows = [(_code(name), markdown(READERS.get(name).summary)) for name in READERS.names()]
    about = (
        "The readers of data, in the order in which they are tried. [data](../data.md) has a recipe for each "
        "format."
    )
    return _page("Readers", about, _table(("reader", "what it reads"), rows))


def _flags() -> str:
    rows = [(flag.letter, _code(name), markdown(flag.meaning)) for name, flag in FLAGS.items()]
    return _page(
        "Flags",
        "What speaks against a score, as tables mark it.",
        _table(("mark", "flag", "what it means"), rows),
    )


def _scores() -> str:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    parts = [f"## The file\n\n{_fields(schema)}"]
    parts += [
        f"## {name}\n\n{_fields(part)}" for name, part in schema["$defs"].items() if "properties" in part
    ]
    about = (
        "The fields of `scores.json`, from its JSON Schema, which is "
        "`alignbench/findings/scores.schema.json`."
    )
    return _page("scores.json", about, *parts)


def _fields(part: Mapping[str, Any]) -> str:
    needed = set(part.get("required", ()))
    rows = [
        (
            _code(name),
            markdown(_type(field)),
            "always" if name in needed else "",
            markdown(field.get("description", "")),
        )
        for name, field in part["properties"].items()
    ]
    return _table(("field", "type", "there", "what it is"), rows)


def _type(field: Mapping[str, Any]) -> str:
    if "$ref" in field:
        return str(field["$ref"]).rpartition("/")[2]
    if "const" in field:
        return str(field["const"])
    if "enum" in field:
        return ", ".join(map(str, field["enum"]))
    named = field.get("type", "")
    if named == "array":
        return f"list of {_type(field.get('items', {})) or 'values'}"
    return " or ".join(named) if isinstance(named, list) else str(named)


def _python() -> str:
    parts = []
    for module, names in python_names().items():
        parts.append(f"## From `{module}`")
        parts += [_thing(module, name) for name in names]
    raised = [(_code(name), markdown(_first_line(thing))) for name, thing in errors_of_users().items()]
    parts.append(f"## Errors\n\n{_table(('in `alignbench.errors`', 'what it says'), raised)}")
    parts.append("## Hooks of pytest")
    parts += [
        f"::: {thing.__module__}.{name}\n    options: {{heading_level: 3}}" for name, thing in hooks().items()
    ]
    about = (
        "What `import alignbench` offers, and what the other pages import from its packages. "
        "[library](../library.md) and [experiments](../experiments.md) show it in use."
    )
    return _page("Python", about, *parts)


def _thing(module: str, name: str) -> str:
    """Return the part about a name: the docstring of a class or a function, or a sentence about an object."""
    thing = getattr(importlib.import_module(module), name)
    if inspect.isclass(thing) or inspect.isfunction(thing):
        return f"::: {thing.__module__}.{thing.__qualname__}\n    options: {{heading_level: 3}}"
    return f"### `{name}`\n\nOf the class `{type(thing).__name__}`. {markdown(_first_line(thing))}"


def _first_line(thing: object) -> str:
    return (inspect.getdoc(thing) or "").partition("\n")[0]


def _commands() -> str:
    of_experiments = {one.command for one in experiments()}
    rows = [
        (_code(f"alignbench {name}"), markdown((parser.description or "").partition(". The options are")[0]))
        for name, parser in commands().items()
    ]
    parts = [_table(("command", "what it does"), rows)]
    parts += [
        f"## alignbench {name}\n\n```text\n{parser.format_help().strip()}\n```"
        for name, parser in commands().items()
        if name not in of_experiments
    ]
    about = (
        "The commands of `alignbench`. Those of experiments take the [options](options.md) without `align-`; "
        "`alignbench NAME --help` lists them. [command](../command.md) shows them in use."
    )
    return _page("Commands", about, *parts)
