"""The figure of an experiment: samples, latents, spectrum, density and representation of both flows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from grids import Grid
from nflows_spread import plots
from outcomes import Outcome
from tasks import Task

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SHOWN = 1000
_DIGITS = 48


def draw(
    path: Path,
    title: str,
    task: Task,
    first: Outcome,
    second: Outcome,
    grid: Grid | None,
    image: tuple[int, int] | None,
) -> None:
    """Write the figure of one experiment as a PNG.

    Args:
        path: where to.
        title: of the whole figure.
        task: the data.
        first: the outcome of our flow, in the upper row.
        second: that of what it is compared with, in the lower row.
        grid: where their densities were taken, or None.
        image: (height, width) where a point is an image.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15, 7), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title)
    for row, outcome in enumerate((first, second)):
        name = outcome.variant.name
        _samples(figure, 4 * row + 1, name, task, outcome, image)
        _latents(figure, 4 * row + 2, name, outcome, task)
        axes = figure.add_subplot(2, 4, 4 * row + 3)
        plots.plot_representation(axes, outcome.representation, task.held_out.coordinates[:, 0], label=_colour(task))
        axes.set_title(f"{name}: representation")
    axes = figure.add_subplot(2, 4, 4)
    _spectrum(axes, first)
    _last(figure.add_subplot(2, 4, 8), task, first, second, grid, image)
    figure.savefig(path, dpi=80)


def _samples(
    figure: Figure, place: int, name: str, task: Task, outcome: Outcome, image: tuple[int, int] | None
) -> None:
    axes = _points_axes(figure, place, outcome)
    if image is not None:
        plots.plot_images(axes, outcome.samples[:_DIGITS].view(-1, *image))
    else:
        plots.plot_points(axes, task.held_out.x[:_SHOWN], outcome.samples[:_SHOWN])
    axes.set_title(f"{name}: samples")


def _latents(figure: Figure, place: int, name: str, outcome: Outcome, task: Task) -> None:
    axes = _points_axes(figure, place, outcome)
    colour = task.held_out.coordinates[:_SHOWN, 0].numpy()
    columns = outcome.latents[:_SHOWN, : 3 if axes.name == "3d" else 2].numpy().T
    axes.scatter(*columns, s=4, c=colour, cmap="viridis", linewidths=0)
    axes.set_title(f"{name}: latents" + ("" if outcome.latents.shape[1] <= 3 else ", first two"))
    if axes.name != "3d":
        axes.set_aspect("equal", adjustable="datalim")


def _spectrum(axes: Axes, outcome: Outcome) -> None:
    plots.plot_spectrum(axes, outcome.dimension.spectrum, outcome.dimension)
    axes.set_title(f"{outcome.variant.name}: eigenvalues, dimension {int(outcome.dimension)}")


def _points_axes(figure: Figure, place: int, outcome: Outcome) -> Axes:
    return figure.add_subplot(2, 4, place, projection="3d" if outcome.samples.shape[1] == 3 else None)


def _last(
    axes: Axes, task: Task, first: Outcome, second: Outcome, grid: Grid | None, image: tuple[int, int] | None
) -> None:
    """The second flow's eigenvalues where it has any; else the density on the manifold, or the data."""
    if second.variant.spread:
        _spectrum(axes, second)
        return
    if grid is None:
        if image is not None:
            plots.plot_images(axes, task.held_out.x[:_DIGITS].view(-1, *image))
        axes.set_title("data")
        return
    densities = {
        outcome.variant.name: grid.marginal(outcome.density)
        for outcome in (first, second)
        if outcome.density is not None
    }
    plots.plot_density(axes, grid.position, densities, grid.marginal(grid.truth), label="true coordinate")
    axes.set_title("density on the manifold")


def _colour(task: Task) -> str:
    return "class" if task.manifold is None else "true coordinate"
