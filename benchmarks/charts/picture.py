"""Picture of the charts: a swiss roll with its coordinates and samples, and below it methods beside sets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from charts import summary
from charts.data_sets import DATA_SETS
from charts.measures import ERROR, LIKELIHOOD, NEAREST, SPREAD, TRUST
from charts.methods import MIXTURE
from charts.store import Store

_MISSING = "0.88"
_SMALLEST = 0.01
_PANELS = (
    (ERROR, "reconstruction error", "viridis_r", (0.0, 0.8), "{:.2f}"),
    (TRUST, "trustworthiness", "viridis", (0.85, 1.0), "{:.3f}"),
    (NEAREST, "samples: nearest, log₂", "RdBu_r", (-1.5, 1.5), "{:.2f}"),
    (SPREAD, "samples: worst column, log₂", "RdBu_r", (-1.0, 1.0), "{:.2f}"),
    (LIKELIHOOD, "log-likelihood − mixture's", "RdBu", (-5.0, 5.0), "{:+.1f}"),
)
"""Measures, their titles, colours with limits, and how a number is written."""


def draw(path: Path, store: Store) -> None:
    """Write the picture of a store as a PNG: above the roll, below one map for each of five measures, of medians."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    by_measure = {panel[0]: summary.medians(store, panel[0]) for panel in _PANELS}
    names = [
        name for name in DATA_SETS if any(name in sets for found in by_measure.values() for sets in found.values())
    ]
    height = 0.24 * max(len(names), 1)
    figure = Figure(figsize=(17.0, 7.6 + height), layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subfigures(2, 1, height_ratios=(4.6, 3.0 + height))
    _draw_roll(above, store.drawn)
    panels = np.ravel(below.subplots(1, len(_PANELS), sharey=True))
    for axes, (measure, title, colours, limits, written) in zip(panels, _PANELS):
        values = _shown_values(measure, by_measure[measure])
        methods = list(values)
        grid = np.array([[values[method].get(name, np.nan) for method in methods] for name in names], dtype=float)
        axes.set_facecolor(_MISSING)
        axes.set_xlabel(title, fontsize=9)
        axes.set_yticks(range(len(names)), names, fontsize=7)
        axes.set_xticks(range(len(methods)), methods, fontsize=7, rotation=60, ha="left")
        axes.xaxis.tick_top()
        axes.tick_params(length=0)
        if grid.size:
            image = axes.imshow(grid, cmap=colours, vmin=limits[0], vmax=limits[1], aspect="auto")
            _write(axes, grid, image, written)
    figure.savefig(path, dpi=110)


def _shown_values(measure: str, found: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """Ratios as logarithms, and likelihoods beside those of the mixture."""
    if measure == LIKELIHOOD:
        mixture = found.get(MIXTURE, {})
        return {
            method: {name: one - mixture[name] for name, one in sets.items() if name in mixture}
            for method, sets in found.items()
            if method != MIXTURE
        }
    if measure in (NEAREST, SPREAD):
        return {
            method: {name: float(np.log2(max(one, _SMALLEST))) for name, one in sets.items()}
            for method, sets in found.items()
        }
    return found


def _write(axes: Any, grid: np.ndarray[Any, Any], image: Any, written: str) -> None:
    """The numbers, light on dark colours."""
    for (row, column), one in np.ndenumerate(grid):
        red, green, blue, _ = image.cmap(image.norm(one))
        dark = 0.3 * red + 0.6 * green + 0.1 * blue < 0.5
        text = written.format(one) if np.isfinite(one) else "–"
        axes.text(
            *(column, row, text),
            ha="center",
            va="center",
            fontsize=5.5,
            color="white" if dark and np.isfinite(one) else "black",
        )


def _draw_roll(figure: Any, points: Path) -> None:
    """The rows of the roll, their coordinates in the same colours, and samples."""
    if not points.exists():
        figure.text(0.5, 0.5, "no spread flow has been fitted to the swiss roll yet", ha="center")
        return
    with np.load(points) as content:
        x, coordinates, samples = (content[name] for name in ("x", "coordinates", "samples"))
    along = coordinates[:, 0]
    left, middle, right = (
        figure.add_subplot(1, 3, 1, projection="3d"),
        figure.add_subplot(1, 3, 2),
        figure.add_subplot(1, 3, 3, projection="3d"),
    )
    left.scatter(*x.T, c=along, cmap="turbo", s=5)
    left.set_title(f"swiss roll, {len(x)} rows, by the first coordinate", fontsize=9)
    if coordinates.shape[1] == 1:
        middle.scatter(coordinates[:, 0], np.zeros(len(x)), c=along, cmap="turbo", s=5)
    else:
        middle.scatter(coordinates[:, 0], coordinates[:, 1], c=along, cmap="turbo", s=5)
    middle.set_title(f"its chart: {coordinates.shape[1]} coordinates that the spread flow found", fontsize=9)
    middle.set_aspect("equal")
    right.scatter(*samples.T, c="0.3", s=5)
    right.set_title(f"{len(samples)} samples of the same fit", fontsize=9)
    for axes in (left, right):
        axes.view_init(elev=10, azim=-80)
        axes.set_box_aspect(np.ptp(x, axis=0))
        axes.set(xlim=(x[:, 0].min(), x[:, 0].max()), ylim=(x[:, 1].min(), x[:, 1].max()))
        axes.set_zlim(x[:, 2].min(), x[:, 2].max())
