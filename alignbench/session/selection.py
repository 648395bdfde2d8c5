"""Which models tests need, told by their names: an xdist controller has nothing else."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from alignbench.projectors import OF_PATCHES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

JOIN = "+"
_USES_PATCHES = re.compile(rf"{OF_PATCHES}|patch")  # in a test's id, where that is all there is


@dataclass(frozen=True, slots=True)
class ModelNames:
    """The names of the models that the collected tests use, in the order of their first use.

    Args:
        vision: encoders.
        text: LLMs.
        patches: those of the encoders whose patches are used, too.
    """

    vision: tuple[str, ...] = ()
    text: tuple[str, ...] = ()
    patches: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.vision or self.text)


def needed_by_ids(ids: Iterable[str], vision: Sequence[str], text: Sequence[str]) -> ModelNames:
    """Return the models that the test ids name: longest names first, so that `mini-clip` is not `clip`.

    Tests that use patches are known by their ids alone, too: they say "patch" or name the patches' projector.
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
    """Return those of the names that the parameters of tests hold: the longest where one holds another."""
    brackets = {match.group(1) for node in ids if (match := re.search(r"\[(.*)\]$", node))}
    found = set()
    for bracket in brackets:
        rest = bracket
        for name in sorted(names, key=len, reverse=True):
            rest, hits = re.subn(rf"(?<![\w.]){re.escape(name)}(?![\w.])", "\0", rest)
            if hits:
                found.add(name)
    return found
