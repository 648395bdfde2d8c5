"""Whether scores are the same however they are computed: serially, in two workers, in a shuffled order."""

from __future__ import annotations

import argparse
import math
from collections import Counter
from typing import TYPE_CHECKING, Any

from alignbench.workshop.measure._suite import workplace

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT = 1e-12
_WAYS = {
    "serial": ("-p", "no:randomly"),
    "-n 2": ("-n", "2", "-p", "no:randomly"),
    "shuffled": ("-p", "randomly", "-p", "no:xdist"),
}


def _numbers(value: Any, at: str = "") -> Iterator[tuple[str, float]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _numbers(item, f"{at}.{key}")
    elif isinstance(value, list | tuple):
        for i, item in enumerate(value):
            yield from _numbers(item, f"{at}[{i}]")
    elif isinstance(value, int | float):
        yield at, float(value)


def main(argv: list[str]) -> None:
    """Run the suite cold in each way, and print the largest difference of any number from the serial run."""
    argparse.ArgumentParser(prog="python -m alignbench.measure same", description=__doc__).parse_args(argv)
    numbers: dict[str, dict[tuple[str, ...], dict[str, float]]] = {}
    with workplace() as place:
        for way, args in _WAYS.items():
            place.forget_embeddings()
            seconds = place.run(*args, "--align-no-figures", "-m", "not speed")  # timings are never the same
            run, scores = place.latest()
            numbers[way] = {score.key: dict(_numbers(score.to_dict())) for score in scores}
            loads = Counter(load["model"] for load in run["loads"])
            print(f"{way}: {len(scores)} scores in {seconds:.1f} s, loads {dict(loads)}")
    serial = numbers.pop("serial")
    for way, scores_of_way in numbers.items():
        if scores_of_way.keys() != serial.keys():
            raise SystemExit(f"{way}: its scores are not the scores of the serial run")
        worst = max(
            (abs(scores_of_way[key].get(at, math.inf) - number), key, at)
            for key, serial_numbers in serial.items()
            for at, number in serial_numbers.items()
        )
        where = "/".join(filter(None, worst[1])) + " " + worst[2]
        print(f"{way} against serial: largest difference {worst[0]:.1e} ({where})")
        if worst[0] > LIMIT:
            raise SystemExit(f"{way}: expected a difference of at most {LIMIT:.0e}")
