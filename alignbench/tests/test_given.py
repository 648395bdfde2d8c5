"""Arrays as users have them: what would lose something on its way to numpy is refused in one line."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from alignbench import score_arrays
from alignbench.errors import InputError
from alignbench.given import plain_array
from alignbench.metrics import METRICS

X, Y = np.random.default_rng(0).standard_normal((2, 30, 4))


def test_what_is_under_a_mask_is_never_used() -> None:
    masked = np.ma.masked_array(X.copy(), mask=np.zeros(X.shape, dtype=bool))
    assert plain_array(masked, "x").tobytes() == X.tobytes()
    masked[7, 1:] = np.ma.masked
    expected = r"x: 3 of 120 values are masked, the first in row 7; leave such rows out"
    with pytest.raises(InputError, match=f"^{expected}"):
        METRICS.get("linear_cka")(masked, Y)
    with pytest.raises(InputError, match=r"^vision 'vision': 3 of 120 values are masked"):
        score_arrays(masked, Y, metrics="linear_cka")


def test_no_imaginary_part_is_dropped() -> None:
    for given in (X + 1j * X, torch.tensor(X + 1j * X)):
        with pytest.raises(InputError, match=r"^x: expected real numbers, got dtype complex128"):
            METRICS.get("linear_cka")(given, Y)


def test_what_can_not_be_an_array_is_one_line() -> None:
    for given in (torch.tensor(X).to_sparse(), [[1.0], [1.0, 2.0]], torch.empty(3, 2, device="meta")):
        with pytest.raises(InputError, match=r"^x: can't be made an array \(.{10,160}\)$"):
            METRICS.get("linear_cka")(given, Y)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64, torch.int64])
def test_tensors_keep_their_values(dtype: torch.dtype) -> None:
    tensor = (torch.tensor(X) * 8).to(dtype)
    assert plain_array(tensor, "x").astype(float).tolist() == tensor.double().tolist()
