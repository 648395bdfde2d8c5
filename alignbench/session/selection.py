"""Which models tests need, by the tests' ids alone, because an xdist controller has nothing else."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from alignbench.projectors import OF_PATCHES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

JOIN = "+"
_USES_PATCHES = re.compile(rf"{OF_PATCHES}|patch")  # in the id of a test


@dataclass(frozen=True, slots=True)
class ModelNames:
    """The names of the models that the collected tests use, in the order of their first use.

    Args:
        vision: the encoders.
        text: the LLMs.
        patches: the encoders whose patches are used, too.
    """

    vision: tuple[str, ...] = ()
    text: tuple[str, ...] = ()
    patches: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.vision or self.text)


def needed_by_ids(ids: Iterable[str], vision: Sequence[str], text: Sequence[str]) -> ModelNames:
    """Return the models that the test ids name.

    A test uses patches if its id contains "patch" or the name of the projector of patches.
    """
    nodes = set(ids)
    used = named_in(nodes, (*vision, *text))
    patched = named_in({node for node in nodes if _USES_PATCHES.search(node.partition("::")[2])}, vision)
    return ModelNames(
        tuple(n for n in vision if n in used),
        tuple(n for n in text if n in used),
        tuple(n for n in vision if n in patched),
    )


def named_in(ids: Iterable[str], names: Sequence[str]) -> set[str]:
    """Return the names that occur in the parameters of tests, and not only as a part of a longer name."""
    brackets = {match.group(1) for node in ids if (match := re.search(r"\[(.*)\]$", node))}
    named = set()
    for bracket in brackets:
        rest = bracket
        for name in sorted(names, key=len, reverse=True):
            rest, hits = re.subn(rf"(?<![\w.]){re.escape(name)}(?![\w.])", "\0", rest)
            if hits:
                named.add(name)
    return named
