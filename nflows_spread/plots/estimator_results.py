"""What a fitted ``SpreadFlowEstimator`` is known by, so that plots need not import it and its training."""

from __future__ import annotations

from typing import Any

UNITS, SCALED = "units of the data", "standard deviations of the columns"
"""Of lengths in pictures: by default, and of what standardizes columns."""


def is_estimator(found: Any) -> bool:
    """Whether it is one that has been fitted.

    Raises:
        ValueError: it has not been fitted.
    """
    if not hasattr(found, "inverse_transform") or not hasattr(found, "pointwise_dimension"):
        return False
    if not hasattr(found, "chart_"):
        raise ValueError(f"the {type(found).__name__} must be fitted, got one that is not; call fit(X) first")
    return True


def units_of(estimator: Any) -> str:
    """Of the coordinates and lengths of a fitted estimator."""
    return SCALED if estimator.standardize else UNITS


def scales_of(found: Any) -> Any:
    """The scales of the columns, (D,), of an estimator that standardizes; None of all else."""
    return _array(found.scale_) if is_estimator(found) and found.standardize else None


def in_units_of_flow(estimator: Any, rows: Any) -> Any:
    """Rows (n, D) as the flow, the charts and the atlas of a fitted estimator know them."""
    unit = (rows - _array(estimator.center_)) / _array(estimator.scale_)
    return unit if estimator.axes_ is None else unit @ _array(estimator.axes_)


def _array(value: Any) -> Any:
    return value.detach().cpu().double().numpy() if hasattr(value, "detach") else value
