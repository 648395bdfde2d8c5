"""What every metric does where the truth is known: drawn pairs with a known shared subspace and noise.

Writes alignbench/docs/metrics-truth.md: each score at independence, how often its null rejects there and on
aligned pairs, what remains of class-driven alignment within classes, and the scores that ignore the pairing.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from alignbench.errors import DegenerateError
from alignbench.metrics import METRICS, discriminability, knn_above_chance
from alignbench.show.text import table as markdown_table
from alignbench.stats import LEVEL, evaluate, rng_for
from alignbench.workshop.sections import DOCS, template

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from alignbench.stats import Evaluation

    Matrix = NDArray[np.float64]
    Sides = tuple[Matrix, Matrix, NDArray[np.intp]]

PAGE = DOCS / "metrics-truth.md"
WIDTHS, LATENT, CLASSES = (64, 128), 16, 3
SIZES = (9, 30, 90, 300)
DRAWS = 99
SLOW = (
    "procrustes_similarity",
    "calibrated_procrustes",
    "ridge_r2",
    "eas",
    "eas_adjusted",
    "svcca_heldout",
    "pwcca_heldout",
)
SEEING = [name for name in METRICS.names(pairing=True) if not name.endswith("_reverse")]
BLIND = ["gw_distance", *METRICS.names(family="coral"), *METRICS.names(family="spectra")]


@dataclass(frozen=True)
class Population:
    """Pairs whose sides have 16 latent dimensions, of which they share `shared`.

    `noise` is isotropic, a multiple of the latent variance; `separation` moves the class means apart on both
    sides, each in its own directions.
    """

    title: str
    shared: int
    noise: float
    separation: float = 0.0

    def draw(self, n: int, trial: int) -> Sides:
        """Return x [n, 64], y [n, 128] and class numbers [n] of one trial."""
        rng = rng_for(trial, "truth", self.title, str(n))
        codes = np.arange(n) % CLASSES
        common = rng.normal(size=(n, self.shared))
        sides = []
        for side, width in enumerate(WIDTHS):
            own = rng.normal(size=(n, LATENT - self.shared))
            latent = np.hstack([common, own]) + self.separation * class_means(side)[codes]
            error = rng.normal(size=(n, width)) * np.sqrt(self.noise * LATENT / width)
            sides.append(latent @ mixing(side, width) + error)
        return sides[0], sides[1], codes

    @property
    def population_cka(self) -> float:
        """Linear CKA of infinitely many pairs (without classes)."""
        norms = []
        for width in WIDTHS:
            noise = self.noise * LATENT / width
            norms.append(np.sqrt(LATENT * (1 + noise) ** 2 + (width - LATENT) * noise**2))
        return float(self.shared / (norms[0] * norms[1]))


@cache
def mixing(side: int, width: int) -> Matrix:
    """Return the orthonormal directions [16, width] of a side's latent dimensions."""
    q, _ = np.linalg.qr(rng_for(side, "mixing").normal(size=(width, LATENT)))
    return q.T


@cache
def class_means(side: int) -> Matrix:
    """Return the class means [3, 16] of a side."""
    return rng_for(side, "class means").normal(size=(CLASSES, LATENT))


INDEPENDENT = Population("independent", 0, 0.5)
ALIGNED = (
    Population("2 of 16 shared, noise 0.5", 2, 0.5),
    Population("8 of 16 shared, noise 0.5", 8, 0.5),
    Population("8 of 16 shared, noise 2", 8, 2.0),
)
CLASS_DRIVEN = (
    Population("types alone", 0, 0.5, 1.0),
    Population("types, and 4 of 16 shared", 4, 0.5, 1.0),
)


@dataclass(frozen=True)
class Trials:
    """The trials of one metric in one population at one n."""

    values: Matrix
    rejects: float | None
    within: float | None
    complete: bool


def trials(metric: str, n: int, scale: float) -> int:
    """Return the number of trials of a metric: fewer if one takes long."""
    base = 100 if n > 90 else 200
    return max(2, int(scale * (base * 0.4 if metric in SLOW else base)))


@cache
def run(world: Population, metric: str, n: int, scale: float, labels: bool = False) -> Trials | None:
    """Return all trials, or None if the metric does not exist at this n."""
    results: list[Evaluation] = []
    for trial in range(trials(metric, n, scale)):
        x, y, codes = world.draw(n, trial)
        chosen = METRICS.get(metric)
        needed = codes if labels or "labels" in chosen.keywords else None
        try:
            results.append(
                evaluate(chosen, x, y, labels=needed, seed=trial, n_permutations=DRAWS, interval=False)
            )
        except DegenerateError:
            continue
    if len(results) < 2:
        return None
    nulls = [result.null for result in results if result.null is not None]
    return Trials(
        values=np.asarray([result.value for result in results]),
        rejects=_share(null.p for null in nulls),
        within=_share(null.within_p for null in nulls),
        complete=len(results) == trials(metric, n, scale),
    )


