"""Rows so far from all others that the scale of the data is theirs: fill values, most often."""

from __future__ import annotations

import warnings

from torch import Tensor

_BULK = 0.9
"""The share of the rows, those nearest to the median, that the others must not hide."""

_HIDDEN = 0.1
"""The standard deviation of the bulk, in units of all rows', below which they are hidden: ten times the σ_x at the end
of the default recipe. 0.90 for a Gaussian, 0.26 for 2 000 draws of Student's t of 1.5 degrees of freedom, 0.06 of 1."""

_FAR = 10.0
"""Rows so many times farther from the median than the farthest of the bulk are named."""

_NAMED = 10


def check_outliers(x: Tensor, *, data_noise: float) -> None:
    """Warn where a few rows set the scale, refuse where all others are within the noise.

    Args:
        x: rows of unit scale, (n, D).
        data_noise: the smallest σ_x, in the same units.

    Raises:
        ValueError: nine tenths of the rows vary by less than ``data_noise``.
    """
    distances = (x.double() - x.double().median(0).values).norm(dim=1)
    ordered = distances.sort()
    bulk = ordered.values[: max(2, int(_BULK * len(x)))]
    deviation = float(bulk.square().mean().sqrt()) / x.shape[1] ** 0.5
    if deviation >= _HIDDEN:
        return
    far = ordered.indices[ordered.values > _FAR * bulk[-1]].flip(0)
    if not len(far):
        return
    rows = ", ".join(map(str, far[:_NAMED].tolist())) + (f" and {len(far) - _NAMED} more" if len(far) > _NAMED else "")
    told = (
        f"X must have no rows so far out that they alone set its scale, got {len(far)}, by their index, the farthest "
        f"first: {rows}; nine tenths of the rows have a standard deviation of {deviation:.2g} times that of all. Drop "
        "them if they hold fill values or errors, or transform heavy tails first, with a logarithm for example"
    )
    if deviation < data_noise:
        raise ValueError(told)
    warnings.warn(told, stacklevel=5)  # the caller of fit, beyond its two decorators
