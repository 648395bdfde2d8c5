"""What a data type may be called: the reserved word, and the check wherever a name comes in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable

ALL = "all"
"""What scores over all types are filed under; and the type of samples of which no type is known."""

RESERVED = {ALL: "scores over all types are filed under it"}
MOST_CHARACTERS = 64


def check_free(name: str) -> str:
    """Return `name` if it is not reserved.

    Raises:
        DataError: it is.
    """
    if name in RESERVED:
        raise DataError(f"{name!r} can't be the name of a data type: {RESERVED[name]}; name it otherwise")
    return name


def check_type(name: str) -> str:
    """Return `name` if it can be that of a data type: tables show it and options name it.

    Raises:
        DataError: reserved, empty, more than 64 characters, unprintable ones, white space around it, or a
            comma.
    """
    if (
        not name
        or not name.isprintable()
        or len(name) > MOST_CHARACTERS
        or "," in name
        or name != name.strip()
    ):
        raise DataError(
            f"{name[:MOST_CHARACTERS]!r} can't be the name of a data type: expected 1 to {MOST_CHARACTERS} "
            "printable characters, no comma, and no white space around them"
        )
    return check_free(name)


def check_unmixed(names: Iterable[str]) -> None:
    """Check that types are either all known or all unknown: with both, scores of two things have one name.

    Raises:
        DataError: the reserved word stands among other names.
    """
    different = set(names)
    if ALL in different and len(different) > 1:
        other = min(different - {ALL})
        raise DataError(f"data types {ALL!r} and {other!r}: {ALL!r} is reserved: {RESERVED[ALL]}")
