"""Which tensor of a foreign checkpoint has which place in an architecture: by name, or by shape and order."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, TypeVar

from alignbench.errors import ModelError
from alignbench.weights.keys import without_effect
from alignbench.weights.places import contradictions, is_head, role

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

How: TypeAlias = Literal["name", "shape", "shape and order"]

_NAMED = 3  # tensors of one kind that an error names
HEAD = "a classification head"
UNUSED = "without effect on the outputs"
ELSEWHERE = "another part of the file"


class HasShape(Protocol):
    """A tensor of any library."""

    @property
    def shape(self) -> Sequence[int]:
        """Its shape."""
        ...


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Placement:
    """Where one tensor of a file belongs.

    Args:
        source: its key in the file.
        target: its key in the architecture.
        shape: its shape.
        how: what shows that: "name" (the keys are equal, perhaps behind the prefix of all keys), "shape" (no
            other tensor of its role has that shape) or "shape and order" (the k-th of its role and shape).
    """

    source: str
    target: str
    shape: tuple[int, ...]
    how: How


@dataclass(frozen=True, slots=True)
class KeyMapping:
    """The way from a file's tensors to an architecture's.

    Args:
        placements: one for each tensor that is used, in the architecture's order.
        left_out: key in the file -> why that tensor is not used.
        prefix: the prefix of the keys that are used; "" for none.
    """

    placements: tuple[Placement, ...]
    left_out: Mapping[str, str]
    prefix: str

    def applied(self, tensors: Mapping[str, T]) -> dict[str, T]:
        """Return the tensors of the file under the architecture's keys."""
        return {place.target: tensors[place.source] for place in self.placements}


def convert(
    tensors: Mapping[str, HasShape],
    architecture: Mapping[str, HasShape],
    *,
    heads: Collection[str] = (),
    prefix: str | None = None,
    where: str = "the file",
) -> KeyMapping:
    """Find a place in an architecture for the tensors of a checkpoint whose keys may have other names.

    If at least half of the architecture's keys are in the file, perhaps behind a common prefix, only names
    count. Otherwise, the k-th tensor of a role (weight, bias, running mean, running variance) and shape in
    the file is the k-th of that role and shape in the architecture. Both must have equally many of them, and
    nothing in the names or in the order of other shapes may contradict that.

    Args:
        tensors: key -> tensor of the file, in the file's order; a nested file is flattened, with dots.
        architecture: key -> tensor of the model, in its own order (`state_dict()`).
        heads: keys of the architecture's classifier, which the file need not have.
        prefix: the prefix of the keys to use; None to find it.
        where: the file and the architecture, for errors.

    Raises:
        ModelError: tensors are missing, superfluous or of another shape; or several mappings are possible.
    """
    wanted = {key: tuple(tensor.shape) for key, tensor in architecture.items() if not without_effect(key)}
    attempts = [
        _attempt(_Table(start, keys, tensors), wanted, set(heads))
        for start, keys in _tables(tensors, wanted, wanted.keys() - set(heads), prefix).items()
    ]
    if not attempts:
        raise ModelError(_too_few(tensors, wanted, prefix, where))
    fitting = [attempt for attempt in attempts if not attempt.problems]
    fitting = [attempt for attempt in fitting if attempt.by_name] or fitting
    if not fitting:
        closest = min(attempts, key=lambda attempt: (attempt.count, attempt.prefix))
        behind = f" (behind {closest.prefix!r})" if closest.prefix else ""
        raise ModelError(
            f"{where}{behind}: {'; '.join(closest.problems)}; nothing is filled in, so it is refused"
        )
    if len({attempt.sources for attempt in fitting}) > 1:
        prefixes = ", ".join(repr(attempt.prefix) for attempt in fitting)
        raise ModelError(f"{where}: the tensors behind each of {prefixes} fit; choose one with --prefix")
    best = fitting[0]
    unused = {key: ELSEWHERE for key in tensors if key not in best.table.keys}
    return KeyMapping(tuple(best.placements), {**best.left_out, **unused}, best.prefix)


