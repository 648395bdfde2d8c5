"""Which names a data type may have: the reserved word, and the check that every name goes through."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alignbench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable

ALL = "all"
"""The name under which scores over all types are filed, and the type of samples of unknown type."""

RESERVED = {ALL: "scores over all types are filed under it"}
MOST_CHARACTERS = 64


def check_free(name: str) -> str:
    """Return `name` if it is not reserved.

    Raises:
        DataError: the name is reserved.
    """
    if name in RESERVED:
        raise DataError(f"{name!r} can't be the name of a data type: {RESERVED[name]}; name it otherwise")
    return name


def check_type(name: str) -> str:
    """Return `name` if a data type can have it: tables show the name, and options refer to it.

    Raises:
        DataError: it is reserved, empty or longer than 64 characters, or has an unprintable character, white
            space around it, or a comma.
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
    """Check that all types are known or none is: a mixture would give scores of two things one name.

    Raises:
        DataError: the reserved word occurs among other names.
    """
    different = set(names)
    if ALL in different and len(different) > 1:
        other = min(different - {ALL})
        raise DataError(f"data types {ALL!r} and {other!r}: {ALL!r} is reserved: {RESERVED[ALL]}")
