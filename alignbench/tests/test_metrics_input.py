"""Bad input is named: which argument, its shape, what would be right."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from alignbench.errors import ConfigError, InputError, UnknownNameError
from alignbench.metrics import METRICS, linear_cka
from alignbench.metrics.base import MetricRegistry
from alignbench.metrics.checks import as_matrix, standardized

X = np.random.default_rng(0).normal(size=(12, 3))
PAIRS = METRICS.names(kind="pair")


def call(name: str, x: Any, y: Any) -> float:
    keywords = {"align": "none"} if METRICS.get(name).same_width else {}
    return METRICS.get(name)(x, y, **keywords)


def with_nan() -> Any:
    x = X.copy()
    x[4, 1] = np.nan
    x[7, 0] = np.inf
    return x


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (X[:, 0], r"y: expected a matrix \[n, d\], got shape \(12,\).*x\[:, None\]"),
        (X[None], r"y: expected a matrix \[n, d\], got shape \(1, 12, 3\)"),
        (X[:-1], r"x has shape \(12, 3\) and y \(11, 3\)"),
        (with_nan(), r"y: 2 of 36 values are NaN or infinite in shape \(12, 3\), the first in row 4"),
        (X + 1j, "y: expected real numbers, got dtype complex128"),
        (X.astype(object), "y: expected real numbers, got dtype object"),
        (X.astype(str), "y: expected real numbers, got dtype <U"),
        (X[:, :0], "y: expected at least one row and one column"),
    ],
    ids=["vector", "cube", "rows", "nan", "complex", "object", "text", "empty"],
)
@pytest.mark.parametrize("name", PAIRS)
def test_bad_input_names_the_argument(name: str, bad: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call(name, X, bad)


def test_bfloat16_and_half_tensors_are_converted() -> None:
    torch = pytest.importorskip("torch")
    tensor = torch.tensor(X, requires_grad=True)
    for dtype in (torch.bfloat16, torch.float16):
        narrow = tensor.to(dtype)
        wide = narrow.detach().double().numpy()
        assert linear_cka(narrow, tensor) == linear_cka(wide, X)


def test_scaling_into_range_keeps_every_bit() -> None:
    assert (standardized(X * 2.0**300) == standardized(X)).all()
    assert np.abs(standardized(X * 1e-300)).max() >= 0.5


def test_rounding_is_not_variance() -> None:
    with pytest.raises(InputError, match="zero variance"):
        standardized(np.full((7, 3), 0.1) + 1e-17)


def test_matrices_are_not_copied_needlessly_nor_shared_for_writing() -> None:
    assert as_matrix(X) is X


def test_a_registered_name_is_taken_and_an_unknown_one_is_guessed() -> None:
    registry = MetricRegistry()
    registry.register("mine", bounds=(0, 1))(lambda x, y: 0.5)
    with pytest.raises(ConfigError, match="'mine' is registered already"):
        registry.register("mine")(lambda x, y: 0.1)
    with pytest.raises(UnknownNameError, match="Did you mean 'linear_cka'"):
        METRICS.get("linear_cke")


def test_metrics_are_listed_family_by_family_and_by_what_they_see() -> None:
    assert METRICS.names(family="cka") == ["linear_cka", "calibrated_cka", "debiased_cka", "rbf_cka"]
    assert METRICS.names(kind="pair", pairing=True, default=True) == [
        *METRICS.names(family="cka"),
        "mutual_knn", "cknna", "procrustes_similarity", "rsa", "ridge_r2", "ridge_r2_reverse",
    ]  # fmt: skip
    asked_for = METRICS.names(family="neighbors", default=False)
    assert asked_for[-4:] == ["cycle_knn", "cycle_knn_reverse", "lcs_knn", "edit_knn"]
    assert METRICS.names(kind="composite") == ["eas", "eas_adjusted"]
    assert len(METRICS) == len(set(METRICS)) == len(METRICS.names())
    assert "ncoral" in METRICS


def test_a_decorated_function_stays_itself_and_is_checked_when_called_as_a_metric() -> None:
    registry = MetricRegistry()

    @registry.register("half", bounds=(0, 1), min_n=5)
    def half(x: Any, y: Any) -> float:
        return 0.5

    assert half(None, None) == 0.5
    with pytest.raises(InputError, match="at least 5 rows, got 4"):
        registry.get("half")(X[:4], X[:4])


@pytest.mark.slow
def test_importing_the_metrics_imports_nothing_heavy() -> None:
    code = (
        "import sys, alignbench.metrics, alignbench.stats; "
        "print([m for m in ('scipy', 'sklearn', 'torch', 'hypothesis', 'matplotlib') if m in sys.modules])"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output == "[]\n"
