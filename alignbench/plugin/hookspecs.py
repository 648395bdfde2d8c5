"""The hooks that a conftest.py or another plugin can implement to follow a run.

An error in one is told at the end of the run, which then has exit status 1; it changes nothing else.
None is `firstresult`: every implementation sees every score. None is `historic`: when the first score is
recorded, all plugins are registered, and a conftest.py that pytest finds later is called for later scores.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from alignbench.findings import Findings
    from alignbench.types import Score


def pytest_alignbench_score(score: Score, config: pytest.Config) -> None:
    """Receive a score as soon as its test has ended.

    It is called on the controller only, once for each recorded score, also for scores of xdist's workers, and
    after the score was written to scores.jsonl. A flag that follows from all scores together is not set yet.

    Args:
        score: the score.
        config: pytest's configuration.
    """


def pytest_alignbench_findings(findings: Findings, config: pytest.Config, folder: Path) -> None:
    """Receive all that follows from the scores of the run, once at its end.

    It is called on the controller only, after the run's files were written and before it is compared with an
    earlier run; not at all if no score was recorded.

    Args:
        findings: the scores, rankings, ties and answers.
        config: pytest's configuration.
        folder: the folder with the run's files.
    """
