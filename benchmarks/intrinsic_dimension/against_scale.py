"""Dimension against scale in pictures: ``python benchmarks/run.py dimension-against-scale``.

A noisy circle, a linear Gaussian and a spiral, by ``dimension_of``, each with its interval.
"""

from __future__ import annotations

import argparse

import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray

from nflows_spread import dimension_of, plots
from shared.command import Command, Work
from shared.options import positive_int

NAME = "dimension-against-scale"
FEATURES, NOISE, TURNS = 20, 0.02, 20.0
_SEED = 0

Array = NDArray[np.float64]


def circle(rows: int) -> Array:
    """Of radius 1, with noise in all of 20 features."""
    draws = np.random.default_rng(_SEED)
    angle = draws.uniform(0.0, 2.0 * np.pi, rows)
    x = np.zeros((rows, FEATURES))
    x[:, 0], x[:, 1] = np.cos(angle), np.sin(angle)
    return x + NOISE * draws.standard_normal(x.shape)


def gaussian(rows: int) -> Array:
    """Of four dimensions, mixed into 20 features."""
    draws = np.random.default_rng(_SEED)
    x: Array = draws.standard_normal((rows, 4)) @ draws.standard_normal((4, FEATURES))
    return x


def spiral(rows: int) -> Array:
    """In the plane, a few turns."""
    angle = TURNS * np.random.default_rng(_SEED).random(rows)
    return np.stack([angle * np.cos(angle), angle * np.sin(angle)], axis=1)


SETS = {
    f"circle in {FEATURES} features, noise {NOISE}": circle,
    f"Gaussian of 4 dimensions in {FEATURES}": gaussian,
    "spiral in the plane": spiral,
}


def _prepare(options: argparse.Namespace, command_line: str) -> Work:
    def work() -> None:
        figure, places = plt.subplots(1, len(SETS), figsize=(12.0, 3.6), layout="constrained")
        for axes, (name, draw) in zip(places, SETS.items()):
            found = dimension_of(draw(options.points))
            plots.scale(found, ax=axes)
            axes.set_title(name, fontsize=10)
            print(f"{name}: {found!r}")
        options.out.mkdir(parents=True, exist_ok=True)
        figure.savefig(options.out / f"{NAME}.png", dpi=90)
        plt.close(figure)

    return work


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--points", type=positive_int, default=5_000, help="of each set (default 5 000)")


COMMAND = Command(NAME, __doc__, _add_options, _prepare)
