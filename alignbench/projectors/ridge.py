"""The linear projector of penalised least squares: it is solved, not trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

# A prior: a text owes a sixteenth as much to its image as to everything else. On the packaged drawings, it
# costs the trained encoders nothing; an unpenalised fit also learns what an image puts into directions with
# hardly any variance, where an untrained encoder keeps its pixels. docs/trained.md has the numbers.
PENALTY = 16.0


def ridge(x: Matrix, y: Matrix, rows: Matrix, penalty: float = PENALTY) -> Matrix:
    r"""Return the prediction of the penalised linear fit of y on x for other rows.

    $W = \arg\min_W \|Y - XW\|^2 + c\,s\,\|W\|^2$, where s is the mean squared length of the rows of x. So c
    does not depend on the unit of x, and the more pairs there are, the less it matters.

    Args:
        x: the rows to fit, centred [n, dx].
        y: their targets, centred [n, dy].
        rows: the rows to predict for, in the same units as x [m, dx].
        penalty: c, which is above 0.

    Returns:
        The predictions [m, dy]; all are 0 if x has no variance.

    Source:
        Hoerl and Kennard (1970), Technometrics 12.
    """
    size = float(np.square(x).sum(axis=1).mean())
    if not size:
        return np.zeros((len(rows), y.shape[1]))
    n, width = x.shape
    if n <= width:
        solved = x.T @ np.linalg.solve(x @ x.T + penalty * size * np.eye(n), y)
    else:
        solved = np.linalg.solve(x.T @ x + penalty * size * np.eye(width), x.T @ y)
    predicted: Matrix = rows @ solved
    return predicted
