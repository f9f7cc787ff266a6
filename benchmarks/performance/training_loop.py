"""What ``fit`` costs over the bare forward, backward and optimizer step, on the paper's sine model (table 1).

Run ``python benchmarks/performance/training_loop.py``; it prints and writes one JSON object. The ways to train
take turns in one process, so that all meet the same machine; ``overhead`` is the median over rounds of
the time of a step in the loop over that of a bare step in the same round, less 1.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from nflows_spread import SpreadKLLoss
from nflows_spread.datasets import Sine
from nflows_spread.models import TABLE_1, coupling_flow
from nflows_spread.training import Checkpoints, GeometricNoise, default_optimizer, fit

if not __package__:  # run as a script: the benchmarks' own modules are one folder up
    sys.path.insert(0, str(Path(__file__).parents[1]))
import records

BATCH = 100
ROWS = 10_000
DATA_NOISE = 0.05


def objective() -> SpreadKLLoss:
    """The model, with the same weights for everybody."""
    torch.manual_seed(0)
    return SpreadKLLoss(coupling_flow(**TABLE_1), data_noise=DATA_NOISE)


def bare(x: Tensor) -> Callable[[int], float]:
    """Steps on one fixed batch with nothing around them; the seconds for so many."""
    loss, batch = objective(), x[:BATCH]
    optimizer = default_optimizer(loss)

    def run(steps: int) -> float:
        start = time.perf_counter()
        for _ in range(steps):
            optimizer.zero_grad()
            loss(batch).backward()
            optimizer.step()
        return time.perf_counter() - start

    return run


def plain_fit(x: Tensor) -> Callable[[int], float]:
    """``fit`` with its defaults."""
    loss = objective()
    return lambda steps: fit(loss, x, steps=steps, batch_size=BATCH, progress=False).seconds


def full_fit(x: Tensor) -> Callable[[int], float]:
    """``fit`` with a visible bar, a noise schedule, clipping, a moving average and a checkpoint in each round."""
    loss = objective()

    def run(steps: int) -> float:
        schedule = GeometricNoise(loss, start=0.3, end=DATA_NOISE, steps=steps)
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
            return fit(
                loss,
                x,
                steps=steps,
                batch_size=BATCH,
                noise_schedule=schedule,
                gradient_clip=10.0,
                average=0.999,
                checkpoints=Checkpoints(folder, every=steps),
                progress=True,
            ).seconds

    return run


def measure(steps: int, rounds: int) -> dict[str, object]:
    """Milliseconds a step for each way, and the overheads."""
    x = Sine().sample(ROWS, generator=torch.Generator().manual_seed(0)).x
    ways = {"bare": bare(x), "fit": plain_fit(x), "fit_with_everything": full_fit(x)}
    for run in ways.values():
        run(steps // 4)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds):
        order = list(ways) if number % 2 == 0 else list(reversed(ways))
        for name in order:
            seconds[name].append(ways[name](steps) / steps)
    return {
        "model": "table 1, batch 100",
        "steps_a_round": steps,
        "rounds": rounds,
        "milliseconds_a_step": {name: round(1e3 * statistics.median(times), 4) for name, times in seconds.items()},
        "overhead": {
            name: round(statistics.median(a / b for a, b in zip(seconds[name], seconds["bare"])) - 1.0, 4)
            for name in ways
            if name != "bare"
        },
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write the result."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=300, help="steps of one way in one round")
    parser.add_argument("--rounds", type=int, default=11, help="how often the ways take turns")
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "results", help="folder for the result")
    options = parser.parse_args(given)
    options.out.mkdir(parents=True, exist_ok=True)
    measured = measure(options.steps, options.rounds)
    print(json.dumps(measured, indent=1))
    command = f"python benchmarks/performance/training_loop.py --steps {options.steps} --rounds {options.rounds}"
    records.write(options.out / "training_loop.json", {**records.provenance(command), **measured})
    return 0


if __name__ == "__main__":
    sys.exit(main())
