"""`choose`: the encoder that fits an LLM, for the least compute, in a call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from alignbench.errors import ConfigError
from alignbench.experiments.choose.record import races_of
from alignbench.schema import shown
from alignbench.session.session import Session

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from alignbench.datasets import Dataset
    from alignbench.session.result import Result
    from alignbench.stats.race import Look


@dataclass(frozen=True)
class Choice:
    """The outcome of a race between encoders.

    Args:
        survivors: the encoders that may be the best, in the order of their scores; usually one.
        ending: why the race ended: "one is left", "margin", "all pairs" or "budget".
        statement: the outcome in words.
        looks: what each look showed: the number of groups, the scores, and who was dropped.
        used: the share of the embeddings that the race took, of those of scoring all encoders on all samples.
        result: the run, with its scores and figures; `result.save(folder)` writes the report.
    """

    survivors: tuple[str, ...]
    ending: str
    statement: str
    looks: tuple[Look, ...]
    used: float
    result: Result

    @property
    def best(self) -> str | None:
        """The best encoder; None if several are left."""
        return self.survivors[0] if len(self.survivors) == 1 else None

    def __str__(self) -> str:
        """Return the outcome in words."""
        return self.statement


def choose(
    encoders: Sequence[str], llm: str, *, data: Dataset | str | Path | None = None, **options: Any
) -> Choice:
    """Return which encoder fits an LLM: all are scored on a few pairs, and those that are worse drop out.

    The probability that the best encoder is dropped is at most `error_level` over the whole race. Everything
    that was embedded stays in the cache: a race that was broken off goes on where it stopped.

    Args:
        encoders: two or more encoders, as `--encoders` takes them.
        llm: the LLM.
        data: a `Dataset`, or what `--align-data` takes; None for the data that a run would use.
        options: `metric`, `error_level` (.05), `margin`, `budget` ("30m", or a number of images to embed),
            `final` ("e2e" or "vlm"), and those of a `Session`, such as `n_samples` or `seed`.

    Raises:
        ConfigError: there are fewer than two encoders or too few samples, the budget does not cover the first
            look, or a value is not allowed.
        UnknownNameError: there is no such option, encoder, LLM or dataset.

    Examples:
        >>> choice = choose(["mini-clip", "random-vit"], "mini-llama", data="synthetic", n_samples=100)
        >>> choice.best
        'mini-clip'
    """
    if not isinstance(llm, str):
        raise ConfigError(f"llm: expected the name of one LLM, got {shown(llm)}")
    if isinstance(budget := options.get("budget"), int | float):
        options["budget"] = str(budget)
    result = Session(encoders=encoders, llms=[llm], data=data, **options).run("choose")
    [found] = races_of(result.scores)
    race = found.race
    return Choice(race.survivors, race.ending, found.statement, race.looks, found.used, result)
