"""What ``fit`` costs over the bare forward, backward and optimizer step, on the paper's sine model (table 1).

Run ``python benchmarks/performance/training_loop.py``; it prints one JSON object. The ways to train
take turns in one process, so that all meet the same machine; ``overhead`` is the median over rounds of
the time of a step in the loop over that of a bare step in the same round, less 1.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable

import torch
from torch import Tensor

from nflows_spread import SpreadKLLoss
from nflows_spread.models import TABLE_1, coupling_flow
from nflows_spread.training import Checkpoints, GeometricNoise, default_optimizer, fit

BATCH = 100
ROWS = 10_000
DATA_NOISE = 0.05


def sine(rows: int) -> Tensor:
    """Points (t, sin t)."""
    t = torch.randn(rows, 1, generator=torch.Generator().manual_seed(0))
    return torch.cat([t, torch.sin(t)], dim=1)


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
    x = sine(ROWS)
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
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "machine": platform.machine(),
        "milliseconds_a_step": {name: round(1e3 * statistics.median(times), 4) for name, times in seconds.items()},
        "overhead": {
            name: round(statistics.median(a / b for a, b in zip(seconds[name], seconds["bare"])) - 1.0, 4)
            for name in ways
            if name != "bare"
        },
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=300, help="steps of one way in one round")
    parser.add_argument("--rounds", type=int, default=11)
    arguments = parser.parse_args()
    print(json.dumps(measure(arguments.steps, arguments.rounds), indent=2))