@dataclass(frozen=True)
class _Table:
    """The tensors behind one prefix.

    Args:
        prefix: the prefix.
        listed: their whole keys, in the file's order.
        tensors: all tensors of the file.
    """

    prefix: str
    listed: tuple[str, ...]
    tensors: Mapping[str, HasShape]

    @property
    def keys(self) -> frozenset[str]:
        return frozenset(self.listed)

    def short(self, key: str) -> str:
        return key.removeprefix(self.prefix)

    def shape(self, key: str) -> tuple[int, ...]:
        return tuple(self.tensors[key].shape)


@dataclass
class _Attempt:
    """What came of one table: placements, and what speaks against them."""

    table: _Table
    by_name: bool
    placements: list[Placement] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    count: int = 0

    @property
    def prefix(self) -> str:
        return self.table.prefix

    @property
    def sources(self) -> frozenset[tuple[str, str]]:
        return frozenset((place.source, place.target) for place in self.placements)

    def found_wrong(self, what: str, keys: Sequence[str]) -> None:
        if keys:
            more = f" and {len(keys) - _NAMED} more" if len(keys) > _NAMED else ""
            self.problems.append(f"{len(keys)} {what}: {', '.join(keys[:_NAMED])}{more}")
            self.count += len(keys)


def _tables(
    tensors: Mapping[str, HasShape], wanted: Collection[str], required: Collection[str], prefix: str | None
) -> dict[str, tuple[str, ...]]:
    """Return prefix -> keys behind it, for each set of keys that is large enough for the architecture."""
    behind: dict[str, list[str]] = defaultdict(list)
    for key in tensors:
        for end in (0, *(match.end() for match in re.finditer(r"\.", key))):
            behind[key[:end]].append(key)
    if prefix is not None:
        whole = prefix if prefix.endswith(".") or not prefix else f"{prefix}."
        behind = {whole: behind[whole]} if whole in behind else {}
    by_keys: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for start, keys in behind.items():
        if sum(not without_effect(key) for key in keys) >= len(required) // 2 + 1:
            by_keys[tuple(keys)].append(start)

    def names_found(start: str, keys: Iterable[str]) -> int:
        return sum(key.removeprefix(start) in wanted for key in keys)

    return {max(starts, key=lambda start: (names_found(start, keys), len(start))): keys
            for keys, starts in by_keys.items()}  # fmt: skip


def _attempt(table: _Table, wanted: Mapping[str, tuple[int, ...]], heads: set[str]) -> _Attempt:
    named = sum(table.short(key) in wanted for key in table.listed)
    if 2 * named >= len(wanted.keys() - heads):
        return _by_name(table, wanted, heads)
    return _by_order(table, wanted, heads)


def _by_name(table: _Table, wanted: Mapping[str, tuple[int, ...]], heads: set[str]) -> _Attempt:
    found = _Attempt(table, by_name=True)
    sources = {table.short(key): key for key in table.listed}
    other: list[str] = []
    superfluous: list[str] = []
    for name, key in sources.items():
        shape = table.shape(key)
        if name in wanted and shape != wanted[name] and name not in heads:
            other.append(f"{key} {shape} for {wanted[name]}")
        elif name not in wanted or shape != wanted[name]:
            _leave_out(found, key, superfluous, known_head=name in heads)
    for name, shape in wanted.items():
        if name in sources and table.shape(sources[name]) == shape:
            found.placements.append(Placement(sources[name], name, shape, "name"))
    found.found_wrong("of another shape", other)
    found.found_wrong(
        "missing", [f"{name} {wanted[name]}" for name in wanted if name not in sources.keys() | heads]
    )
    found.found_wrong("superfluous", superfluous)
    return found


