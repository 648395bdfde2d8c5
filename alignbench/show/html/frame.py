"""What every page that alignbench writes has in common: its templates, its styles and its policy."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from alignbench.findings.numbers import probability
from alignbench.plots.declared import needs_of
from alignbench.stats.prediction import worth
from alignbench.text import clean
from alignbench.units import plural


def asset(name: str) -> str:
    """Return the text of a file beside this one."""
    return files("alignbench.show.html").joinpath(name).read_text(encoding="utf-8")


@cache
def environment() -> Environment:
    """Return an environment in which all text is escaped, and cleaned of control characters and line breaks.

    `finalize` is applied to every value that a template writes, so that no template can forget it.
    """
    environment = Environment(
        loader=PackageLoader("alignbench.show.html"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"probability": probability, "plural": plural, "worth": worth, "needs": needs_of}
    return environment


def _shown(value: object) -> object:
    """Return a value as a template writes it: text is cleaned, but keeps a blank before and after it."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    before, after = (" " if value[end : end + 1].isspace() else "" for end in (0, len(value) - 1))
    return f"{before}{clean(value)}{after}"


def policy(style: str, script: str) -> str:
    """Return a policy under which the page loads nothing, and runs no script or style but its own."""
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script)]
    return (
        "default-src 'none'; img-src data:; "
        f"style-src 'sha256-{hashes[0]}'; script-src 'sha256-{hashes[1]}'; "
        "base-uri 'none'; form-action 'none'"
    )
