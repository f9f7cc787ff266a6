"""Plot of a chart: points at their coordinates on the manifold, in the plane or in space, coloured by any column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nflows_spread import validation
from nflows_spread.arrays import is_frame
from nflows_spread.chart import Chart
from nflows_spread.plots.axes import axes_for, coloured, is_space, name_axes, numbers_of, refused, scattered
from nflows_spread.plots.colours import DATA_COLOUR, colours_of_rows, name_of_colour
from nflows_spread.plots.estimator_results import is_estimator, units_of

_TAKEN = "a fitted SpreadFlowEstimator or a Chart with x=, or coordinates (n, K)"


def chart(
    found: Any,
    x: Any = None,
    *,
    colour: Any = None,
    label: str | None = None,
    coordinates: Sequence[int] | None = None,
    ax: Any = None,
) -> Any:
    """Points at their coordinates: one against its colour, two in the plane, three in space.

    Args:
        found: a fitted ``SpreadFlowEstimator`` or a ``Chart``, with ``x``; or coordinates (n, K), as ``transform`` and
            ``project`` give them.
        x: the data, (n, D), whose coordinates are drawn.
        colour: one entry for each row: an array, tensor, list or column of a data frame, numbers or categories; or the
            name of a column of ``x`` where that is a data frame. Text, truth values and up to 8 different whole numbers
            that repeat are categories, with a legend; other numbers have a colour bar, from the 2nd to the 98th
            percentile where a few are far out.
        label: what the colour is; by default the name of its column.
        coordinates: which to draw, counted from 1: ``(1, 3)``. By default the first two, or one where there is but
            one, or three in 3-D axes; three numbers make new axes 3-D.
        ax: where to draw; by default into a new figure.

    Returns:
        The axes.

    Raises:
        TypeError, ValueError: ``found`` is nothing of the kind, there are no such coordinates, or not one colour for
            each row.

    Example:
        >>> ax = chart(np.random.default_rng(0).normal(size=(50, 3)), colour=np.arange(50), coordinates=(1, 2, 3))
        >>> ax.get_zlabel()
        'coordinate 3'
    """
    values, units = coordinates_of(found, x)
    if isinstance(colour, str):
        colour = _column(x, colour)
    elif x is not None and not (is_estimator(found) or isinstance(found, Chart)):
        raise ValueError("x must be left out where coordinates are given, got both; what colours them is colour=")
    given = None if colour is None else colours_of_rows(colour, len(values))
    name = name_of_colour(colour, label)
    numbers = _numbers(coordinates, values.shape[1], ax)
    axes = axes_for(ax, space=len(numbers) == 3)
    if len(numbers) != (3 if is_space(axes) else min(len(numbers), 2)):
        raise ValueError(
            f"coordinates must be {'three' if is_space(axes) else 'one or two'} for these axes, got "
            f"{tuple(numbers)}; three need axes with projection='3d', or ax=None"
        )
    shown = values[:, [number - 1 for number in numbers]]
    names = [f"coordinate {number}" for number in numbers]
    if len(numbers) == 1:
        second, what = _second(given, len(values), name)
        shown = np.stack([shown[:, 0], second], axis=1)
        if given is None or given.dtype.kind not in "uif":
            axes.set_yticks([])  # heights that are no numbers
    if given is None:
        scattered(axes, shown, color=DATA_COLOUR)
    else:
        coloured(axes, shown, given, name)
    name_axes(axes, [*names, names[0]], units)
    if len(numbers) == 1:
        axes.set_ylabel(what)
    return axes


def coordinates_of(found: Any, x: Any) -> tuple[Any, str]:
    """Coordinates of data as a NumPy array (n, K), and their units."""
    if is_estimator(found):
        return numbers_of(found.transform(_needed(found, x))), units_of(found)
    if isinstance(found, Chart):
        units = "units of the data" if found.data_noise > 0.0 or found.order == "signal-to-noise" else "latent units"
        return numbers_of(found.coordinates(validation.tensor("x", _needed(found, x)))), units
    if not hasattr(found, "shape") and not isinstance(found, (list, tuple)):
        raise refused("chart", _TAKEN, found, "make a chart of a flow by chart_of(flow, rank=K)")
    values = numbers_of(found)
    values = values[:, None] if values.ndim == 1 else values
    if values.ndim != 2 or len(values) == 0 or not np.isfinite(values).all():
        raise ValueError(f"coordinates must be finite numbers (n, K), got shape {values.shape}; see project, transform")
    return values, "units of the data"


def _needed(found: Any, x: Any) -> Any:
    if x is None:
        raise ValueError(f"x must be the data to draw the coordinates of, got None with a {type(found).__name__}")
    return x


def _column(x: Any, name: str) -> Any:
    """A column of a data frame."""
    if not is_frame(x) or name not in list(x.columns):
        columns = validation.listed(list(x.columns)) if is_frame(x) else "no data frame"
        raise ValueError(f"colour must be a column of x or one entry for each row, got {name!r} of {columns}")
    return x[name]


def _numbers(coordinates: Sequence[int] | None, rank: int, ax: Any) -> list[int]:
    """Of the coordinates to draw."""
    if coordinates is None:
        return list(range(1, 1 + min(rank, 3 if is_space(ax) else 2)))
    numbers = [validation.positive_int("each of coordinates", number) for number in coordinates]
    if not 1 <= len(numbers) <= 3 or max(numbers) > rank:
        raise ValueError(f"coordinates must be one to three numbers between 1 and {rank}, got {tuple(numbers)}")
    return numbers


def _second(colours: Any, rows: int, name: str) -> tuple[Any, str]:
    """What a single coordinate is drawn against: its colour, or chance, so that points do not hide each other."""
    if colours is None:
        return np.random.default_rng(0).uniform(size=rows), "chance, to see all points"
    if colours.dtype.kind in "uif":
        return colours.astype(float), name
    return np.unique(colours, return_inverse=True)[1].astype(float), name
