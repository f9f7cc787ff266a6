"""Memory over long runs: of one training of many steps, and of many fits of the estimator in one process.

This file is also the program that is measured, in a process of its own: ``python test_long_runs.py steps 20000`` and
``python test_long_runs.py fits 200`` print what ``docs/what_is_tested.md`` quotes.
"""

import gc
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch

STATM = Path("/proc/self/statm")
STEPS, FITS = 20_000, 200
PER_1000_STEPS, PER_FIT = 32.0, 16.0
"""KiB of growth that pass as flat; seen: 8.0, which are the losses that are kept, and 0.4."""


def resident():
    """KiB of this process that are in memory."""
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1024


def slope(at, sizes):
    """KiB for each one of ``at``, by least squares over the second half, when caches have filled."""
    half = len(at) // 2
    return float(np.polyfit(at[half:], sizes[half:], 1)[0])


def of_steps(steps):
    """The memory of one training with checkpoints, evaluations, an average and schedules."""
    from nflows_spread import SpreadKLLoss
    from nflows_spread.models import TABLE_1, coupling_flow
    from nflows_spread.training import Checkpoints, Geometric, fit

    torch.manual_seed(0)
    objective = SpreadKLLoss(coupling_flow(**TABLE_1))
    x = torch.randn(500, 2, generator=torch.Generator().manual_seed(0))
    at, sizes = [], []

    def look(state):
        if state.step % (steps // 40) == 0:
            gc.collect()
            at.append(state.step)
            sizes.append(resident())

    with tempfile.TemporaryDirectory() as folder:
        fit(
            objective,
            x,
            steps=steps,
            batch_size=20,
            noise_schedule=Geometric(0.3, 0.05, steps=0.7),
            average=0.99,
            held_out=x[:50],
            evaluate_every=steps // 40,
            checkpoints=Checkpoints(folder, every=steps // 20),
            callbacks=[look],
            generator=torch.Generator().manual_seed(1),
        )
    return {"KiB": sizes, "growth": 1000.0 * slope(at, sizes)}


def of_fits(fits):
    """The memory of one process that fits the estimator again and again."""
    from nflows_spread.estimator import Recipe, SpreadFlowEstimator

    recipe = Recipe(steps=4, layers=2, hidden_features=8, bins=4)
    sizes = []
    for number in range(fits):
        x = np.random.default_rng(number).normal(size=(60, 2))
        SpreadFlowEstimator(random_state=0, recipe=recipe).fit(x).sample(10)
        gc.collect()
        sizes.append(resident())
    return {"KiB": sizes, "growth": slope(np.arange(fits), sizes)}


def measured(what, number, seconds):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", __file__, what, str(number)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


linux = pytest.mark.skipif(not STATM.exists(), reason="memory is read from /proc, which is Linux's")


@linux
@pytest.mark.slow
def test_the_memory_of_a_training_does_not_grow_with_its_steps():
    found = measured("steps", STEPS, 1200)
    assert found["growth"] < PER_1000_STEPS, found["KiB"]


@linux
@pytest.mark.slow
def test_the_memory_of_a_process_does_not_grow_with_its_fits():
    found = measured("fits", FITS, 3600)
    assert found["growth"] < PER_FIT, found["KiB"]


if __name__ == "__main__":
    torch.set_num_threads(1)
    command, count = sys.argv[1], int(sys.argv[2])
    print(json.dumps(of_steps(count) if command == "steps" else of_fits(count)))
