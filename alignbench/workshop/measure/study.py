"""The validity study from the command line: train and compute what is missing, or check finished cells.

`--verify CELL` computes a cell from scratch, without any cache, and prints the largest difference from the
one on disk. `pytest benchmarks/test_validity.py -m study` does the same work as tests.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch

from alignbench.embed import EmbeddingStore
from alignbench.experiments.validity.result import write_result
from alignbench.experiments.validity.study import LLMS, Study, largest_difference, members, read_cells
from alignbench.paths import cache_home
from alignbench.workshop.zoo.command import default_work, say


def main(argv: list[str]) -> int:
    """Follow the options; the exit status tells whether all verified cells were the same."""
    options = _options(argv)
    torch.set_num_threads(options.threads)
    lineages = options.lineages or options.folder / "lineages"
    if options.train:
        from alignbench.workshop.zoo.lineage_training import make_lineages
        from alignbench.zoo.lineages import LINEAGES

        make_lineages(LINEAGES.values(), lineages, options.work, say, options.threads)
    chosen = members(lineages, options.only.split(",") if options.only else None)
    store = EmbeddingStore(None if options.verify else options.folder / "embeddings")
    study = Study(options.folder, chosen, store, llms=options.llms.split(","), say=say)
    if options.verify:
        return _verify(study, options.verify)
    began = time.perf_counter()
    cells = list(study.run())
    say(f"{len(cells)} cells, {len(chosen)} encoders, {(time.perf_counter() - began) / 60:.1f} minutes")
    if options.result:
        for table in write_result(options.result, cells):
            say(f"{table.name}: {table.statement}")
    return 0


def _verify(study: Study, names: list[str]) -> int:
    known = {cell.name: cell for cell in read_cells(study.folder)}
    by_name = {member.name: member for member in study.members}
    worst = 0.0
    for name in names:
        if name not in known:
            say(f"error: {name}: no such cell in {study.folder}; there are {len(known)}")
            return 2
        old = known[name]
        new = study.cell(old.drawings, by_name[old.encoder], old.llm, again=True)
        worst = max(worst, difference := largest_difference(old, new))
        say(f"{name}: largest difference {difference:.2g}")
    return int(worst > 0)


def _options(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m alignbench.measure study", description=__doc__)
    parser.add_argument(
        "--folder",
        type=Path,
        default=cache_home() / "study",
        help="the folder of cells and embeddings (%(default)s)",
    )
    parser.add_argument(
        "--lineages", type=Path, help="the folder of the trained encoders (lineages/ in that folder)"
    )
    parser.add_argument(
        "--work",
        type=Path,
        default=default_work(),
        help="the folder of drawings and unfinished trainings (%(default)s)",
    )
    parser.add_argument("--train", action="store_true", help="first train the lineages that are missing")
    parser.add_argument("--only", help="encoders, separated by commas; by default all that were trained")
    parser.add_argument("--llms", default=",".join(LLMS), help="LLMs, separated by commas (%(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="torch's number of threads (1)")
    parser.add_argument("--result", type=Path, help="the folder for tables and figures")
    parser.add_argument("--verify", nargs="+", metavar="CELL", help="compute these cells again and compare")
    return parser.parse_args(argv)
