"""Picture of the rivals: sets by systems for each of four measures, on logarithmic axes, with the range of seeds."""

from __future__ import annotations

from pathlib import Path

from charts.measures import ERROR
from rivals import summary
from rivals.data_sets import DATA_SETS
from rivals.measures import COVERAGE, DENSITY, DISTANCE
from rivals.methods import METHODS, OURS
from rivals.store import Store

_PANELS = {
    DISTANCE: "samples: distance to the manifold",
    ERROR: "held-out reconstruction error at K",
    COVERAGE: "held-out rows to the nearest sample",
    DENSITY: "log-density off by, nats",
}
_LEAST = 1e-5
_COLOURS = ("black", "0.6", "tab:blue", "tab:orange", "tab:green", "tab:red", "tab:purple", "tab:brown", "tab:pink")
_MARKERS = ("D", "x", "o", "s", "^", "v", "P", "*", "h")


def draw(path: Path, store: Store) -> None:
    """Write the picture of a store as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    problems = [name for name in DATA_SETS if any(cell.problem == name for cell in store.cells)]
    methods = [name for name in METHODS if any(cell.method == name for cell in store.cells)]
    figure = Figure(figsize=(15.0, 2.2 + 0.45 * max(len(problems), 1)), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(_PANELS), sharey=True)
    for axes, (name, title) in zip(panels, _PANELS.items(), strict=True):
        for number, method in enumerate(methods):
            colour, marker = _COLOURS[number % len(_COLOURS)], _MARKERS[number % len(_MARKERS)]
            up = 0.7 * (number / max(1, len(methods) - 1) - 0.5)
            axes.plot([], [], marker, color=colour, label=method)
            for row, problem in enumerate(problems):
                several = [max(one, _LEAST) for one in summary.values(store, problem, method, name)]
                if several:
                    axes.plot([min(several), max(several)], [row + up] * 2, color=colour, linewidth=1.0)
                    middle = sorted(several)[len(several) // 2]
                    axes.plot(middle, row + up, marker, color=colour, markersize=7 if method == OURS else 5)
        axes.set_xscale("log")
        axes.set_title(title, fontsize=9)
        axes.tick_params(labelsize=8)
        axes.grid(axis="x", color="0.9")
        for row in range(1, len(problems)):
            axes.axhline(row - 0.5, color="0.85", linewidth=0.8)
    panels[0].set_yticks(range(len(problems)), problems)
    panels[0].invert_yaxis()
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(methods) or 1, fontsize=8, frameon=False)
    figure.savefig(path, dpi=110)
