"""Deprecated names of the plots, with the axes first; each says what to write instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from nflows_spread.deprecation import replaced_by
from nflows_spread.dimension import DimensionAgainstScale, IntrinsicDimension, Spectrum
from nflows_spread.plots.against_scale import draw_scales
from nflows_spread.plots.axes import is_space, legend
from nflows_spread.plots.colours import REFERENCE_COLOUR
from nflows_spread.plots.coordinates import chart
from nflows_spread.plots.dimension_estimates import dimension as draw_dimension
from nflows_spread.plots.eigenvalues import spectrum as draw_spectrum
from nflows_spread.plots.image_grid import images as draw_images
from nflows_spread.plots.log_densities import density
from nflows_spread.plots.sample_clouds import samples as draw_samples


@replaced_by("plots.samples(samples, data, ax=axes)")
def plot_points(axes: Any, data: Tensor, samples: Tensor, *, labels: tuple[str, str] = ("data", "samples")) -> None:
    """Data and samples in their first two columns, or three where the axes are 3-D."""
    draw_samples(samples[:, : _shown(axes)], data[:, : _shown(axes)], labels=labels, ax=axes)


@replaced_by("plots.images(images, ax=axes)")
def plot_images(axes: Any, images: Tensor, *, columns: int = 8) -> None:
    """A grid of images."""
    draw_images(images, columns=columns, ax=axes)


@replaced_by("plots.spectrum(dimension, ax=axes)")
def plot_spectrum(axes: Any, spectrum: Spectrum, dimension: IntrinsicDimension, *, first: int = 20) -> None:
    """The leading eigenvalues of both kinds, and a line after the dimension."""
    draw_spectrum(spectrum, dimension=int(dimension), first=first, ax=axes)


@replaced_by("plots.chart(coordinates, colour=colour, ax=axes)")
def plot_representation(axes: Any, coordinates: Tensor, colour: Tensor, *, label: str = "true coordinate") -> None:
    """One or two coordinates by a colour."""
    chart(coordinates, colour=colour, label=label, ax=axes)


@replaced_by("plots.dimension(dimensions, points, ax=axes)")
def plot_dimensions(axes: Any, points: Tensor, dimensions: Tensor) -> None:
    """Points in the colour of their dimension."""
    draw_dimension(dimensions, points[:, : _shown(axes)], ax=axes)


@replaced_by("plots.scale(dimension_of(x), ax=axes)")
def plot_dimension_against_scale(
    axes: Any,
    scales: DimensionAgainstScale,
    *,
    interval: tuple[int, int] | None = None,
    dimension: int | None = None,
    label: str = "neighbours",
) -> None:
    """The dimension against scale, with an interval and an answer that are given."""
    if interval is not None:
        axes.axhspan(interval[0] - 0.5, interval[1] + 0.5, color=REFERENCE_COLOUR, alpha=0.2, lw=0, label="interval")
    if dimension is not None:
        axes.axhline(dimension, c=REFERENCE_COLOUR, ls="--", lw=1.0, label=f"answer: {int(dimension)}")
    draw_scales(axes, scales, label)
    legend(axes)


@replaced_by("plots.density(log_densities, position, ax=axes)")
def plot_density(axes: Any, position: Tensor, densities: Mapping[str, Tensor], truth: Tensor, *, label: str) -> None:
    """Densities along one coordinate against the truth."""
    logs = {name: values.log() for name, values in densities.items()}
    density(logs, position, truth=truth.log(), label=label, ax=axes)


def _shown(axes: Any) -> int:
    return 3 if is_space(axes) else 2
