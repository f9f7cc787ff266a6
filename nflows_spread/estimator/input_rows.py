"""Input validation of ``SpreadFlowEstimator``: rows of ``fit``, and rows whose columns must be those of ``fit``.

The messages have the words by which scikit-learn's ``check_estimator`` knows them.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from nflows_spread.arrays import labels_of, rows_of, same_labels
from nflows_spread.dimension.few_points import FEWEST

_FEWEST_COLUMNS = 2
"""Columns of data, at the least: a choice, as one column has one dimension and couplings split columns in two."""


def rows_to_fit(value: Any) -> Tensor:
    """The rows of ``fit``, (n, D), float32 or float64.

    Raises:
        TypeError: it is no array of real numbers.
        ValueError: it is not finite, or has fewer than 6 rows or 2 columns.
    """
    x = rows_of("X", value)
    rows, columns = x.shape
    if columns < _FEWEST_COLUMNS:
        raise ValueError(
            f"X must have at least {_FEWEST_COLUMNS} columns, got {columns} feature(s) (shape={(rows, columns)}) while "
            f"a minimum of {_FEWEST_COLUMNS} is required; a column by itself has one dimension and needs no flow"
        )
    if rows < FEWEST:
        raise ValueError(
            f"X must have at least {FEWEST} rows, got n_samples={rows} (shape={(rows, columns)}); take more of them, "
            "from 50 on they tell a dimension"
        )
    return x


def rows_as_fitted(value: Any, *, labels: list[Any] | None, features: int, estimator: str) -> Tensor:
    """Rows for an estimator that was fitted, (n, D).

    Args:
        value: what the caller gave as X.
        labels: of the columns of ``fit``; None where they had none.
        features: their number.
        estimator: the name of its class.

    Raises:
        TypeError: it is no array of real numbers.
        ValueError: it is not finite, or has other columns.
    """
    same_labels("X", labels_of(value), labels)
    x = rows_of("X", value)
    if x.shape[1] != features:
        raise ValueError(
            f"X has {x.shape[1]} features, but {estimator} is expecting {features} features as input; "
            "pass the columns of fit"
        )
    return x


def names_of(labels: list[Any] | None) -> list[str] | None:
    """The labels where all are strings, as only such are ``feature_names_in_``; else None."""
    return labels if labels is not None and all(isinstance(label, str) for label in labels) else None
