"""Outlier detection: rows or values, such as fill values, so far out that the scale of the data is theirs."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from nflows_spread import validation

_BULK = 0.9
"""The share of the rows, those nearest to the median, that the others must not hide: a choice; not measured."""

_HIDDEN = 0.1
"""The standard deviation of the bulk, in units of all rows', below which they are hidden. A choice: ten times the σ_x
at the end of the default recipe. 0.90 for a Gaussian, 0.26 for 2 000 draws of Student's t of 1.5 degrees of freedom,
0.06 of 1."""

_FAR = 10.0
"""Rows so many times farther from the median than the farthest of the bulk are named. A choice; not measured."""

_VALUES = 20
"""Distinct values of a column, at the least, that may hide something, or it is one of categories: a choice."""


def check_outliers(x: Tensor, *, data_noise: float) -> None:
    """Warn where a few rows set the scale, refuse where all others are within the noise.

    Args:
        x: rows of unit scale, (n, D).
        data_noise: the smallest σ_x, in the same units.

    Raises:
        ValueError: nine tenths of the distinct rows vary by less than ``data_noise``.
    """
    distinct, which = x.double().unique(dim=0, return_inverse=True)  # a fill value may be in many rows
    distances = (distinct - distinct.median(0).values).norm(dim=1)
    bulk = distances.sort().values[: max(2, int(_BULK * len(distinct)))]
    deviation = float(bulk.square().mean().sqrt()) / x.shape[1] ** 0.5
    if deviation >= _HIDDEN:
        return
    of_rows = distances[which]
    ordered = of_rows.argsort(descending=True, stable=True)
    far = ordered[of_rows[ordered] > _FAR * bulk[-1]]
    if not len(far):
        return
    told = (
        f"X must have no rows so far out that they alone set its scale, got {len(far)}, by their index, the farthest "
        f"first: {validation.listed(far.tolist())}; nine tenths of the distinct rows have a standard deviation of "
        f"{deviation:.2g} times that of all. Drop them if they hold fill values or errors, or transform heavy "
        "tails first, with a logarithm perhaps"
    )
    if deviation < data_noise:
        raise ValueError(told)
    validation.warn(told)


def warn_of_hidden_columns(x: Tensor, scale: Tensor, names: Sequence[object] | None) -> None:
    """Warn where a few values set the standard deviation of a column, which hides what the others vary by.

    Values that are repeated count once, so that a fill value may be in many rows; a column of few values, such as that
    of a category, has nothing to hide.

    Args:
        x: rows of data, (n, D).
        scale: the standard deviations of the columns, (D,).
        names: of the columns; by default their numbers.
    """
    hidden, deviations = [], []
    for column, values in enumerate(x.double().unbind(1)):
        distinct = values.unique()
        distances = ((distinct - distinct.median()).abs() / scale[column]).sort().values
        bulk = distances[: int(_BULK * len(distinct))]
        if len(distinct) < _VALUES or float(distances[-1]) <= _FAR * float(bulk[-1]):
            continue
        if (deviation := float(bulk.square().mean().sqrt())) < _HIDDEN:
            hidden.append(column)
            deviations.append(deviation)
    if not hidden:
        return
    named = [
        f"{column if names is None else names[column]!r} ({deviation:.2g})"
        for column, deviation in zip(hidden, deviations)
    ]
    validation.warn(
        "columns that are standardized must not have their scale from a few values far out, got "
        f"{len(hidden)} of {x.shape[1]} columns in which nine tenths of the distinct values have a standard deviation "
        f"of less than {_HIDDEN:g} of the column's: {validation.listed(named, most=validation.FEW)}; drop rows that "
        "hold fill values or errors, take a transform of heavy tails first, such as a logarithm, or, where all columns "
        "are in one unit, as pixels are, leave standardize=True out"
    )
