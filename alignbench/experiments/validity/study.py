"""The validity study: encoders from many trainings, with several LLMs, on two families of drawings.

Every cell is written to disk when it is done, and read from there later unless something that it depends on
has changed. So an interrupted study resumes where it stopped.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alignbench.datatypes import ALL
from alignbench.errors import ConfigError, DataError
from alignbench.experiments.base import NotApplicableError
from alignbench.experiments.scoring import Settings
from alignbench.experiments.validity.study_cells import (
    C_SCORE,
    STUDIED,
    CellSettings,
    cell,
    metrics_by_type,
)
from alignbench.files import make_folder, read_regular, write_bytes
from alignbench.llms import LLM
from alignbench.weights.protocols import fingerprints
from alignbench.zoo.lineages import CARD, LINEAGES, SHIPPED, Card, read_card

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from alignbench.datasets import Dataset
    from alignbench.embed import EmbeddingStore
    from alignbench.encoders import Encoder
    from alignbench.llms.base import CausalLM
    from alignbench.types import Pair
    from alignbench.weights.custom import Custom

DRAWINGS = {"trained-on": "synthetic", "held-out": "synthetic_other"}
"""Name in the study's table -> dataset: drawings like those of the trainings, and others."""
SEED = 4  # of the drawings; no training, sample data or held-out measurement uses this seed
LLMS = ("mini-llama", "mini-qwen")
# 2: CKNNA as published, and trainings of a VLM seeded by purpose instead of by seed + 1000 * split
_FORMAT = 2


@dataclass(frozen=True, slots=True)
class Member:
    """An encoder of the study.

    Args:
        name: its name in the table.
        spec: its name for `--encoders`.
        card: its lineage, family and step.
    """

    name: str
    spec: str
    card: Card


