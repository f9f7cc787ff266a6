"""Whole fits of ``SpreadFlowEstimator``, chart included, in the processor's time, beside those of another checkout.

Two versions of a package cannot be imported into one process. So each fit has a fresh one with the same threads, which
measures itself once all is imported; the two checkouts take turns, and every other round goes backwards. The sets are
made for this: no recipe is adjusted to them.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from intrinsic_dimension.embedded_manifold import EmbeddedManifold
from intrinsic_dimension.embeddings import fourier, layered
from performance import targets
from performance.races import Section, Trial

NAME = "fit"
ROWS, FEATURES, ROUNDS = 2_000, 20, 3
SMALL_ROWS, SMALL_STEPS = 100, 5
WITHIN = "within the bound"
"""In a trial's findings: whether the ratio to the other checkout is within that of the targets."""

_SEED = 0
_HERE = Path(__file__).resolve()
_OURS = _HERE.parents[2]

Array = NDArray[np.float64]


def _points(manifold: EmbeddedManifold, rows: int) -> Array:
    x: Array = manifold.sample(rows, generator=torch.Generator().manual_seed(_SEED)).numpy()
    return x


def _linear(rows: int) -> Array:
    """Five Gaussian coordinates, mixed."""
    draws = np.random.default_rng(_SEED)
    return draws.normal(size=(rows, 5)) @ draws.normal(size=(5, FEATURES))


def _roll(rows: int) -> Array:
    """The Swiss roll, turned into as many features."""
    draws = np.random.default_rng(_SEED)
    t, width = 1.5 * np.pi * (1.0 + 2.0 * draws.uniform(size=rows)), 21.0 * draws.uniform(size=rows)
    frame = np.linalg.qr(draws.normal(size=(FEATURES, 3)))[0]
    x: Array = np.stack([t * np.cos(t), width, t * np.sin(t)], axis=1) @ frame.T
    return x


def _table(rows: int) -> Array:
    """Six factors and noise, of which some columns are skewed, whole numbers or bounded; standardised."""
    draws = np.random.default_rng(_SEED)
    z = draws.normal(size=(rows, 6)) @ draws.normal(size=(6, FEATURES)) + 0.7 * draws.normal(size=(rows, FEATURES))
    x: Array = np.concatenate([np.exp(0.5 * z[:, :5]), z[:, 5:8].round(), np.tanh(z[:, 8:11]), z[:, 11:]], axis=1)
    return (x - x.mean(0)) / x.std(0)


SETS: Mapping[str, Callable[[int], Array]] = {
    "smooth, 4 dimensions": partial(_points, fourier(4, FEATURES, seed=911)),
    "network, 6 dimensions": partial(_points, layered(6, FEATURES, seed=912)),
    "linear, 5 dimensions": _linear,
    "roll": _roll,
    "table": _table,
}
"""By name, a function of the number of rows."""


def section(beside: Path | None) -> Section:
    """The section, with the other checkout that fits are compared with, if there is one."""
    return Section(NAME, lambda small: [], trials=partial(_trials, beside))


def _trials(beside: Path | None, small: bool) -> Sequence[Trial]:
    names = list(SETS)[:1] if small else SETS
    return [
        Trial(
            NAME,
            f"whole fit, {name}",
            partial(compared, SETS[name], beside, small),
            targets.FIT_SECONDS,
            {} if beside is None else {WITHIN: True},
        )
        for name in names
    ]


def compared(draw: Callable[[int], Array], beside: Path | None, small: bool) -> Mapping[str, Any]:
    """Medians over rounds of both checkouts' seconds, of their ratio in the same round, and their dimensions.

    Raises:
        ValueError: the other folder is no checkout of this package; then nothing is fitted.
    """
    if beside is not None and not (beside / "nflows_spread" / "__init__.py").is_file():
        raise ValueError(f"--beside must be a checkout of this package, got {beside}, which has no nflows_spread")
    checkouts = [_OURS] if beside is None else [_OURS, beside.resolve()]
    rounds = 1 if small or beside is None else ROUNDS
    found: list[list[Mapping[str, Any]]] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "points.npy"
        np.save(path, draw(SMALL_ROWS if small else ROWS))
        for turn in range(rounds):
            order = checkouts if turn % 2 == 0 else checkouts[::-1]
            of_turn = {checkout: _fit(checkout, path, small) for checkout in order}
            found.append([of_turn[checkout] for checkout in checkouts])
    ours, *theirs = ([one[place] for one in found] for place in range(len(checkouts)))
    result = {"seconds": statistics.median(fit["seconds"] for fit in ours), "dimension": ours[0]["dimension"]}
    if theirs:
        ratio = statistics.median(mine["seconds"] / other["seconds"] for mine, other in zip(ours, theirs[0]))
        result["seconds of the other checkout"] = statistics.median(fit["seconds"] for fit in theirs[0])
        result["ratio"], result["rounds"] = round(ratio, 3), rounds
        result["its dimension"] = theirs[0][0]["dimension"]
        result[WITHIN] = ratio <= targets.FIT_OVER_OTHER
    return result


def _fit(checkout: Path, points: Path, small: bool) -> Mapping[str, Any]:
    """What a fresh process with the package of a checkout has found."""
    command = [sys.executable, str(_HERE.with_name("one_fit.py")), str(points), *([str(SMALL_STEPS)] if small else [])]
    environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": str(torch.get_num_threads())}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"a fit with the package in {checkout} failed: {done.stderr.strip()[-2000:]}")
    found: Mapping[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    if checkout not in Path(found["package"]).resolve().parents:
        raise ValueError(f"--beside must be a checkout of this package, got {checkout}, which Python does not import")
    return found


SECTION = section(None)
