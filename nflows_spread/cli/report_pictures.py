"""Pictures of a run for its report, as SVG: those of ``nflows_spread.plots``, in figures of one size."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nflows_spread import plots
from nflows_spread.cli.result_files import is_image
from nflows_spread.dimension import PointDimension

if TYPE_CHECKING:
    from nflows_spread.estimator import SpreadFlowEstimator

_SIZE, _RESOLUTION = (4.6, 3.4), 160
"""Width and height in inches, and dots an inch of points, which are no lines: choices."""

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


def of_scales(found: PointDimension) -> str:
    """The dimension against scale, with the interval."""
    return picture(lambda ax: plots.scale(found, ax=ax))


def of_spectrum(estimator: SpreadFlowEstimator) -> str:
    """μ and Λ in descending order."""
    return picture(lambda ax: plots.spectrum(estimator, ax=ax))


def of_chart(coordinates: Any, colours: Any, label: str) -> str:
    """Rows at their first two coordinates, or the only one beside the colour's value, by a column of any kind.

    Args:
        coordinates: (n, K).
        colours: one entry a row, numbers or text.
        label: the name of that column.
    """
    return picture(lambda ax: plots.chart(coordinates, colour=colours, label=label, ax=ax))


def of_samples(rows: Any, samples: Any, item_shape: Sequence[int]) -> list[str]:
    """Data and samples: of images a grid of each, else in one picture."""
    if not is_image(item_shape):
        return [picture(lambda ax: plots.samples(samples, rows, ax=ax), space=rows.shape[1] == 3)]
    grids = [np.asarray(some)[:_IMAGES] for some in (rows, samples)]
    return [picture(lambda ax, some=some: plots.images(some, shape=item_shape, ax=ax)) for some in grids]  # type: ignore[misc]


def of_reconstruction(errors: Any) -> str:
    """The error that the first 1, 2, … coordinates leave of held-out rows."""
    return picture(lambda ax: plots.reconstructions(errors, ax=ax))
