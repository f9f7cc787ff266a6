"""The heat map: how far each estimator is off on each manifold."""

from __future__ import annotations

import textwrap
from pathlib import Path

import numpy as np

from intrinsic_dimension.store import Store
from intrinsic_dimension.summary import is_exact, medians, rows, summarise

_LARGEST_ERROR = 0.5
_MISSING = "0.85"
_LETTERS = 15


def draw(path: Path, store: Store) -> None:
    """Write the picture of a store as a PNG.

    A cell shows the median estimate, its colour estimate minus truth as a share of the truth, and
    bold print that it is right after rounding. Rows are manifolds by their dimension. The rank rules on the same
    eigenvalues are in the table alone.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    lines = {row: line for row, line in summarise(store).items() if ": lPCA" not in row}
    found = {row: medians(values) for row, values in rows(store.cells).items()}
    names = sorted(
        (name for name in store.problems if any(name in values for values in found.values())),
        key=lambda name: (store.problems[name].dimension, store.problems[name].features),
    )
    truth = np.array([store.problems[name].dimension for name in names])
    estimates = np.array([[found[row].get(name) for row in lines] for name in names], dtype=float)
    errors = (estimates - truth[:, None]) / truth[:, None]

    figure = Figure(figsize=(4.0 + 0.85 * len(lines), 2.2 + 0.3 * len(names)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_facecolor(_MISSING)
    image = axes.imshow(errors, cmap="RdBu_r", vmin=-_LARGEST_ERROR, vmax=_LARGEST_ERROR, aspect="auto")
    for (i, j), estimate in np.ndenumerate(estimates):
        answered = np.isfinite(estimate)
        right = answered and is_exact(float(estimate), int(truth[i]))
        axes.text(
            *(j, i, f"{estimate:.4g}" if answered and estimate >= 100 else f"{estimate:.1f}" if answered else "–"),
            ha="center",
            va="center",
            fontsize=8,
            fontweight="bold" if right else "normal",
            color="white" if answered and abs(errors[i, j]) > 0.7 * _LARGEST_ERROR else "black",
        )
    problems = [store.problems[name] for name in names]
    axes.set_yticks(
        range(len(names)), [f"{problem.name}, {problem.dimension} of {problem.features}" for problem in problems]
    )
    axes.set_xticks(
        range(len(lines)),
        [
            f"{_narrow(row)}\n{line.exact} of {line.tried}\n{_percent(line.mean_relative_error)}"
            for row, line in lines.items()
        ],
        fontsize=8,
    )
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    setting = store.setting
    noise = f", ambient noise {setting.noise:g} of the scale" if setting.noise else ""
    figure.suptitle(
        f"Intrinsic dimension, the set {setting.which}, {setting.points} points{noise}: median estimate;\n"
        "above, exact hits and mean relative error; bold is exact",
        fontsize=10,
    )
    figure.colorbar(image, ax=axes, extend="both", label="(estimate − truth) / truth", aspect=40, pad=0.01)
    figure.savefig(path, dpi=110)


def _narrow(row: str) -> str:
    """An estimator and its rule, in lines as wide as a column."""
    return "\n".join(line for part in row.split(": ") for line in textwrap.wrap(part, _LETTERS))


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"
