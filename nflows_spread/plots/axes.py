"""Axes of matplotlib for pictures: those that are given or of a new figure, and points in the plane or in space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nflows_spread.arrays import is_frame, rows_of
from nflows_spread.plots.colours import NO_NUMBER, NUMBERS, categories_of

SIZE = 6
"""Of a point, its area in square points: a choice."""

_VECTOR = 1_000
"""Points up to which each is a vector in an SVG or PDF file, which more make slow to show: a choice."""

_ZOOM = 0.85
"""Of the box of 3-D axes, so that its labels are within the axes: by trials in a figure of 4.6 by 3.4 inches."""

_WITHIN = 3
"""Categories up to which the legend is among the points and not beside the axes: a choice."""

_TAILS = (2.0, 98.0)
"""Percentiles that colours end at where numbers beyond would leave no colours to the others: a choice."""

_FAR = 3.0
"""The range of the numbers over that between these percentiles, a ratio, from which on that is so: a choice; it is
1.04 for uniform numbers, and 1.6 for a thousand of a Gaussian."""

_TICKS_IN_SPACE = 4
"""Of each of three axes, at most, whose numbers lie close to their names: a choice."""

_LEGEND = {"fontsize": 7, "framealpha": 0.7}


def axes_for(ax: Any, *, space: bool = False, plane: bool = False) -> Any:
    """The axes that are given, or those of a new figure.

    Args:
        ax: axes of matplotlib, or None.
        space: whether new ones are 3-D.
        plane: whether given ones must not be.

    Raises:
        ImportError: matplotlib is not installed; the error names the extra.
        TypeError: ``ax`` is no axes.
        ValueError: it is 3-D and the picture is one of the plane.
    """
    try:
        from matplotlib import pyplot
        from matplotlib.axes import Axes
    except ModuleNotFoundError as error:
        raise ImportError(
            'pictures are drawn by matplotlib, which is not installed; pip install "nflows-spread[cli]"'
        ) from error
    if ax is None:
        return pyplot.figure(layout="constrained").add_subplot(projection="3d" if space else None)
    if not isinstance(ax, Axes):
        raise TypeError(
            f"ax must be axes of matplotlib, got {type(ax).__name__}; take figure.add_subplot(), one of those that "
            "plt.subplots() returns, or leave it out for a new figure"
        )
    if plane and is_space(ax):
        raise ValueError("ax must be axes in the plane for this picture, got 3-D ones; leave out projection='3d'")
    return ax


def is_space(ax: Any) -> bool:
    """Whether axes are 3-D."""
    return bool(getattr(ax, "name", "") == "3d")


def numbers_of(values: Any) -> Any:
    """A tensor, array or list of numbers as a float64 NumPy array."""
    return np.asarray(values.detach().cpu() if hasattr(values, "detach") else values, dtype=float)


def points_of_rows(name: str, x: Any) -> tuple[Any, list[str]]:
    """Rows of data as a NumPy array (n, D), entries of more axes behind one another, and the names of the columns.

    Raises:
        TypeError, ValueError: these are no finite real numbers.
    """
    names = [str(column) for column in x.columns] if is_frame(x) else None
    if not is_frame(x) and hasattr(x, "reshape") and getattr(x, "ndim", 2) > 2:
        x = x.reshape(len(x), -1)
    rows = rows_of(name, x).numpy().astype(float)
    return rows, names or [f"column {number}" for number in range(1, rows.shape[1] + 1)]


def scattered(ax: Any, points: Any, **style: Any) -> Any:
    """Points (n, 2), or (n, 3) in 3-D axes, as small discs."""
    some = {"s": SIZE, "linewidths": 0, "rasterized": len(points) > _VECTOR and not is_space(ax)} | style
    return ax.scatter(*points.T, **some)  # in space matplotlib knows vectors alone


def coloured(ax: Any, points: Any, colours: Any, label: str) -> None:
    """Points (n, 2) or (n, 3) by numbers, with a colour bar, or by categories, with a legend.

    Args:
        ax: where to draw.
        points: their places.
        colours: (n,), numbers, of which NaN is grey, or text.
        label: what these are.
    """
    if colours.dtype.kind in "uif":
        from matplotlib import colormaps

        shades = colormaps[NUMBERS].with_extremes(bad=NO_NUMBER)  # rows without one stay to be seen
        values = colours.astype(float)
        low, high, beyond = _ends(values)
        drawn = scattered(ax, points, c=values, cmap=shades, vmin=low, vmax=high, plotnonfinite=True)
        said = label if beyond == "neither" else f"{label}\n(colours: percentiles {_TAILS[0]:g} to {_TAILS[1]:g})"
        place = {"shrink": 0.7, "pad": 0.12} if is_space(ax) else {}
        ax.figure.colorbar(drawn, ax=ax, label=said, extend=beyond, **place)
        return
    categories = categories_of(colours)
    for name, colour, chosen in categories:
        scattered(ax, points[chosen], color=colour, label=name)
    beside = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)}
    legend(ax, title=label, markerscale=2, **(beside if len(categories) > _WITHIN else {}))


def _ends(values: Any) -> tuple[float | None, float | None, str]:
    """What the first and the last colour stand for, and at which end numbers are beyond: of all, or of most of them."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return None, None, "neither"
    low, high = np.percentile(finite, _TAILS)
    whole = finite.min(), finite.max()
    if not np.isneginf(values).any() and not whole[1] - whole[0] > _FAR * (high - low) > 0.0:
        return float(whole[0]), float(whole[1]), "neither"
    ends = {(True, True): "both", (True, False): "min", (False, True): "max", (False, False): "neither"}
    return float(low), float(high), ends[bool(values[~np.isnan(values)].min() < low), bool(whole[1] > high)]


def legend(ax: Any, **options: Any) -> None:
    """A small one, that lets what is below it through."""
    ax.legend(**_LEGEND | {"title_fontsize": 8} | options)


def name_axes(ax: Any, names: Sequence[str], units: str) -> None:
    """Labels of two axes with their units, or of three, which have little room, with these at the first."""
    first = f"{names[0]} ({units})"
    if not is_space(ax):
        ax.set_xlabel(first)
        ax.set_ylabel(f"{names[1]} ({units})")
        return
    from matplotlib.ticker import MaxNLocator

    for label, name in ((ax.set_xlabel, first), (ax.set_ylabel, names[1]), (ax.set_zlabel, names[2])):
        label(name, fontsize=8)
    ax.tick_params(labelsize=7)
    for axis in (ax.xaxis, ax.yaxis, ax.zaxis):
        if isinstance(axis.get_major_locator(), MaxNLocator):
            axis.get_major_locator().set_params(nbins=_TICKS_IN_SPACE)
        longest = max(len(tick.get_text()) for tick in axis.get_ticklabels() or [axis.label])
        axis.labelpad = max(axis.labelpad, float(longest))
    ax.set_box_aspect(None, zoom=_ZOOM)  # layouts of matplotlib keep no room for these labels


def whole_numbers(axis: Any) -> None:
    """Ticks at whole numbers alone."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def refused(plot: str, accepted: str, found: Any, remedy: str) -> TypeError:
    """The error for what a picture cannot be drawn of."""
    return TypeError(f"plots.{plot} must be given {accepted}, got {type(found).__name__}; {remedy}")