def _by_order(table: _Table, wanted: Mapping[str, tuple[int, ...]], heads: set[str]) -> _Attempt:
    found = _Attempt(table, by_name=False)
    theirs: dict[tuple[str, tuple[int, ...]], list[str]] = defaultdict(list)
    ours: dict[tuple[str, tuple[int, ...]], list[str]] = defaultdict(list)
    for key in table.listed:
        if without_effect(table.short(key)):
            found.left_out[key] = UNUSED
        else:
            theirs[role(key), table.shape(key)].append(key)
    for name, shape in wanted.items():
        ours[role(name), shape].append(name)
    placed: dict[str, Placement] = {}
    missing: list[str] = []
    superfluous: list[str] = []
    for kind in {**ours, **theirs}:
        pairs = _paired(theirs[kind], ours[kind], heads, table)
        if pairs is None:
            keys = [key for key in theirs[kind] if not is_head(table.short(key))]
            names = [name for name in ours[kind] if name not in heads]
            # Only their numbers are known to differ, so the last ones are named.
            counts = f"{kind[1]} ({len(keys)} in the file, {len(names)} in the architecture)"
            missing += [f"{name} {counts}" for name in names[len(keys) :]]
            superfluous += [f"{key} {counts}" for key in keys[len(names) :]]
            continue
        how: How = "shape" if len(theirs[kind]) == len(ours[kind]) == 1 else "shape and order"
        placed.update({name: Placement(key, name, kind[1], how) for key, name in pairs})
        used = {key for key, _ in pairs}
        found.left_out.update({key: HEAD for key in theirs[kind] if key not in used})
    found.placements += [placed[name] for name in wanted if name in placed]
    found.found_wrong("missing", missing)
    found.found_wrong("superfluous", superfluous)
    if not found.problems:
        pairs = [(place.source, place.target) for place in found.placements if place.how == "shape and order"]
        found.found_wrong(
            "in an order that settles nothing", contradictions(table.prefix, table.listed, pairs, wanted)
        )
    return found


def _paired(
    keys: Sequence[str], names: Sequence[str], heads: Collection[str], table: _Table
) -> list[tuple[str, str]] | None:
    """Return which keys of one role and shape have which names; None if their numbers differ.

    A classifier's tensors may be left over on both sides, and take no other tensor's place.
    """
    needed, optional = ([name for name in names if (name in heads) is top] for top in (False, True))
    body, top = ([key for key in keys if is_head(table.short(key)) is top] for top in (False, True))
    if len(body) == len(needed):
        further = list(zip(top, optional, strict=True)) if len(top) == len(optional) else []
        return [*zip(body, needed, strict=True), *further]
    if len(keys) == len(needed):
        return list(zip(keys, needed, strict=True))
    if len(keys) != len(names):
        return None
    # A classifier under a name of its own; what has a number belongs to a block.
    pairs = list(zip(keys, names, strict=True))
    blocks = any(name in heads and any(map(str.isdigit, table.short(key).split("."))) for key, name in pairs)
    return None if blocks else pairs


def _leave_out(found: _Attempt, key: str, superfluous: list[str], *, known_head: bool) -> None:
    """Note why a tensor without a place is left out, or that it may not be."""
    name = found.table.short(key)
    if known_head or is_head(name):
        found.left_out[key] = HEAD
    elif without_effect(name):
        found.left_out[key] = UNUSED
    else:
        superfluous.append(f"{key} {found.table.shape(key)}")


def _too_few(tensors: Mapping[str, HasShape], wanted: Collection[str], prefix: str | None, where: str) -> str:
    if prefix is not None:
        some = ", ".join(sorted({f"{key.partition('.')[0]}." for key in tensors if "." in key})[:8])
        return (
            f"{where}: too few keys begin with {prefix!r} ({len(wanted)} are needed); some begin with {some}"
        )
    return f"{where}: {len(tensors)} tensors, and the architecture has {len(wanted)}; it is another model"
