"""What a GPU run needs, in one command: right vectors and scores, speed, memory, and the speed gate's clock.

Models of published shapes get random weights, so nothing is downloaded. Each section ends with a table of
what was measured and what was aimed at. The exit status is 1 if a vector, a score or a warning is wrong; a
missed aim of speed or memory is only said. Steps for which no time is left are named as not run.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from alignbench.errors import ConfigError
from alignbench.workshop.measure._steps import Step, run_steps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alignbench.workshop.measure._gpu_lab import Lab

SECTIONS = ("correct", "products", "memory", "speed", "large")
SECONDS = 280.0


def main(argv: list[str]) -> int:
    """Run the steps, print their tables and write them as JSON; return 1 if something is wrong."""
    options = _parser().parse_args(argv)
    started = time.perf_counter()
    import torch

    from alignbench.workshop.measure._gpu_lab import Lab
    from alignbench.workshop.measure.embed import environment

    if options.device.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError(
            "--device: torch finds no CUDA GPU here; try the same code with --device cpu --small"
        )
    print(environment())
    with tempfile.TemporaryDirectory() as folder:
        lab = Lab(Path(folder), options.device, options.small)
        limit = options.seconds - (time.perf_counter() - started)
        outcome = run_steps(_steps(lab, options.only), limit)
    if options.to is not None:
        report = {"environment": environment(), "options": vars(options), **outcome.to_dict()}
        options.to.write_text(json.dumps(report, indent=1, default=str) + "\n", encoding="utf-8")
    return int(outcome.failed)


def _steps(lab: Lab, sections: Sequence[str]) -> list[Step]:
    from alignbench.workshop.measure import _gpu_correct, _gpu_memory, _gpu_products, _gpu_speed

    by_name = {
        "correct": _gpu_correct.steps,
        "products": _gpu_products.steps,
        "memory": _gpu_memory.steps,
        "speed": _gpu_speed.steps,
        "large": _large,
    }
    return [step for name in SECTIONS if name in sections for step in by_name[name](lab)]


def _large(lab: Lab) -> list[Step]:
    """Return the steps of the largest model, which come last because they take longest."""
    from alignbench.workshop.measure import _gpu_correct, _gpu_memory

    scale, name = 0.1 if lab.small else 1.0, _gpu_correct.LARGE
    section = "The largest model: its memory, and its smallest cosine to the CPU's vectors"
    vectors, memory = partial(_gpu_correct.vectors, lab, name), partial(_gpu_memory.peak, lab, name)
    return [
        Step(section, f"memory of {name}", scale * _gpu_memory.LARGE_SECONDS, memory),
        Step(section, f"vectors of {name}", scale * _gpu_correct.LARGE_SECONDS, vectors),
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m alignbench.measure gpu", description=__doc__)
    parser.add_argument("--device", default="cuda", help="cuda, cuda:1, or cpu to try the command")
    parser.add_argument(
        "--small", action="store_true", help="models and inputs of no size, to try the command"
    )
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, help="the time for everything (%(default)g)"
    )
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--to", type=Path, help="a file for the results as JSON")
    return parser
