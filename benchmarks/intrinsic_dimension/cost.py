"""Cost of the dimension without a flow: ``python benchmarks/run.py dimension-cost``.

``dimension_of`` and ``pointwise_dimension`` beside scikit-dimension's TwoNN, and its MLE where it takes less than
minutes: seconds of the processor and memory at growing numbers of rows and of features, each in a process of its own,
which reads its points from a file. The exponents with which seconds grow, a record and a picture. With ``--beside`` the
``pointwise_dimension`` of another checkout runs too.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared import records
from shared.command import Command, Work
from shared.options import positive_int

NAME = "dimension-cost"
OURS, POINTWISE, TWO, MLE = "dimension_of", "pointwise_dimension", "TwoNN", "MLE"
OTHER = "pointwise_dimension, other checkout"
ROWS, FEATURES = (500, 2_000, 10_000, 30_000, 100_000), (3, 20, 100, 500, 2_000)
AT_ROWS, AT_FEATURES = 2_000, 20
"""The number of features at which rows grow is the second, the number of rows at which features do the first."""

MOST_ROWS = {MLE: 2_000, OTHER: 30_000}
"""What takes minutes beyond so many rows."""

COORDINATES, HIDDEN = 10, 100
_SEED = 0
_HERE = Path(__file__).resolve()
_OURS = _HERE.parents[2]
_COLOURS = {OURS: "#0072b2", POINTWISE: "#d55e00", TWO: "#555550", MLE: "#999990", OTHER: "#cc79a7"}
_MARKERS = {OURS: "o", POINTWISE: "s", TWO: "^", MLE: "v", OTHER: "D"}

Array = NDArray[np.float64]


def points(rows: int, features: int) -> Array:
    """A curved manifold of ten dimensions, or of as many as there are features, mixed by a tanh."""
    draws = np.random.default_rng(_SEED)
    coordinates = min(COORDINATES, features)
    into, out = draws.standard_normal((coordinates, HIDDEN)), draws.standard_normal((HIDDEN, features))
    x: Array = np.tanh(0.5 * draws.standard_normal((rows, coordinates)) @ into) @ out
    return x


def measure(who: str, path: str) -> Mapping[str, Any]:
    """Seconds of the processor, megabytes beyond what the imports take, and what is said, of points of a file."""
    import time
    import warnings

    warnings.simplefilter("ignore")
    x = np.load(path)
    work = _work(who)
    before = _peak()
    start = time.process_time()
    said = work(x)
    seconds = time.process_time() - start
    after = _peak()
    return {"seconds": seconds, "megabytes": after - before, "megabytes in all": after, "said": said}


def _work(who: str) -> Callable[[Array], float]:
    """What is measured, of points (n, D), with all its imports done."""
    if who not in (OURS, POINTWISE, OTHER):
        import skdim

        estimator = getattr(skdim.id, who)
        return lambda x: float(estimator().fit(x).dimension_)
    import torch

    from nflows_spread import dimension

    if who == OURS:
        return lambda x: int(dimension.dimension_of(x))
    return lambda x: float(dimension.pointwise_dimension(torch.from_numpy(x)).median())


def _peak() -> float:
    """The largest memory that this process had, in MB; where Linux does not say it, that of the system's account.

    The account begins with what the process had that started this one.
    """
    import resource

    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return float(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) / 1024


def _cell(who: str, rows: int, features: int, beside: Path | None) -> dict[str, Any]:
    """One measurement, in a fresh process."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "points.npy"
        np.save(path, points(rows, features))
        package = beside.resolve() if who == OTHER and beside is not None else _OURS
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(package), str(_OURS / "benchmarks")])}
        command = [sys.executable, str(_HERE), who, str(path)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{who} failed at n = {rows}, D = {features}: {done.stderr.strip()[-2000:]}")
    found = {"who": who, "n": rows, "D": features, **json.loads(done.stdout.strip().splitlines()[-1])}
    print(
        f"{who:36} n = {rows:7} D = {features:5}  {found['seconds']:8.2f} s  {found['megabytes']:7.0f} MB  "
        f"says {found['said']:.2f}",
        flush=True,
    )
    return found


def exponents(cells: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """By axis and estimator the slope of log seconds over log size, by least squares."""
    found: dict[str, dict[str, float]] = {}
    for axis, other, at in (("n", "D", AT_FEATURES), ("D", "n", AT_ROWS)):
        series: dict[str, list[tuple[float, float]]] = {}
        for cell in cells:
            if cell[other] == at:
                series.setdefault(cell["who"], []).append((math.log(cell[axis]), math.log(cell["seconds"])))
        found[axis] = {
            who: round(statistics.linear_regression(*zip(*places)).slope, 2)
            for who, places in series.items()
            if len(places) > 1
        }
    return found


def _sizes(options: argparse.Namespace) -> list[tuple[int, int]]:
    rows = [(n, AT_FEATURES) for n in options.rows]
    return rows + [(AT_ROWS, features) for features in options.features if (AT_ROWS, features) not in rows]


def _prepare(options: argparse.Namespace, command_line: str) -> Work:
    if options.beside is not None and not (options.beside / "nflows_spread").is_dir():
        raise ValueError(f"--beside must be a checkout of this package, got {options.beside}")

    # whose folder that is, is no matter of the record
    shown = command_line.replace(str(options.beside), "CHECKOUT")

    def work() -> None:
        names = [*options.estimators, *([OTHER] if options.beside else [])]
        cells = [
            _cell(who, rows, features, options.beside)
            for rows, features in _sizes(options)
            for who in names
            if rows <= MOST_ROWS.get(who, rows)
        ]
        growth = exponents(cells)
        print(f"exponents: {growth}")
        packages = ("scikit-dimension", "scikit-learn", "scipy", "numpy")
        found = {"cells": cells, "growth": growth}
        options.out.mkdir(parents=True, exist_ok=True)
        records.write(options.out / f"{NAME}.json", records.record(NAME, shown, run={}, found=found, packages=packages))
        draw(options.out / f"{NAME}.png", cells, growth)

    return work


def draw(path: Path, cells: Sequence[Mapping[str, Any]], growth: Mapping[str, Mapping[str, float]]) -> None:
    """Seconds over rows and over features, one line an estimator with its exponent."""
    import matplotlib.pyplot as plt

    figure, places = plt.subplots(1, 2, figsize=(10, 5), layout="constrained")
    titles = (f"rows n, at D = {AT_FEATURES}", f"features D, at n = {AT_ROWS}")
    for axes, axis, title in zip(places, ("n", "D"), titles):
        other, at = ("D", AT_FEATURES) if axis == "n" else ("n", AT_ROWS)
        for who, colour in _COLOURS.items():
            line = sorted((cell[axis], cell["seconds"]) for cell in cells if cell["who"] == who and cell[other] == at)
            if line:
                label = f"{who} (exponent {growth[axis].get(who, math.nan):.1f})"
                axes.loglog(*zip(*line), marker=_MARKERS[who], c=colour, label=label, lw=1.5, ms=5)
        axes.set_xlabel(title)
        axes.set_ylabel("seconds of the processor, one thread")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.16), frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _add_options(parser: argparse.ArgumentParser) -> None:
    rows, features = (f"(default {' '.join(map(str, sizes))})" for sizes in (ROWS, FEATURES))
    parser.add_argument("--rows", nargs="+", type=positive_int, default=list(ROWS), help=f"numbers of rows {rows}")
    parser.add_argument(
        "--features", nargs="+", type=positive_int, default=list(FEATURES), help=f"numbers of features {features}"
    )
    names = (OURS, POINTWISE, TWO, MLE)
    parser.add_argument("--estimators", nargs="+", choices=names, default=list(names), help="of " + ", ".join(names))
    parser.add_argument(
        "--beside", type=Path, help="another checkout of the package, whose pointwise_dimension runs too"
    )


COMMAND = Command(NAME, __doc__, _add_options, _prepare)

if __name__ == "__main__":
    print(json.dumps(measure(*sys.argv[1:])))
