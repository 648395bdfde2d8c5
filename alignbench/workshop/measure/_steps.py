"""Steps of a measurement that has to end in time: what was found, what was aimed at, and what was not run."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from alignbench.cli.listing import table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence


@dataclass(frozen=True, slots=True)
class Finding:
    """A row of a table.

    Args:
        what: what was measured.
        measured: the result, in words.
        aim: the aim, in words; "" if there is none.
        met: whether the aim was met; None if there is none.
        must: whether the command fails if it was not.
    """

    what: str
    measured: str
    aim: str = ""
    met: bool | None = None
    must: bool = False

    @property
    def verdict(self) -> str:
        """Whether the aim was met, in a word."""
        return "" if self.met is None else "ok" if self.met else "MISSED"


@dataclass(frozen=True, slots=True)
class Step:
    """A part of a measurement that is run as a whole or not at all.

    Args:
        section: the table that its rows are in.
        name: its name, where it was not run.
        seconds: about how long it takes.
        run: does it.
        why_not: why it can't be run here; "" if it can.
    """

    section: str
    name: str
    seconds: float
    run: Callable[[], Iterable[Finding]]
    why_not: str = ""


@dataclass(slots=True)
class Found:
    """What the steps found.

    Args:
        findings: section -> rows.
        not_run: step -> why it was not run.
        seconds: step -> how long it took.
    """

    findings: dict[str, list[Finding]] = field(default_factory=dict)
    not_run: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        """Whether an aim was missed that had to be met."""
        rows = (row for rows in self.findings.values() for row in rows)
        return any(row.must and row.met is False for row in rows)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON types."""
        return {**asdict(self), "failed": self.failed}


def run_steps(steps: Sequence[Step], limit: float, now: Callable[[], float] = time.perf_counter) -> Found:
    """Run the steps one after another, as far as there is time for them, and print each section's table.

    A step that fails is a row of its section, and the others are run.

    Args:
        steps: those of one section stand together.
        limit: the seconds for all of them.
        now: the clock.
    """
    outcome, started = Found(), now()
    for i, step in enumerate(steps):
        begun = now()
        left = limit - (begun - started)
        if step.why_not:
            outcome.not_run[step.name] = step.why_not
        elif step.seconds > left:
            outcome.not_run[step.name] = (
                f"takes about {step.seconds:.0f} s, and {max(0, left):.0f} s are left"
            )
        else:
            rows = outcome.findings.setdefault(step.section, [])
            try:
                rows.extend(step.run())
            except Exception as error:  # whatever is wrong with one step, the others say what they can
                line = " ".join(f"{type(error).__name__}: {error}".split())
                rows.append(Finding(step.name, line[:300], "no error", met=False, must=True))
            outcome.seconds[step.name] = round(now() - begun, 1)
        if i + 1 == len(steps) or steps[i + 1].section != step.section:
            _print_section(step.section, outcome.findings.get(step.section, []))
    for name, why in outcome.not_run.items():
        print(f"not run: {name}: {why}")
    return outcome


def _print_section(title: str, rows: Sequence[Finding]) -> None:
    if rows:
        print(f"\n{title}")
        cells = [(row.what, row.measured, row.aim, row.verdict) for row in rows]
        print("\n".join(table(("what", "measured", "aim", ""), cells)), flush=True)
