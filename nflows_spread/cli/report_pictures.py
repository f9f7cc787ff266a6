"""Pictures of a run for its report, as SVG: dimension against scale, spectrum, chart, samples, reconstruction error."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from nflows_spread.cli.result_files import is_image
from nflows_spread.dimension import PointDimension
from nflows_spread.plots import (
    DATA_COLOUR,
    MODEL_COLOUR,
    plot_dimension_against_scale,
    plot_images,
    plot_points,
    plot_spectrum,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from nflows_spread.estimator import SpreadFlowEstimator

_SIZE, _RESOLUTION = (4.6, 3.4), 160
"""Width and height in inches, and dots an inch of points, which are no lines: choices."""

_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#000000")
"""Of categories, which colour-blind readers tell apart: those of M. Okabe and K. Ito."""

_EIGENVALUES, _BEYOND = 20, 5
"""Eigenvalues that are shown, and those beyond the dimension, at least: choices, so that its line is among them."""

_LONGEST = 24
"""Letters of a category's name in a legend, a choice."""

_SCALED = "(scaled columns)"
"""In the place of units, of standardized data."""

_IMAGES = 32
"""Images of a grid, a choice."""


def picture(draw: Callable[[Any], None], *, space: bool = False) -> str:
    """What a function draws into axes, as the text of an SVG file.

    Args:
        draw: the function.
        space: whether the axes are 3-D.
    """
    import matplotlib
    from matplotlib.figure import Figure

    figure = Figure(figsize=_SIZE, layout="constrained")
    axes: Any = figure.add_subplot(projection="3d" if space else None)
    draw(axes)
    for points in () if space else axes.collections:  # which matplotlib does in the plane alone
        points.set_rasterized(True)  # thousands of vector circles are slow to show
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

    def draw(axes: Axes) -> None:
        plot_dimension_against_scale(axes, found.scales, interval=found.interval)
        if scaled:
            axes.set_xlabel(f"mean distance to the k-th neighbour\n{_SCALED}")

    return picture(draw)


def of_spectrum(estimator: SpreadFlowEstimator) -> str:
    """μ and Λ in descending order."""
    dimension = estimator.intrinsic_dimension_
    first = max(_EIGENVALUES, int(dimension) + _BEYOND)
    return picture(lambda axes: plot_spectrum(axes, estimator.spectrum_, dimension, first=first))


def of_chart(coordinates: Any, colours: Any, label: str) -> str:
    """Rows at their first two coordinates, or the only one beside the colour's value, by a column of any kind.

    Args:
        coordinates: (n, K).
        colours: one entry a row, numbers or text.
        label: the name of that column.
    """

    def draw(axes: Axes) -> None:
        from matplotlib import colormaps

        numbers = colours.dtype.kind in "buif"
        values = colours.astype(float) if numbers else np.unique(colours, return_inverse=True)[1].astype(float)
        flat = coordinates.shape[1] == 1
        second = values if flat else coordinates[:, 1]
        axes.set_xlabel("coordinate 1")
        axes.set_ylabel(label if flat else "coordinate 2")
        if numbers:
            colours_of_numbers = colormaps["viridis"].with_extremes(bad="#bbbbbb")  # rows without one stay to be seen
            points = axes.scatter(
                coordinates[:, 0], second, s=6, c=values, cmap=colours_of_numbers, plotnonfinite=True, linewidths=0
            )
            axes.figure.colorbar(points, ax=axes, label=label)
            return
        for name, colour, chosen in _categories(colours):
            axes.scatter(coordinates[chosen, 0], second[chosen], s=6, color=colour, linewidths=0, label=name)
        if flat:
            axes.set_yticks([])  # the places of names in their order
        # beside the points, which names would hide
        axes.figure.legend(title=label, loc="outside right upper", fontsize=7, markerscale=2)

    return picture(draw)


def of_samples(rows: Any, samples: Any, item_shape: Sequence[int], *, scaled: bool = False) -> list[str]:
    """Data and samples: in three features in space, of images a grid of each, else in their principal plane.

    Args:
        rows: of the data, (n, D).
        samples: (m, D).
        item_shape: the shape of an entry.
        scaled: whether both are of standardized columns.
    """
    if is_image(item_shape):
        grids = (_as_images(shown[:_IMAGES], item_shape) for shown in (rows, samples))
        return [picture(partial(plot_images, images=grid)) for grid in grids]
    if rows.shape[1] == 3:
        return [picture(lambda axes: plot_points(axes, torch.as_tensor(rows), torch.as_tensor(samples)), space=True)]
    center = rows.mean(0)
    plane = np.linalg.svd(rows - center, full_matrices=False)[2][:2].T

    def draw(axes: Axes) -> None:
        plot_points(axes, *(torch.as_tensor((each - center) @ plane) for each in (rows, samples)))
        axes.set_xlabel(f"principal component 1 {_SCALED if scaled else ''}".strip())
        axes.set_ylabel("principal component 2")

    return [picture(draw)]


def of_reconstruction(errors: Any) -> str:
    """The error that the first 1, 2, … coordinates leave of held-out rows."""

    def draw(axes: Axes) -> None:
        from matplotlib.ticker import MaxNLocator

        axes.plot(range(1, len(errors) + 1), errors, "o-", c=MODEL_COLOUR, ms=4)
        axes.axhline(1.0, c=DATA_COLOUR, lw=1, ls=":", label="the mean alone")
        axes.set_ylim(bottom=0.0)
        axes.set_xlim(0.5, len(errors) + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.set_xlabel("coordinates")
        axes.set_ylabel("error of held-out rows\n(of their standard deviation)")
        axes.legend(fontsize=7, framealpha=0.7)

    return picture(draw)


def _categories(values: Any) -> list[tuple[str, str, Any]]:
    """Names, colours and rows of the most frequent categories, and of all others together."""
    names, counts = np.unique(values, return_counts=True)
    most = len(_COLOURS) if len(names) <= len(_COLOURS) else len(_COLOURS) - 1
    kept = names[np.argsort(-counts, kind="stable")][:most]
    found = [(_short(str(name)), colour, values == name) for name, colour in zip(kept, _COLOURS)]
    if len(names) > len(kept):
        found.append((f"{len(names) - len(kept)} others", _COLOURS[-1], ~np.isin(values, kept)))
    return found


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"


def _as_images(rows: Any, item_shape: Sequence[int]) -> torch.Tensor:
    images = torch.as_tensor(rows).reshape(len(rows), *item_shape)
    return images.squeeze(1) if item_shape[0] == 1 else images
