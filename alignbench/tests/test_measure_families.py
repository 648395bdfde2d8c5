"""The table of families: what is accepted is compared, and what is refused says why."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from alignbench.workshop.measure import families

pytestmark = pytest.mark.usefixtures("one_torch_thread")


def rows(out: str) -> dict[str, list[str]]:
    cells = [line.strip("| ").split(" | ") for line in out.splitlines() if line.startswith("| ")]
    return {row[0]: row[1:] for row in cells}


@pytest.mark.slow
def test_accepted_and_refused_models_have_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    for only in ("vit_mae", "bart", "test_efficientnet", "gemma3#"):
        families.main(["--only", only])
    assert logging.getLogger("any").isEnabledFor(logging.WARNING)
    found = rows(capsys.readouterr().out)
    assert found["vit_mae"][:5] == ["vit_mae", "cls, mean", "5", "16 × 32", "yes"]
    assert found["test_efficientnet"][:2] == ["timm", "pooler, mean"]
    assert max(float(found[name][-1]) for name in ("vit_mae", "test_efficientnet")) < 1e-5
    assert found["bart"][0].startswith("refused: model_type 'bart' is an encoder-decoder")


def test_a_difference_is_shown_as_one() -> None:
    ones = np.ones((2, 3))
    assert families.gap(ones, ones) == 0
    assert families.gap(ones, 2 * ones) == 0.5
    assert families.gap(ones, ones[:1]) == float("inf")
