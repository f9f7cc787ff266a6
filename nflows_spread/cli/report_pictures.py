"""Pictures of a run for its report, as SVG: those of ``nflows_spread.plots``, in figures of one size."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nflows_spread import plots
from nflows_spread.cli.result_files import is_image
from nflows_spread.dimension import PointDimension
from nflows_spread.plots.estimator_results import UNITS

if TYPE_CHECKING:
    from nflows_spread.estimator import SpreadFlowEstimator

_SIZE, _RESOLUTION = (4.6, 3.4), 160
"""Width and height in inches, and dots an inch of points, which are no lines: choices."""

_SCALED = "(scaled columns)"
"""In the place of units, of standardized data."""

_UNITS = f"({UNITS})"
"""How the plots name units."""

_IMAGES = 32
"""Images of a grid, a choice."""


def picture(draw: Callable[[Any], Any], *, space: bool = False) -> str:
    """What a function draws into axes, as the text of an SVG file.

    Args:
        draw: the function.
        space: whether the axes are 3-D.
    """
    import matplotlib
    from matplotlib.figure import Figure

    figure = Figure(figsize=_SIZE, layout="constrained")
    draw(figure.add_subplot(projection="3d" if space else None))
    stream = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "nflows-spread"}):
        figure.savefig(stream, format="svg", dpi=_RESOLUTION, metadata={"Date": None, "Creator": None})
    return stream.getvalue()


def of_scales(found: PointDimension, *, scaled: bool = False) -> str:
    """The dimension against scale, with the interval.

    Args:
        found: the dimension without a flow.
        scaled: whether it is of standardized columns.
    """

    def draw(ax: Any) -> None:
        plots.scale(found, ax=ax)
        if scaled:
            ax.set_xlabel(f"mean distance to the k-th neighbour\n{_SCALED}")

    return picture(draw)


def of_spectrum(estimator: SpreadFlowEstimator) -> str:
    """μ and Λ in descending order."""
    return picture(lambda ax: plots.spectrum(estimator, ax=ax))


def of_chart(coordinates: Any, colours: Any, label: str, *, scaled: bool = False) -> str:
    """Rows at their first two coordinates, or the only one beside the colour's value, by a column of any kind.

    Args:
        coordinates: (n, K).
        colours: one entry a row, numbers or text.
        label: the name of that column.
        scaled: whether they are of standardized columns.
    """

    def draw(ax: Any) -> None:
        plots.chart(coordinates, colour=colours, label=label, ax=ax)
        if scaled:
            _name_scaled(ax)
        if (names := ax.get_legend()) is not None:  # beside the points, which names would hide
            handles, labels = ax.get_legend_handles_labels()
            names.remove()
            ax.figure.legend(handles, labels, title=label, loc="outside right upper", fontsize=7, markerscale=2)

    return picture(draw)


def of_samples(rows: Any, samples: Any, item_shape: Sequence[int], *, scaled: bool = False) -> list[str]:
    """Data and samples: of images a grid of each, else in one picture.

    Args:
        rows: of the data, (n, D).
        samples: (m, D).
        item_shape: the shape of an entry.
        scaled: whether both are of standardized columns.
    """
    if is_image(item_shape):
        return [_grid(np.asarray(some)[:_IMAGES], item_shape) for some in (rows, samples)]

    def draw(ax: Any) -> None:
        plots.samples(samples, rows, ax=ax)
        if scaled:
            _name_scaled(ax)

    return [picture(draw, space=rows.shape[1] == 3)]


def _name_scaled(ax: Any) -> None:
    """Of each axis in units of the data that its unit is that of standardized columns."""
    for name in ("x", "y", "z")[: 3 if hasattr(ax, "get_zlabel") else 2]:
        text = getattr(ax, f"get_{name}label")()
        if _UNITS in text:
            getattr(ax, f"set_{name}label")(text.replace(_UNITS, _SCALED))


def _grid(images: Any, item_shape: Sequence[int]) -> str:
    return picture(lambda ax: plots.images(images, shape=item_shape, ax=ax))


def of_reconstruction(errors: Any) -> str:
    """The error that the first 1, 2, … coordinates leave of held-out rows."""
    return picture(lambda ax: plots.reconstructions(errors, ax=ax))
