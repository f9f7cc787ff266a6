"""A time series: how many oscillators are behind one signal? Its delay embedding has as many dimensions.

Two masses on springs, pulling at each other, swing in two modes at once; one mass is seen. Rows of six values of its
place, a second apart, lie on a torus: two dimensions, one for the phase of each mode. But rows are taken a hundred
times a second, so that a row's nearest neighbours are those just before and after it, and these tell a curve.
``window`` leaves neighbours in time out, as J. Theiler proposed (Phys. Rev. A 34, 1986), and the torus is seen.

Run it: ``python examples/time_series.py``; it prints the dimension without and with a window and what speaks against
the former, and draws the torus and both curves of dimension against scale into ``--out``.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from scipy.integrate import solve_ivp

from nflows_spread import dimension_of, plots
from nflows_spread.dimension import PointDimension

SPRINGS = np.array([[1.2, -0.4], [-0.4, 2.78]])
"""The force on each mass is minus this times the places of both; the periods have a ratio of 1.61."""
STEP, LAG, VALUES = 0.01, 100, 6
"""Seconds between rows, rows between the values of one row, and how many of these there are."""
WINDOW = 300
"""Rows: three seconds, half a period of the slower mode, after which a path has moved on."""


def place_of_one_mass(rows: int) -> Any:
    """Of the first of two masses on springs, at each time, (rows,)."""
    times = STEP * np.arange(rows)

    def motion(_: float, state: Any) -> Any:
        return np.concatenate([state[2:], -SPRINGS @ state[:2]])

    solution = solve_ivp(motion, (0.0, times[-1]), [1.0, 1.5, 0.0, 0.0], t_eval=times, rtol=1e-9, atol=1e-9)
    return solution.y[0]


def delay_embedded(series: Any) -> Any:
    """A row for each time: the value then and those after, a second apart, (n, 6)."""
    last = len(series) - (VALUES - 1) * LAG
    return np.stack([series[number * LAG : number * LAG + last] for number in range(VALUES)], axis=1)


def main(rows: int = 20_000, out: Path | None = None) -> int:
    """Print both dimensions, draw, and return the one with a window."""
    x = delay_embedded(place_of_one_mass(rows))
    plain, apart = dimension_of(x), dimension_of(x, window=WINDOW)
    print(f"dimension {int(plain)} of all rows, plausible {plain.interval[0]} to {plain.interval[1]}")
    for reservation in plain.reservations:
        print(f"  but {reservation}")
    print(
        f"dimension {int(apart)} with a window of {WINDOW} rows, plausible {apart.interval[0]} to {apart.interval[1]}"
    )
    right = int(apart) == len(SPRINGS)
    print(f"the system swings in {len(SPRINGS)} modes: with a window the answer is {'right' if right else 'wrong'}")
    if out is not None:
        draw(out, x, plain, apart)
    return int(apart)


def draw(out: Path, x: Any, plain: PointDimension, apart: PointDimension) -> None:
    """The embedded series in three principal components by time, and dimension against scale without and with it."""
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=(12, 3.8), layout="constrained")
    torus = figure.add_subplot(1, 3, 1, projection="3d")
    components = np.linalg.svd(x - x.mean(0), full_matrices=False)[2][:3].T
    plots.chart((x - x.mean(0)) @ components, colour=STEP * np.arange(len(x)), label="time (seconds)", ax=torus)
    torus.set(xlabel="component 1", ylabel="component 2", zlabel="component 3", title="one signal, embedded")
    for number, (found, title) in enumerate(((plain, "all rows"), (apart, f"window of {WINDOW} rows")), 2):
        axes = plots.scale(found, ax=figure.add_subplot(1, 3, number))
        axes.set_title(f"{title}: dimension {int(found)}")
        axes.set_ylim(top=4.5)
    figure.savefig(out, dpi=90)
    plt.close(figure)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000, help="times at which the mass is seen (default 20 000)")
    parser.add_argument("--out", type=Path, default=Path("time_series.png"), help="the picture")
    arguments = parser.parse_args()
    main(arguments.rows, out=arguments.out)
