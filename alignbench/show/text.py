"""Makes text from data safe for a terminal, for Markdown and for a spreadsheet."""

from __future__ import annotations

import html
import re

from alignbench.text import clean, display_width, fit

_ASCII = str.maketrans({"…": "...", "–": "-", "—": "-", "·": "-", "×": "x", "─": "-", "≤": "<=", "±": "+-"})
_MARKDOWN = re.compile(r"([\\`*\[\]|~$]|(?<![^\W_])_|_(?![^\W_]))")  # _b_ is emphasis, a_b is not
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def encodable(text: str, encoding: str) -> str:
    """Return `text` with characters that `encoding` lacks replaced: typography by ASCII, others by `?`."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return text.translate(_ASCII).encode(encoding, "replace").decode(encoding)
    except LookupError:
        return encodable(text, "ascii")
    return text


def pad(text: str, width: int, align: str = "<") -> str:
    """Return `text` padded with blanks to `width` columns, aligned as in format strings."""
    blanks = " " * max(0, width - display_width(text))
    return blanks + text if align == ">" else text + blanks


def wrap(text: str, width: int, indent: str = "") -> list[str]:
    """Return `text` broken into lines of at most `width` columns, all but the first indented."""
    lines: list[str] = []
    line = ""
    for word in text.split():
        candidate = f"{line} {word}" if line.strip() else line + word
        if display_width(candidate) > width and line.strip():
            lines.append(line)
            candidate = indent + word
        line = fit(candidate, width, "...")
    return [*lines, line] if line.strip() else lines


def markdown(text: object) -> str:
    r"""Return `text` so that Markdown and HTML show it as it is: `<b>` stays text, `a|b` stays in its cell.

    In a pull request, it mentions no person (`@name`), refers to no issue (`#1`) and becomes no link.
    """
    escaped = _MARKDOWN.sub(r"\\\1", html.escape(clean(text), quote=False))
    escaped = re.sub(r"(^|\W)([@#])(?=\w)", r"\1\2<!-- -->", escaped)
    return escaped.replace("://", ":&#47;&#47;").replace("www.", "www&#46;")


def code(text: object) -> str:
    """Return `text` as inline code that shows any text as it is and can be copied from the file.

    A code span cannot contain a backtick or, in a table, a bar, and some readers interpret tags in it; such
    text becomes HTML.
    """
    shown = clean(text)
    return f"<code>{markdown(text)}</code>" if not shown or set(shown) & set("`|<") else f"`{shown}`"


def block(command: object) -> list[str]:
    """Return the lines of a code block from which a command can be copied as it is."""
    shown = clean(command)
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", shown)), default=0))
    return [fence, shown, fence]


def table(head: list[str], rows: list[list[str]], right: frozenset[int] = frozenset()) -> list[str]:
    """Return a Markdown table of escaped cells; the columns in `right` are right-aligned."""
    rule = ["---:" if i in right else "---" for i in range(len(head))]
    return ["| " + " | ".join(cells) + " |" for cells in (head, rule, *rows)]


def csv_cell(value: object) -> object:
    """Return `value` for a spreadsheet: text that looks like a formula is quoted, numbers are unchanged."""
    if isinstance(value, str) and value.startswith(_FORMULA):
        return "'" + value
    return value