@dataclass(frozen=True, slots=True)
class Cell:
    """The results of one encoder with one LLM on one set of drawings.

    Args:
        drawings: a key of `DRAWINGS`.
        encoder: the member's name.
        llm: the LLM's name.
        card: the card of the encoder.
        basis: everything that the numbers depend on; a cell with another basis is stale.
        n: the number of groups.
        metrics: data type -> metric -> value.
        outcomes: data type -> outcome -> value.
        seconds: how long it took.
        predictors: the metrics that were computed, also those that are not defined on these embeddings.
    """

    drawings: str
    encoder: str
    llm: str
    card: Card
    basis: Mapping[str, Any]
    n: int
    metrics: Mapping[str, Mapping[str, float]]
    outcomes: Mapping[str, Mapping[str, float]]
    seconds: float = 0.0
    predictors: Sequence[str] = ()

    @property
    def name(self) -> str:
        """The name of the cell and of its file."""
        return cell_name(self.drawings, self.encoder, self.llm)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types only."""
        return asdict(self)


@dataclass
class Study:
    """A study: its encoders, LLMs and drawings, and what it holds in memory.

    Args:
        folder: the folder that cells are kept in.
        members: the encoders.
        llms: the names of the LLMs, for `--llms`.
        drawings: name -> name of the dataset.
        n_per_type: the number of drawings of each type.
        settings: the settings of every cell.
        predictors: the metrics; a cell on disk that lacks some gets them without another training.
        store: the store of embeddings.
        say: called with a line when a cell is done.
    """

    folder: Path
    members: Sequence[Member]
    store: EmbeddingStore
    llms: Sequence[str] = LLMS
    drawings: Mapping[str, str] = field(default_factory=lambda: dict(DRAWINGS))
    n_per_type: int = 80
    settings: CellSettings = field(default_factory=CellSettings)
    predictors: Sequence[str] = STUDIED
    say: Callable[[str], None] = lambda line: None
    _data: dict[str, Dataset] = field(default_factory=dict)
    _llms: dict[str, LLM | Custom] = field(default_factory=dict)
    _heads: dict[str, CausalLM] = field(default_factory=dict)

    def run(self, again: bool = False) -> Iterator[Cell]:
        """Yield every cell, ends of trainings first; missing and stale cells are computed."""
        for drawings, member, llm in self.plan():
            yield self.cell(drawings, member, llm, again=again)

    def plan(self) -> list[tuple[str, Member, str]]:
        """Return (drawings, encoder, LLM) of all cells; early checkpoints are last, on the first drawings."""
        every = [(d, member, llm) for d in self.drawings for member in self.members for llm in self.llms]
        first = next(iter(self.drawings))
        final = [cell for cell in every if cell[1].card.final]
        return final + [cell for cell in every if not cell[1].card.final and cell[0] == first]

    def settings_of(self, drawings: str, member: Member) -> CellSettings:
        """Return the settings of a cell.

        VLMs are trained only for the ends of trainings on the first drawings. On other drawings the packaged
        LLMs predict captions worse than a guesser over their vocabulary, so what an image adds there is no
        outcome.
        """
        first = drawings == next(iter(self.drawings))
        if member.card.final:
            return self.settings if first else replace(self.settings, vlm_epochs=0)
        return replace(self.settings, vlm_epochs=0, elas_splits=0, by_type=False)

    def cell(self, drawings: str, member: Member, llm: str, *, again: bool = False) -> Cell:
        """Return a cell: the one on disk unless it is stale, else a new one, which is written to disk.

        Args:
            drawings: a key of `drawings`.
            member: the encoder.
            llm: one of `llms`.
            again: compute the cell in any case, and leave the disk as it is.
        """
        path = self.path(drawings, member.name, llm)
        encoder, basis = self._encoder(member), self._basis(drawings, member, llm)
        began = time.perf_counter()
        if not again and (kept := read_cell(path)) is not None and kept.basis == basis:
            lacking = [name for name in self.predictors if name not in kept.predictors]
            if not lacking:
                return kept
            made = self._extended(kept, encoder, llm, lacking)
        else:
            made = self.compute(drawings, member, encoder, llm, basis)
        made = replace(made, seconds=round(time.perf_counter() - began, 2))
        if not again:
            make_folder(path.parent)
            write_bytes(path, (json.dumps(made.to_dict(), indent=1) + "\n").encode())
        self.say(f"{made.name}: {made.seconds:.0f} s")
        return made

    def path(self, drawings: str, encoder: str, llm: str) -> Path:
        """Return the path of a cell."""
        return self.folder / "cells" / f"{cell_name(drawings, encoder, self._llm(llm).info.name)}.json"

    def missing(self) -> list[str]:
        """Return the names of the cells that are not on disk."""
        return [
            cell_name(d, member.name, llm)
            for d, member, llm in self.plan()
            if not self.path(d, member.name, llm).is_file()
        ]

    def compute(
        self, drawings: str, member: Member, encoder: Encoder | Custom, llm: str, basis: Mapping[str, Any]
    ) -> Cell:
        """Compute a cell: embed both sides, score them, and train."""
        from alignbench.embed import Embedder

        data, pair = self._dataset(drawings), self._pair(drawings, encoder, llm)
        values = cell(
            pair,
            self.settings_of(drawings, member),
            lambda: (Embedder(self.store, "cpu").patches(encoder, data), self._head(llm), data),
            [name for name in self.predictors if name != C_SCORE],
        )
        if C_SCORE in self.predictors:
            values["metrics"][ALL] |= self._c_score(encoder)
        name = self._llm(llm).info.name
        return Cell(
            drawings,
            member.name,
            name,
            member.card,
            basis,
            pair.n_groups,
            values["metrics"],
            values["outcomes"],
            predictors=tuple(self.predictors),
        )

    def _extended(self, kept: Cell, encoder: Encoder | Custom, llm: str, lacking: Sequence[str]) -> Cell:
        """Return a cell with the metrics that it lacks, of embeddings that are in the store."""
        settings = CellSettings(**kept.basis["settings"])
        of_pairs = [name for name in lacking if name != C_SCORE]
        pair = self._pair(kept.drawings, encoder, llm)
        further = metrics_by_type(pair, settings, of_pairs)
        if C_SCORE in lacking:
            further[ALL] |= self._c_score(encoder)
        metrics = {kind: {**kept.metrics.get(kind, {}), **values} for kind, values in further.items()}
        return replace(kept, metrics=metrics, predictors=(*kept.predictors, *lacking))

    def _c_score(self, encoder: Encoder | Custom) -> dict[str, float]:
        """Return the C score of an encoder on drawn pairs; nothing if its patches make no grid."""
        from alignbench.embed import Embedder
        from alignbench.experiments.correspondence.scores import c_score, drawn_pairs, grid_size

        data = drawn_pairs()
        patches = Embedder(self.store, "cpu").patches(encoder, data.images)
        try:
            grid = grid_size(encoder, patches)
        except NotApplicableError:
            return {}
        score = c_score(patches, grid, data, Settings(self.settings.seed))
        return {} if score.value is None else {C_SCORE: score.value}

    def _pair(self, drawings: str, encoder: Encoder | Custom, llm: str) -> Pair:
        from alignbench.embed import Embedder
        from alignbench.types import Pair

        data, embedder = self._dataset(drawings), Embedder(self.store, "cpu")
        x = embedder.images(encoder, data, beside=["patches"])
        y = embedder.texts(self._llm(llm), data)
        return Pair(x, y, labels=data.labels, groups=data.groups, dataset=data.label)

    def _basis(self, drawings: str, member: Member, llm: str) -> dict[str, Any]:
        return {
            "format": _FORMAT,
            "settings": self.settings_of(drawings, member).to_dict(),
            "data": f"{self.drawings[drawings]}, seed {SEED}, {self.n_per_type} of a type",
            "encoder": _weights_of(self._encoder(member)),
            "llm": _weights_of(self._llm(llm)),
        }

    def _encoder(self, member: Member) -> Encoder | Custom:
        from alignbench.encoders import resolve

        return resolve(member.spec)

    def _llm(self, name: str) -> LLM | Custom:
        from alignbench.llms import resolve

        if name not in self._llms:
            self._llms[name] = resolve(name)
        return self._llms[name]

    def _head(self, name: str) -> CausalLM:
        if name not in self._heads:
            llm = self._llm(name)
            if not isinstance(llm, LLM):
                raise ConfigError(f"{name}: the study trains VLMs, but this LLM gives only embeddings")
            self._heads[name] = llm.with_head()
            self._heads[name].load("cpu", "float32")
        return self._heads[name]

    def _dataset(self, drawings: str) -> Dataset:
        from alignbench.datasets import load_dataset

        if drawings not in self._data:
            name = self.drawings[drawings]
            self._data[drawings] = load_dataset(name, n_per_type=self.n_per_type, seed=SEED)
        return self._data[drawings]


def cell_name(drawings: str, encoder: str, llm: str) -> str:
    """Return the name of a cell."""
    return f"{drawings}~{encoder}~{llm}"


def members(folder: Path, names: Iterable[str] | None = None) -> list[Member]:
    """Return the encoders of the study: the shipped ones, and the checkpoints of lineages under `folder`.

    Args:
        folder: the folder that `python -m alignbench.zoo lineages --out` wrote.
        names: the names of the encoders; None stands for all that exist.
    """
    known = {name: Member(name, name, card) for name, card in SHIPPED.items()}
    for name in checkpoints():
        if (folder / name / CARD).is_file():
            known[name] = Member(name, f"{name}={folder / name}", read_card(folder / name))
    if names is None:
        return list(known.values())
    wanted = list(names)
    if absent := [name for name in wanted if name not in known]:
        raise DataError(
            f"{absent[0]}: no such encoder of the study under {folder}; "
            f"make it with `python -m alignbench.zoo lineages --out {folder}`"
        )
    return [known[name] for name in wanted]


def member_of(spec: str) -> Member:
    """Return any encoder as a member; it has a lineage of its own, unless its folder names its lineage."""
    from alignbench.encoders import resolve

    info = resolve(spec).info
    folder = Path(info.source)
    if info.name in SHIPPED:
        return Member(info.name, spec, SHIPPED[info.name])
    if (folder / CARD).is_file():
        return Member(info.name, spec, read_card(folder))
    return Member(info.name, spec, Card(info.name, info.family, "unknown", 0, 0))


def checkpoints() -> list[str]:
    """Return the names of all checkpoints of all lineages, ends of trainings first."""
    names = [list(lineage.checkpoints.values()) for lineage in LINEAGES.values()]
    return [of_lineage[-1] for of_lineage in names] + [name for early in names for name in early[:-1]]


def read_cell(path: Path) -> Cell | None:
    """Return the cell in the file `path`, or None if it is missing or can't be read."""
    try:
        plain = json.loads(read_regular(path))
        kept = Cell(**{**plain, "card": Card(**plain["card"])})
        return replace(kept, predictors=tuple(kept.predictors))
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


def read_cells(folder: Path) -> list[Cell]:
    """Return all readable cells under a study's folder, sorted by name."""
    cells = (read_cell(path) for path in sorted((folder / "cells").glob("*.json")))
    return [cell for cell in cells if cell is not None]


def largest_difference(first: Cell, second: Cell) -> float:
    """Return the largest difference between two cells' numbers; infinite if they have not the same ones."""
    largest = 0.0
    for mine, theirs in ((first.metrics, second.metrics), (first.outcomes, second.outcomes)):
        a, b = ({(t, k): v for t, of in side.items() for k, v in of.items()} for side in (mine, theirs))
        if a.keys() != b.keys():
            return float("inf")
        largest = max([largest, *(abs(a[key] - b[key]) for key in a)])
    return largest


def _weights_of(model: Encoder | LLM | Custom) -> str:
    fingerprint = model.fingerprint() if fingerprints(model) else {}
    return f"{fingerprint.get('revision', model.info.name)}"
