"""Plot of an intrinsic dimension: the answer, its interval and each estimate; or a map of pointwise dimensions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nflows_spread.dimension import IntrinsicDimension, LocalDimensions, PointDimension
from nflows_spread.dimension.rules import likeliest
from nflows_spread.plots.axes import axes_for, coloured, points_of_rows, refused, whole_numbers
from nflows_spread.plots.colours import DATA_COLOUR, MODEL_COLOUR, REFERENCE_COLOUR
from nflows_spread.plots.estimator_results import is_estimator
from nflows_spread.plots.views import view_of

_TAKEN = "a fitted SpreadFlowEstimator, what intrinsic_dimension or dimension_of found, or dimensions of points"
_ROOM = 1.15
"""How far the axis goes beyond the largest number, a ratio, for the letters beside it: a choice."""


def dimension(found: Any, points: Any = None, *, ax: Any = None) -> Any:
    """An intrinsic dimension: a line at the answer, a band over its interval, and a dot for each estimate behind it.

    An estimate beyond D stands at the edge, with its number beside it as all have.

    Args:
        found: a fitted ``SpreadFlowEstimator``, an ``IntrinsicDimension`` of a flow, or a ``PointDimension`` of
            ``dimension_of``; with ``points`` their dimensions, as ``local_dimensions`` or ``pointwise_dimension`` gives
            them, for a map of data whose dimension varies.
        points: the data of such a map, (n, D).
        ax: where to draw; by default into a new figure.

    Returns:
        The axes.

    Raises:
        TypeError, ValueError: ``found`` is nothing of the kind, or has not one dimension for each point.

    Example:
        >>> from nflows_spread import dimension_of
        >>> ax = dimension(dimension_of(np.random.default_rng(0).normal(size=(100, 3))))
        >>> ax.get_xlabel()
        'dimension'
    """
    if points is not None:
        return _map(found, points, ax)
    answer, features, estimates, intervals = _estimates(found)
    axes = axes_for(ax, plane=True)
    lowest, highest = answer.interval
    axes.axvspan(lowest - 0.5, highest + 0.5, color=REFERENCE_COLOUR, alpha=0.2, lw=0, label="interval")
    axes.axvline(int(answer), c=MODEL_COLOUR, lw=1.0, ls="--", label=f"dimension {int(answer)}")
    right = max(float(features), highest + 0.5)
    said = f"{int(answer)}" if lowest == highest else f"{int(answer)} ({lowest} to {highest})"
    _dot(axes, 0, int(answer), said, right, answer.interval, MODEL_COLOUR)
    for place, (name, value) in enumerate(estimates.items(), 1):
        _dot(axes, place, value, f"{value:.3g}", right, intervals.get(name), DATA_COLOUR)
    names = ["all together" if is_estimator(found) else "answer", *(name.replace("_", " ") for name in estimates)]
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.8)
    axes.set_xlim(0.0, _ROOM * right)
    axes.set_xlabel("dimension")
    whole_numbers(axes.xaxis)
    return axes


def _dot(
    axes: Any, place: int, value: float, said: str, right: float, interval: tuple[int, int] | None, colour: str
) -> None:
    """An estimate in its line, within the axes, with its number and its interval."""
    if interval is not None:
        axes.plot(interval, [place, place], c=colour, lw=1.5, solid_capstyle="butt")
    within = min(max(float(value), 0.0), right) if math.isfinite(value) else right
    axes.plot([within], [place], "o", c=colour, ms=5)
    axes.annotate(said, (within, place), xytext=(5, 4), textcoords="offset points", fontsize=8)


def _estimates(found: Any) -> tuple[Any, int, dict[str, float], dict[str, tuple[int, int]]]:
    """The answer, D, what each estimate says by its name, and the intervals of those that have one."""
    if is_estimator(found):
        return found.intrinsic_dimension_, found.n_features_in_, dict(found.estimates_.by_name), {}
    if isinstance(found, PointDimension):
        seen = found.estimates
        said = {"neighbours": found.value}
        if seen.tangents is not None:
            said["tangent_spaces"] = float(likeliest(seen.tangents.log_evidence))
        if seen.above_noise is not None:
            said["above_noise"] = float(seen.above_noise.dimension)
        return found, seen.features, said, {}
    if isinstance(found, IntrinsicDimension):
        rules = found.spectrum.estimates
        intervals = {name: each.interval for name, each in rules.items()}
        return (
            found,
            len(found.spectrum.signal_to_noise),
            {name: float(each) for name, each in rules.items()},
            intervals,
        )
    raise refused("dimension", _TAKEN, found, "dimensions of points need points=, too")


def _map(found: Any, points: Any, ax: Any) -> Any:
    """Points, each in the colour of its dimension."""
    values = found.dimensions if isinstance(found, LocalDimensions) else found
    whole = np.asarray(values.detach().cpu() if hasattr(values, "detach") else values)
    rows, columns = points_of_rows("points", points)
    if whole.shape != (len(rows),):
        raise ValueError(
            f"found must have one dimension for each of the {len(rows)} points, got shape {whole.shape}; "
            "local_dimensions(points) gives them"
        )
    if not np.equal(whole, whole.astype(int)).all():
        raise ValueError(f"dimensions of points must be whole numbers, got {whole[whole != whole.astype(int)][0]}")
    view = view_of(rows, columns, ax)
    coloured(view.ax, view.of(rows), whole.astype(int).astype(str), "dimension")
    view.name_axes()
    return view.ax
