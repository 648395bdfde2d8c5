"""Which column of a table is what: as the options say, else by the names that people give to columns."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from alignbench.datasets.reading import ROLES
from alignbench.datasets.row import shown
from alignbench.errors import ConfigError, DataError
from alignbench.registry import unknown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from alignbench.datasets.reading import Reading

USUAL_NAMES: Mapping[str, tuple[str, ...]] = {
    "image": (
        *("image", "images", "img", "image_path", "image_file", "img_path", "file_name", "filename"),
        *("filepath", "file_path", "image_name", "path", "file", "image_bytes", "jpg", "png", "webp"),
    ),
    "text": ("caption", "captions", "text", "texts", "answer", "answers", "sentence", "sentences", "txt"),
    "question": ("question", "query", "instruction", "prompt"),
    "type": ("data_type", "type", "category", "class"),
    "group": ("group", "group_id"),
    "id": ("id", "sample_id", "key", "index", "uid"),
}
"""The names that columns have in data sets that people share, by role, the usual ones first."""
OTHER_TEXT = ("description", "comment", "alt_text", "response", "title", "raw")
"""The names of a text that is read if no column has a usual name."""
NONE = "none"
"""`--align-columns text=none`: there are images without texts."""
_NUMBERED = re.compile(r"(caption|text|answer|sentence)[_ ]?\d+")


@dataclass(frozen=True, slots=True)
class Columns:
    """The names of the columns that are read; None for a role that no column has.

    Args:
        image: the image's name or content.
        texts: the wordings of its text.
        silent: whether there is no text, which is so if the options say so, or if there is a column of types
            and every column is known to be something else.
    """

    image: str | None
    texts: tuple[str, ...]
    question: str | None = None
    type: str | None = None
    group: str | None = None
    id: str | None = None
    silent: bool = False

    def __str__(self) -> str:
        text = NONE if self.silent else "+".join(self.texts)
        roles = {"image": self.image, "text": text, "question": self.question}
        roles |= {"type": self.type, "group": self.group, "id": self.id}
        return ", ".join(f"{role}={column}" for role, column in roles.items() if column)


def choose_columns(names: Iterable[str], reading: Reading) -> Columns:
    """Return which of the columns are read.

    Raises:
        DataError: a column that an option names is not there, there is none for the image or none for its
            text, or several could be the text.
    """
    plain = {name.strip().lower(): name for name in reversed([str(name) for name in names])}
    for role, wanted in reading.columns.items():
        for name in wanted:
            if name not in plain.values() and (role, wanted) != ("text", (NONE,)):
                raise DataError(f"--align-columns {role}={name}: {unknown('column', name, _names(plain))}")
    image = _first(plain, "image", reading)
    question = _first(plain, "question", reading)
    type_column = reading.type_column
    if type_column is None and reading.type_from is None:
        type_column = _first(plain, "type", reading)
    elif type_column is not None and type_column not in plain.values():
        raise DataError(f"--align-type-from: {unknown('column', type_column, _names(plain))}")
    group = _first(plain, "group", reading)
    own = _first(plain, "id", reading)
    texts = _texts(plain, reading)
    if texts == (NONE,) and NONE not in plain.values():
        return Columns(image, (), question, type_column, group, own, silent=True)
    known = {image, type_column, group, own}
    silent = not texts and type_column is not None and set(plain.values()) <= known
    return Columns(image, texts, question, type_column, group, own, silent)


def check_complete(columns: Columns, names: Iterable[str]) -> Columns:
    """Return the columns if images and texts are among them, or images alone.

    Raises:
        DataError: one of them is missing; the message names the columns that there are.
    """
    if columns.image is not None and (columns.texts or columns.silent):
        return columns
    lacking = "the image" if columns.image is None else "the text"
    role = "image" if columns.image is None else "text"
    also = "" if columns.image is None else f", and text={NONE} that there is none"
    raise DataError(
        f"no column is known to be {lacking}; there are {', '.join(map(shown, names))}: "
        f"--align-columns {role}=COLUMN says which one is{also}"
    )


def check_unique(columns: Columns, names: Sequence[str]) -> Columns:
    """Return the columns if no two columns have the name of one that is read.

    Raises:
        DataError: there are two of them: which one is meant could only be guessed.
    """
    read = (columns.image, *columns.texts, columns.question, columns.type, columns.group, columns.id)
    for name in read:
        if name is not None and names.count(name) > 1:
            raise DataError(f"{names.count(name)} columns are called {shown(name)}; rename all but one")
    return columns


def parse_columns(texts: Sequence[str], spelled: str) -> dict[str, tuple[str, ...]]:
    """Return role -> columns from texts such as `image=img` and `text=caption_0+caption_1`.

    Raises:
        ConfigError: a text has another form, or its role is unknown.
    """
    roles: dict[str, tuple[str, ...]] = {}
    for text in texts:
        role, equals, column = text.partition("=")
        if not equals or not role or not column:
            raise ConfigError(f"{spelled}: expected ROLE=COLUMN, got {text!r}; roles: {', '.join(ROLES)}")
        if role not in ROLES:
            raise ConfigError(f"{spelled}: {unknown('role', role, dict.fromkeys(ROLES))}")
        several = tuple(column.split("+")) if role == "text" else (column,)
        if role in roles and role != "text":
            raise ConfigError(f"{spelled}: {role} is given twice, {roles[role][0]!r} and {column!r}")
        roles[role] = (*roles.get(role, ()), *several)
    return roles


def _first(plain: Mapping[str, str], role: str, reading: Reading) -> str | None:
    if reading.columns.get(role):
        return reading.columns[role][0]
    return next((plain[name] for name in USUAL_NAMES[role] if name in plain), None)


def _texts(plain: Mapping[str, str], reading: Reading) -> tuple[str, ...]:
    if reading.columns.get("text"):
        return reading.columns["text"]
    numbered = [name for name in plain if _NUMBERED.fullmatch(name)]
    usual = [name for name in USUAL_NAMES["text"] if name in plain]
    if len(usual) > 1:
        listed = " and ".join(shown(plain[name]) for name in usual)
        raise DataError(f"columns {listed} could be the text: --align-columns text={plain[usual[0]]} decides")
    if usual:
        return (plain[usual[0]],)
    if numbered:
        return tuple(plain[name] for name in reversed(numbered))
    other = next((name for name in OTHER_TEXT if name in plain), None)
    return () if other is None else (plain[other],)


def _names(plain: Mapping[str, str]) -> dict[str, Any]:
    return dict.fromkeys(plain.values())