def _share(p_values: Iterable[float | None]) -> float | None:
    known = [p for p in p_values if p is not None]
    return float(np.mean(np.asarray(known) <= LEVEL)) if known else None


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table with numbers right-aligned."""
    names = list(head)
    return "\n".join(markdown_table(names, list(map(list, rows)), frozenset(range(1, len(names)))))


def by_size(world: Population, show: Callable[[Trials], str], scale: float) -> str:
    """Return a table with one row per metric and one column per n."""

    def cell(results: Trials | None) -> str:
        if results is None:
            return "–"
        return show(results) if results.complete else f"{show(results)}*"

    rows = [[name, *(cell(run(world, name, n, scale)) for n in SIZES)] for name in SEEING]
    return table(["metric", *(f"n = {n}" for n in SIZES)], rows)


def value(cell: Trials) -> str:
    """Return mean ± standard deviation over the trials."""
    return f"{cell.values.mean():.3f} ± {cell.values.std(ddof=1):.3f}"


def percent(share: float | None) -> str:
    """Return a share in percent."""
    return "–" if share is None else f"{100 * share:.0f}%"


def recovery(scale: float) -> str:
    """Return the table of population CKA and the values of its estimators."""
    rows = []
    for world in (INDEPENDENT, *ALIGNED):
        for name in ("linear_cka", "debiased_cka"):
            cells = [run(world, name, n, scale) for n in SIZES]
            means = ["–" if cell is None else f"{cell.values.mean():.3f}" for cell in cells]
            rows.append([f"{world.title}: {name}", f"{world.population_cka:.3f}", *means])
    return table(["pairs: score", "population", *(f"n = {n}" for n in SIZES)], rows)


def classes(scale: float) -> str:
    """Return the table of class-driven pairs at n = 90: rejections globally and within classes."""
    rows = []
    for name in SEEING:
        cells = [run(world, name, 90, scale / 2, labels=True) for world in CLASS_DRIVEN]
        shares = [percent(share) for cell in cells if cell for share in (cell.rejects, cell.within)]
        rows.append([name, *shares])
    head = [f"{world.title}: {null}" for world in CLASS_DRIVEN for null in ("global", "within")]
    return table(["metric", *head], rows)


def blind(scale: float) -> str:
    """Return the table of the scores that don't see the pairing, n = 90, aligned and re-paired."""
    rows = []
    count = max(2, int(50 * scale))
    for name in BLIND:
        metric = METRICS.get(name)
        keywords = {"k": 9} if metric.same_width else {}
        means = []
        for world in (INDEPENDENT, ALIGNED[1]):
            for paired in (True, False):
                scores = []
                for trial in range(count):
                    x, y, _ = world.draw(90, trial)
                    order = np.arange(90) if paired else rng_for(trial, "re-paired").permutation(90)
                    scores.append(metric(x, y[order], **keywords))
                means.append(f"{np.mean(scores):.5f} ± {np.std(scores, ddof=1):.5f}")
        rows.append([name, *means])
    return table(["score", "independent", "re-paired", "8 of 16 shared", "re-paired"], rows)


def class_parts(scale: float) -> str:
    """Return the table of class parts if classes differ in 16 of many directions."""
    count = max(2, int(50 * scale))
    rows = []
    for width in (64, 512, 2048):
        for nuisance in (0, 4):
            cells = []
            for separation in (0.0, 0.5, 1.0, 2.0):
                drawn = [classes_in(width, nuisance, separation, trial) for trial in range(count)]
                for part in (discriminability, knn_above_chance):
                    values = [part(x, codes) for x, codes in drawn]
                    cells.append(f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}")
            rows.append([f"{width}, {'with' if nuisance else 'without'}", *cells])
    head = [f"{part}, {sep}" for sep in ("no classes", "0.5", "1", "2") for part in ("share", "kNN")]
    return table(["columns, large directions without classes", *head], rows)


def classes_in(width: int, nuisance: int, separation: float, trial: int) -> tuple[Matrix, NDArray[np.intp]]:
    """Return 90 rows of three classes [90, width], and their classes.

    Class means are `separation` apart in 16 latent directions; four others have `nuisance` times the
    deviation of a latent direction, and are unrelated to the classes.
    """
    rng = rng_for(trial, "classes", str(width), str(nuisance), str(separation))
    codes = np.arange(90) % CLASSES
    latent = rng.normal(size=(90, LATENT)) + separation * class_means(0)[codes]
    others = nuisance * rng.normal(size=(90, 4))
    directions, _ = np.linalg.qr(rng.normal(size=(width, LATENT + 4)))
    noise = rng.normal(size=(90, width)) * np.sqrt(0.5 * LATENT / width)
    return np.hstack([latent, others]) @ directions.T + noise, codes


def page(scale: float) -> str:
    """Return the whole page."""
    power = ""
    for world in ALIGNED:
        power += f"### {world.title}\n\n{by_size(world, lambda cell: percent(cell.rejects), scale)}\n\n"
    return template("metrics-truth").format(
        widths=WIDTHS,
        latent=LATENT,
        draws=DRAWS,
        level=LEVEL,
        slow=", ".join(f"`{name}`" for name in SLOW),
        classes=CLASSES,
        bias=by_size(INDEPENDENT, value, scale),
        recovery=recovery(scale),
        size=by_size(INDEPENDENT, lambda cell: percent(cell.rejects), scale),
        power=power.strip(),
        class_driven=classes(scale),
        class_parts=class_parts(scale),
        blind=blind(scale),
    )


def main(argv: list[str]) -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(prog="python -m alignbench.measure truth", description=__doc__)
    parser.add_argument("--out", type=Path, default=PAGE)
    parser.add_argument(
        "--scale", type=float, default=1.0, help="factor on the number of trials; 1 for the page in the docs"
    )
    options = parser.parse_args(argv)
    options.out.write_text(page(options.scale), encoding="utf-8")
    print(f"wrote {options.out}")
