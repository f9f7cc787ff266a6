"""Plot of the dimension against scale: at growing distances between neighbours, with standard errors."""

from __future__ import annotations

from typing import Any

import numpy as np

from nflows_spread.dimension import DimensionAgainstScale, PointDimension, dimension_of
from nflows_spread.plots.axes import axes_for, legend, refused
from nflows_spread.plots.colours import DATA_COLOUR, REFERENCE_COLOUR
from nflows_spread.plots.estimator_results import is_estimator

_TAKEN = "what dimension_of found, its scales, or an array of points (n, D)"

_NARROW = 4.0
"""The ratio of the largest to the smallest distance up to which ticks are even, as 1, 2 and 5 are too few: a choice."""


def scale(found: Any, *, label: str = "neighbours", ax: Any = None) -> Any:
    """The dimension at growing distances between neighbours, with bands of one and of two standard errors.

    Of what ``dimension_of`` found the answer is a dashed line and its interval a grey band.

    Args:
        found: a ``PointDimension``, as ``dimension_of`` gives it; a ``DimensionAgainstScale``; or the points
            themselves, (n, D), of which ``dimension_of`` is taken.
        label: what a legend calls the curve.
        ax: where to draw; by default into a new figure.

    Returns:
        The axes.

    Raises:
        TypeError, ValueError: ``found`` is nothing of the kind.
    """
    if is_estimator(found):
        raise refused("scale", _TAKEN, found, "an estimator keeps no data, so take plots.scale(dimension_of(X))")
    if not isinstance(found, (PointDimension, DimensionAgainstScale)):
        if isinstance(found, (int, str)) or not hasattr(found, "shape"):
            raise refused("scale", _TAKEN, found, "take plots.scale(dimension_of(x))")
        found = dimension_of(found)
    scales = found.scales if isinstance(found, PointDimension) else found
    axes = axes_for(ax, plane=True)
    if isinstance(found, PointDimension):
        lowest, highest = found.interval
        axes.axhspan(lowest - 0.5, highest + 0.5, color=REFERENCE_COLOUR, alpha=0.2, lw=0, label="interval")
        axes.axhline(int(found), c=REFERENCE_COLOUR, ls="--", lw=1.0, label=f"answer: {int(found)}")
    draw_scales(axes, scales, label)
    legend(axes)
    return axes


def draw_scales(axes: Any, scales: DimensionAgainstScale, label: str) -> None:
    """The curve, its bands, and the names of its axes."""
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

    distances, dimensions = np.array(scales.scales), np.array(scales.dimensions)
    errors = np.array(scales.standard_errors)
    for width in (2.0, 1.0):
        axes.fill_between(
            distances, dimensions - width * errors, dimensions + width * errors, color=DATA_COLOUR, alpha=0.2, lw=0
        )
    axes.plot(distances, dimensions, "o-", c=DATA_COLOUR, ms=3, lw=1.2, label=label)
    axes.set_xscale("log")
    narrow = distances[-1] < _NARROW * distances[0]
    axes.xaxis.set_major_locator(MaxNLocator(5) if narrow else LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_ylim(bottom=0.0)
    axes.set_xlabel("mean distance to the k-th neighbour\n(units of the data)")
    axes.set_ylabel("dimension")
