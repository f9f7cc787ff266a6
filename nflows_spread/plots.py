"""Plots of points, images, spectra, representations and densities, into the matplotlib axes that are given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from nflows_spread.dimension.rules import IntrinsicDimension, Spectrum
from nflows_spread.dimension.scales import DimensionAgainstScale

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

DATA_COLOUR = "#4c78a8"
MODEL_COLOUR = "#e45756"
REFERENCE_COLOUR = "#8a8a8a"
_POINT_SIZE = 4


def plot_points(axes: Axes, data: Tensor, samples: Tensor, *, labels: tuple[str, str] = ("data", "samples")) -> None:
    """Data and samples in their first two dimensions, or three where the axes are 3-D.

    Args:
        axes: where to draw; with ``projection="3d"`` for D = 3.
        data: shape (n, D).
        samples: shape (m, D).
        labels: names for the legend.
    """
    dimensions = 3 if axes.name == "3d" else 2
    scatter: Any = axes.scatter  # 2-D or 3-D, as the columns
    for points, colour, label in ((data, DATA_COLOUR, labels[0]), (samples, MODEL_COLOUR, labels[1])):
        scatter(*_columns(points, dimensions), s=_POINT_SIZE, alpha=0.5, c=colour, label=label, linewidths=0)
    axes.legend(loc="upper left", fontsize=7, markerscale=3, framealpha=0.7)
    if dimensions == 2:
        axes.set_aspect("equal", adjustable="datalim")


def plot_images(axes: Axes, images: Tensor, *, columns: int = 8) -> None:
    """A grid of images.

    Args:
        axes: where to draw.
        images: shape (n, height, width), black 0 and white 1, or (n, 3, height, width) for colours.
        columns: images in a row.
    """
    colours = images if images.dim() == 4 else images.unsqueeze(1)
    channels, height, width = colours.shape[1:]
    rows = -(-len(images) // columns)
    grid = torch.full((channels, rows * (height + 1) + 1, columns * (width + 1) + 1), 0.5)
    for i, image in enumerate(colours.detach().cpu()):
        top, left = (i // columns) * (height + 1) + 1, (i % columns) * (width + 1) + 1
        grid[:, top : top + height, left : left + width] = image.clamp(0.0, 1.0)
    axes.imshow(_array(grid.movedim(0, -1).squeeze(-1)), cmap="gray", vmin=0.0, vmax=1.0, interpolation="nearest")
    axes.set_axis_off()


def plot_spectrum(axes: Axes, spectrum: Spectrum, dimension: IntrinsicDimension, *, first: int = 20) -> None:
    """The leading eigenvalues of AAᵀ beside the signal-to-noise eigenvalues, in log-space, with the noise floor.

    Args:
        axes: where to draw.
        spectrum: what ``spectrum`` returned.
        dimension: what a rule made of it; a line marks it.
        first: how many eigenvalues to show.
    """
    from matplotlib.ticker import MaxNLocator

    shown = range(1, min(first, len(spectrum.eigenvalues)) + 1)
    eigenvalues, signal_to_noise = (
        _array(values[: len(shown)].clamp_min(1e-12)) for values in (spectrum.eigenvalues, spectrum.signal_to_noise)
    )
    axes.plot(shown, eigenvalues, "s--", c=REFERENCE_COLOUR, ms=4, label="AAᵀ")
    axes.plot(shown, signal_to_noise, "o-", c=MODEL_COLOUR, ms=4, label="μ")
    if spectrum.data_noise > 0.0:
        axes.axhline(spectrum.data_noise**2, c=DATA_COLOUR, lw=1, ls=":", label="σ_x²")
    if 0 < dimension < len(shown):
        axes.axvline(dimension + 0.5, c="k", lw=0.8)
    axes.set_yscale("log")
    axes.set_xlabel("index")
    axes.legend(fontsize=7, framealpha=0.7)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def plot_representation(axes: Axes, coordinates: Tensor, colour: Tensor, *, label: str = "true coordinate") -> None:
    """Coordinates on the manifold coloured by something known.

    Args:
        axes: where to draw.
        coordinates: what ``project`` returned, (n, 1) or (n, 2); one column is drawn against the colour.
        colour: one number a point, shape (n,).
        label: what the colour means.
    """
    first, second = coordinates[:, 0], coordinates[:, 1] if coordinates.shape[1] > 1 else colour
    axes.scatter(_array(first), _array(second), s=_POINT_SIZE, c=_array(colour), cmap="viridis", linewidths=0)
    axes.set_xlabel("first coordinate")
    axes.set_ylabel("second coordinate" if coordinates.shape[1] > 1 else label)


def plot_dimensions(axes: Axes, points: Tensor, dimensions: Tensor) -> None:
    """A map of data whose dimension varies: points in the plane or in space, coloured by their dimension.

    Args:
        axes: where to draw; with ``projection="3d"`` for D = 3.
        points: shape (n, D).
        dimensions: whole numbers, shape (n,).
    """
    scatter: Any = axes.scatter  # 2-D or 3-D, as the columns
    space = 3 if axes.name == "3d" else 2
    for dimension in dimensions.unique().tolist():
        chosen = _columns(points[dimensions == dimension], space)
        scatter(*chosen, s=_POINT_SIZE, linewidths=0, label=f"dimension {dimension}")
    axes.legend(loc="upper left", fontsize=7, markerscale=3, framealpha=0.7)


def plot_dimension_against_scale(
    axes: Axes,
    scales: DimensionAgainstScale,
    *,
    interval: tuple[int, int] | None = None,
    dimension: int | None = None,
    label: str = "neighbours",
) -> None:
    """The dimension at growing distances between neighbours, with bands of one and of two standard errors.

    Args:
        axes: where to draw.
        scales: what ``dimension_of(X).scales`` has.
        interval: the dimensions that are plausible, a grey band.
        dimension: the answer, a dashed line.
        label: what a legend calls the curve.
    """
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    distances, dimensions = np.array(scales.scales), np.array(scales.dimensions)
    errors = np.array(scales.standard_errors)
    if interval is not None:
        axes.axhspan(interval[0] - 0.5, interval[1] + 0.5, color=REFERENCE_COLOUR, alpha=0.15, lw=0, label="interval")
    if dimension is not None:
        axes.axhline(dimension, c=REFERENCE_COLOUR, ls="--", lw=1.0, label=f"answer: {int(dimension)}")
    for width in (2.0, 1.0):
        axes.fill_between(
            distances, dimensions - width * errors, dimensions + width * errors, color=DATA_COLOUR, alpha=0.2, lw=0
        )
    axes.plot(distances, dimensions, "o-", c=DATA_COLOUR, ms=3, lw=1.2, label=label)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_ylim(bottom=0.0)
    axes.set_xlabel("mean distance to the k-th neighbour\n(units of the data)")
    axes.set_ylabel("dimension")
    axes.legend(fontsize=7, framealpha=0.7)


def plot_density(axes: Axes, position: Tensor, densities: dict[str, Tensor], truth: Tensor, *, label: str) -> None:
    """Densities along the first coordinate of the manifold against the truth.

    Args:
        axes: where to draw.
        position: the coordinate, ascending, shape (n,).
        densities: by name, each of shape (n,).
        truth: shape (n,).
        label: what the coordinate is.
    """
    axes.plot(_array(position), _array(truth), c="k", lw=1.5, label="truth")
    for (name, density), colour in zip(densities.items(), (MODEL_COLOUR, DATA_COLOUR, REFERENCE_COLOUR)):
        axes.plot(_array(position), _array(density), c=colour, lw=1.2, label=name)
    axes.set_xlabel(label)
    axes.legend(fontsize=7, framealpha=0.7)


def _columns(points: Tensor, count: int) -> list[NDArray[Any]]:
    return [_array(column) for column in points[:, :count].unbind(1)]


def _array(values: Tensor) -> NDArray[Any]:
    return values.detach().cpu().numpy()
