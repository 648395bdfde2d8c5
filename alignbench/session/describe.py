"""The description of a run for its report."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alignbench.datasets.dataset import NO_TEXTS
from alignbench.session.environment import git_commit, machine, versions
from alignbench.types import Run
from alignbench.units import plural

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from alignbench.session.workbench import Workbench
    from alignbench.types import Failure, Score


def describe_run(
    session: Workbench,
    scores: Iterable[Score],
    *,
    name: str,
    started: datetime,
    seconds: float,
    command: str,
    folder: Path | None = None,
    loads: Iterable[Mapping[str, Any]] = (),
    warnings: Iterable[str] = (),
    failures: tuple[Failure, ...] = (),
) -> Run:
    """Return the description of a run.

    Args:
        session: the session that was run.
        scores: the scores of the run.
        name: the name of the run.
        started: the time at which the run began.
        seconds: the duration of the run.
        command: the command that repeats the run.
        folder: the folder whose git commit is recorded; None for the current folder.
        loads: the loads of weights; see `Run`.
        warnings: the warnings that readers of the report have to know.
        failures: the tests that failed.
    """
    dataset = session.dataset
    used = {label for score in scores for label in score.weights}
    used |= {label for failure in failures for label in failure.models}
    models = [*session.encoders.values(), *session.llms.values()]
    return Run(
        id=name,
        started=started.isoformat(timespec="seconds"),
        seconds=round(seconds, 1),
        command=command,
        options=session.options.to_dict(),
        seed=session.options.seed,
        versions=versions(),
        git_commit=git_commit(folder or Path.cwd()),
        machine=machine(),
        models=tuple(model.info for model in models if model.info.label in used),
        dataset={
            "name": dataset.name,
            "digest": dataset.digest,
            "origin": dataset.origin,
            "n": len(dataset),
            "types": dict(Counter(dataset.labels)),
            "groups": dataset.n_groups,
            "notes": list(dataset.notes),
            "dropped": [{"where": d.where, "reason": d.reason} for d in dataset.dropped],
        },
        loads=tuple(loads),
        warnings=tuple(warnings),
        failures=failures,
    )


def texts_warning(reasons: Iterable[str], noun: str) -> tuple[str, ...]:
    """Return the warning that something was skipped because the data has no texts; none if nothing was.

    Args:
        reasons: why each skipped test or cell was skipped.
        noun: what was skipped.
    """
    count = sum(reason == NO_TEXTS for reason in reasons)
    return (f"{NO_TEXTS} for an LLM to embed: {plural(count, noun)} skipped",) if count else ()
