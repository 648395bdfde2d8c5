"""Checks of data that somebody else wrote: the first violation of its JSON Schema."""

from __future__ import annotations

import json
import math
import reprlib
from functools import cache
from typing import TYPE_CHECKING, Any

from alignbench.registry import unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

_KINDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a finite number",
    "boolean": "true or false",
    "object": "a mapping",
    "array": "a list",
    "null": "nothing (null)",
}
_LARGEST = 2**63
_SHOWN = reprlib.Repr()
_SHOWN.maxlevel, _SHOWN.maxdict, _SHOWN.maxlist, _SHOWN.maxstring, _SHOWN.maxother = 2, 3, 3, 60, 60


def complaint(data: Any, schema: Path, part: str = "") -> str | None:
    """Return the first violation of a JSON Schema, as `KEY: expected ..., got ...`; None if there is none.

    Whole numbers have to fit into 64 bits, and no number may be NaN or infinite, which JSON Schema leaves
    open.

    Args:
        data: plain data, with texts as keys.
        schema: the schema's file.
        part: the name of a definition in the schema that applies instead of the whole schema.
    """
    from jsonschema.exceptions import best_match

    first = next(_validator(schema, part).iter_errors(data), None)
    # Where a value may have several forms, report the violation of the form that was most likely meant.
    error = None if first is None else best_match([first])
    if error is None:
        return None
    place = _place(error.absolute_path)
    about = error.schema.get("description") if isinstance(error.schema, dict) else None
    hint = f" ({about.rstrip('.')})" if about else ""
    return f"{place}{': ' if place else ''}{_violation(error)}{hint}"


def shown(value: Any) -> str:
    """Return a value as messages show it: short, however large or nested it is."""
    try:
        return _SHOWN.repr(value)
    except ValueError:  # a whole number with thousands of digits
        return f"a {type(value).__name__} that is too long to be shown"


@cache
def _validator(schema: Path, part: str) -> Any:
    from jsonschema import Draft202012Validator, validators

    checker = Draft202012Validator.TYPE_CHECKER.redefine_many({"integer": _is_whole, "number": _is_finite})
    strict = validators.extend(Draft202012Validator, type_checker=checker)
    whole = json.loads(schema.read_text(encoding="utf-8"))
    return strict({"$ref": f"#/$defs/{part}", "$defs": whole["$defs"]} if part else whole)


def _is_whole(_: Any, value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < _LARGEST


def _is_finite(checker: Any, value: Any) -> bool:
    return _is_whole(checker, value) or (isinstance(value, float) and math.isfinite(value))


def _place(path: Iterable[str | int]) -> str:
    """Return `defaults.encoders[1]`."""
    place = ""
    for step in path:
        place += f"[{step}]" if isinstance(step, int) else f".{_plain(step)}" if place else _plain(step)
    return place


def _plain(name: str) -> str:
    return name if name.isprintable() and len(name) <= 60 else shown(name)


def _violation(error: Any) -> str:
    """Describe in words the violated rule of the schema."""
    rule, demanded, got = error.validator, error.validator_value, error.instance
    if rule == "additionalProperties":
        known = error.schema.get("properties", {})
        extra = next(name for name in got if name not in known)
        return unknown("key", _plain(extra), known)
    if rule == "required":
        lacking = next(name for name in demanded if name not in got)
        return f"the key {lacking!r} is missing"
    words: dict[str, Callable[[], str]] = {
        "type": lambda: " or ".join(_KINDS[kind] for kind in _listed(demanded)),
        "minimum": lambda: f"at least {demanded}",
        "maximum": lambda: f"at most {demanded}",
        "exclusiveMinimum": lambda: f"more than {demanded}",
        "exclusiveMaximum": lambda: f"less than {demanded}",
        "minLength": lambda: "a text that is not empty",
        "minItems": lambda: f"a list of at least {demanded}",
        "pattern": lambda: f"text of the form {demanded}",
        "enum": lambda: f"one of {', '.join(map(str, demanded))}",
        "const": lambda: str(demanded),
    }
    expected = words.get(rule, lambda: "another form")()
    return f"expected {expected}, got {shown(got)}"


def _listed(kinds: str | list[str]) -> list[str]:
    return [kinds] if isinstance(kinds, str) else kinds
