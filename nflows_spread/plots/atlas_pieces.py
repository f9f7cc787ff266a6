"""Plot of an atlas: points coloured by the piece or the component they belong to, with the pieces' numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from nflows_spread import validation
from nflows_spread.atlas import Atlas
from nflows_spread.plots.axes import is_space, legend, numbers_of, points_of_rows, refused, scattered
from nflows_spread.plots.colours import CATEGORY_COLOURS, REFERENCE_COLOUR
from nflows_spread.plots.estimator_results import in_units_of_flow, is_estimator, scales_of
from nflows_spread.plots.views import view_of

_TAKEN = "an Atlas, a fitted SpreadFlowEstimator that has an atlas_, or numbers of pieces (n,)"
_IN_LEGEND = len(CATEGORY_COLOURS)
"""Pieces up to which each has a colour and a line in the legend of its own: as many as there are colours."""


def pieces(found: Any, x: Any, *, component: bool = False, ax: Any = None) -> Any:
    """Points in the colour of the piece that is most responsible for them; the pieces' numbers at their middles.

    More pieces than colours share these; an ``Atlas`` has the dimension of each piece in the legend.

    Args:
        found: an ``Atlas``; a fitted ``SpreadFlowEstimator`` whose ``atlas_`` is not None; or the numbers of the pieces
            themselves, (n,), as ``assign`` gives them, −1 for none.
        x: the data, (n, D).
        component: colour by the connected component, a manifold of its own, which an ``Atlas`` knows.
        ax: where to draw; by default into a new figure, for three columns 3-D.

    Returns:
        The axes.

    Raises:
        TypeError, ValueError: ``found`` is nothing of the kind or has no atlas, or not one number for each row.
    """
    if component and not isinstance(found, Atlas):
        raise ValueError(f"component needs an Atlas, which knows them, got {type(found).__name__}; see atlas_of")
    rows, columns = points_of_rows("x", x)
    numbers = _numbers(found, x, rows, component)
    if numbers.shape != (len(rows),):
        raise ValueError(f"numbers of pieces must be one for each of the {len(rows)} rows, got shape {numbers.shape}")
    present = [int(number) for number in np.unique(numbers)]
    names = _names(found, present, component)
    view = view_of(rows, columns, ax, scales=scales_of(found))
    shown = view.of(rows)
    for number in present:
        chosen = numbers == number
        colour = REFERENCE_COLOUR if number < 0 else CATEGORY_COLOURS[number % len(CATEGORY_COLOURS)]
        scattered(view.ax, shown[chosen], color=colour, label=names[number])
        if number >= 0:
            _number_at(view.ax, shown[chosen], str(number))
    view.name_axes()
    if len(present) <= _IN_LEGEND:
        legend(view.ax, markerscale=2)
    return view.ax


@torch.no_grad()
def _numbers(found: Any, x: Any, rows: Any, component: bool) -> Any:
    """The number of the piece or the component of each row."""
    if isinstance(found, Atlas):
        assigned = found.assign(validation.tensor("x", x))
        return numbers_of(found.component_of_pieces[assigned] if component else assigned).astype(int)
    if is_estimator(found):
        if found.atlas_ is None:
            raise ValueError(
                "the estimator must have an atlas, got one whose atlas_ is None, as one chart is enough for its data; "
                "plots.chart shows that"
            )
        return numbers_of(found.atlas_.assign(torch.as_tensor(in_units_of_flow(found, rows)))).astype(int)
    if not hasattr(found, "shape") and not isinstance(found, (list, tuple)):
        raise refused("pieces", _TAKEN, found, "make an atlas of a flow by atlas_of(flow, x)")
    given = numbers_of(found)
    if not np.equal(given, np.floor(given)).all():
        raise ValueError(f"numbers of pieces must be whole, got {given[given != np.floor(given)][0]}")
    return given.astype(int)


def _names(found: Any, numbers: list[int], component: bool) -> dict[int, str]:
    """What the legend calls each piece or component."""
    names = {number: f"piece {number}" if number >= 0 else "no piece" for number in numbers}
    if isinstance(found, Atlas):
        kind, parts = ("component", found.components) if component else ("piece", found.pieces)
        for number in (number for number in numbers if number >= 0):
            dimension = parts[number].dimension
            said = "" if dimension is None else f": dimension {int(dimension)}"
            names[number] = f"{kind} {number}{said}"
    return names


def _number_at(ax: Any, points: Any, number: str) -> None:
    """A piece's number at that of its points that is nearest to their mean, so that it lies on the data."""
    middle = points[np.square(points - points.mean(0)).sum(1).argmin()]
    box = {"boxstyle": "circle,pad=0.15", "fc": "white", "ec": "none", "alpha": 0.7}
    ax.text(*middle, number, fontsize=8, ha="center", va="center", bbox=box, **({"zorder": 10} if is_space(ax) else {}))
