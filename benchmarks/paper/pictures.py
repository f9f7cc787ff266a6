"""The figure of an experiment: a row of panels for each flow, and a last row of panels over all of them.

A panel is a function that draws one result into the place it is given; an experiment lists those it wants.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from nflows_spread import plots
from paper.results import Result
from shared.titles import fit_titles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.gridspec import SubplotSpec

Panel = Callable[["Figure", "SubplotSpec", Result], None]
Together = Callable[["Figure", "SubplotSpec", Sequence[Result]], None]

_SHOWN = 1000
_IMAGES = 48
_WIDTH, _HEIGHT = 3.75, 3.5
_MARGIN = 0.25


def draw(
    path: Path, title: str, results: Sequence[Result], panels: Sequence[Panel], together: Sequence[Together]
) -> None:
    """Write the figure of one experiment as a PNG.

    Args:
        path: where to.
        title: of the whole figure.
        results: the flows, one row each.
        panels: what a row shows.
        together: what a last row shows of all flows.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns, rows = max(len(panels), len(together)), len(results) * bool(panels) + bool(together)
    figure = Figure(figsize=(_WIDTH * columns, _HEIGHT * rows), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title)
    places = figure.add_gridspec(rows, 1)
    for row, result in enumerate(results if panels else ()):
        for panel, place in zip(panels, places[row].subgridspec(1, len(panels))):
            panel(figure, place, result)
    if together:
        for shared, place in zip(together, places[rows - 1].subgridspec(1, len(together))):
            shared(figure, place, results)
    fit_titles(figure)
    aside = path.with_suffix(".tmp")  # so that no half-written picture is left
    figure.savefig(aside, dpi=80, format="png")
    aside.replace(path)


def samples(figure: Figure, place: SubplotSpec, result: Result) -> None:
    """Samples over the data, in the plane or in space; the title counts those far outside the data's range."""
    axes = _points_axes(figure, place, result)
    data, drawn = result.data.held_out.x.flatten(1)[:_SHOWN], result.samples[:_SHOWN]
    low, high = data.amin(0), data.amax(0)
    low, high = low - _MARGIN * (high - low), high + _MARGIN * (high - low)
    inside = ((drawn >= low) & (drawn <= high)).all(1)
    if inside.any():
        plots.samples(drawn[inside], data, ax=axes)
    if axes.name == "3d":
        axes.view_init(elev=8, azim=-75)  # across the S
    outside = len(drawn) - int(inside.sum())
    axes.set_title(f"{result.name}: samples" + (f", {outside} of {len(drawn)} outside" if outside else ""))


def sample_images(figure: Figure, place: SubplotSpec, result: Result) -> None:
    """Samples as images."""
    _images(figure.add_subplot(place), result, result.samples, f"{result.name}: samples")


def data_images(figure: Figure, place: SubplotSpec, result: Result) -> None:
    """Held-out data as images."""
    _images(figure.add_subplot(place), result, result.data.held_out.x, "data")


def images_along_representation(figure: Figure, place: SubplotSpec, result: Result) -> None:
    """Held-out images in the order of the first coordinate of their representation, as figure 5e has them."""
    order = result.representation[:, 0].argsort()
    chosen = order[[round(i * (len(order) - 1) / (_IMAGES - 1)) for i in range(_IMAGES)]]
    title = f"{result.name}: data by first coordinate"
    _images(figure.add_subplot(place), result, result.data.held_out.x[chosen], title)


def latents(figure: Figure, place: SubplotSpec, result: Result) -> None:
    """Latents of the held-out data, coloured by the true coordinate or the class."""
    axes = _points_axes(figure, place, result)
    colour = result.data.held_out.coordinates[:_SHOWN, 0].numpy()
    columns = result.latents[:_SHOWN, : 3 if axes.name == "3d" else 2].numpy().T
    axes.scatter(*columns, s=4, c=colour, cmap="viridis", linewidths=0)
    axes.set_title(f"{result.name}: latents" + ("" if result.latents.shape[1] <= 3 else ", first two"))
    if axes.name != "3d":
        axes.set_aspect("equal", adjustable="datalim")


def representation(figure: Figure, place: SubplotSpec, result: Result) -> None:
    """The leading one or two coordinates, coloured by the true coordinate or the class."""
    axes = figure.add_subplot(place)
    label = "class" if result.data.manifold is None else "true coordinate"
    plots.chart(result.representation, colour=result.data.held_out.coordinates[:, 0], label=label, ax=axes)
    axes.set_title(f"{result.name}: representation")


def spectrum(
    figure: Figure, place: SubplotSpec, result: Result, *, first: int = 20, marked: tuple[int, int] | None = None
) -> None:
    """Both kinds of eigenvalues, and the dimension that the settings' rule reads off them.

    Args:
        figure: where to draw.
        place: where in it.
        result: what to draw.
        first: how many eigenvalues to show.
        marked: a range of dimensions to shade, such as the one that the paper reports.
    """
    axes = figure.add_subplot(place)
    plots.spectrum(result.spectrum, dimension=int(result.dimension), first=first, ax=axes)
    if marked is not None:
        axes.axvspan(marked[0], marked[1], color=plots.DATA_COLOUR, alpha=0.2, linewidth=0)
    axes.set_title(f"{result.name}: eigenvalues, dimension {int(result.dimension)}")


def density(figure: Figure, place: SubplotSpec, result: Result) -> None:
    """The density of the samples' nearest points along the first coordinate of the manifold, against the truth."""
    axes = figure.add_subplot(place)
    if result.grid is None or result.density is None:
        raise ValueError(f"the density panel needs data on a known manifold, got {result.data}")
    grid = result.grid
    found, truth = {"samples": grid.marginal(result.density).log()}, grid.marginal(grid.truth).log()
    plots.density(found, grid.position, truth=truth, label="true coordinate", ax=axes)
    axes.set_title(f"{result.name}: density")


def eigenvalues_during_training(figure: Figure, place: SubplotSpec, results: Sequence[Result]) -> None:
    """All numbers that were tracked of all flows, on a logarithmic scale, and σ_Z²."""
    axes = figure.add_subplot(place)
    colours = chain((plots.MODEL_COLOUR, plots.DATA_COLOUR), (f"C{number}" for number in count(2)))
    for result, colour in zip(results, colours):
        for (name, series), style in zip(result.trained.tracked.items(), ("-", "--")):
            axes.plot(*zip(*series), c=colour, ls=style, lw=1.2, label=f"{result.name}, {name}")
    axes.axhline(results[0].settings.spread_variance, c="k", lw=0.8, ls=":", label="σ_Z²")
    axes.set_yscale("log")
    axes.set_xlabel("training step")
    axes.legend(fontsize=7, framealpha=0.7)
    axes.set_title("eigenvalues of AAᵀ during training")


ON_MANIFOLD: tuple[Panel, ...] = (samples, latents, spectrum, representation, density)
"""For points in the plane or in space."""

OF_IMAGES: tuple[Panel, ...] = (data_images, sample_images, spectrum, representation)
"""For images of unknown dimension."""


def _images(axes: Axes, result: Result, images: Tensor, title: str) -> None:
    if result.data.image_shape is None:
        raise ValueError(f"a panel of images needs a data set with an image_shape, got none for {result.name}")
    plots.images(images[:_IMAGES].nan_to_num(), shape=result.data.image_shape, ax=axes)
    axes.set_title(title)


def _points_axes(figure: Figure, place: SubplotSpec, result: Result) -> Axes:
    return figure.add_subplot(place, projection="3d" if result.samples.shape[1] == 3 else None)
