"""Contenders that take turns in one process: seconds of a step, and the peak of what it allocates."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.benchmark import Timer

Step = Callable[[], None]


@dataclass
class Measured:
    """Seconds of a step in each round, and the peak of what it allocates beyond what it starts with, in bytes."""

    seconds: list[float]
    peak_bytes: int | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def as_json(self, reference: Measured | None) -> dict[str, Any]:
        low, _, high = statistics.quantiles(self.seconds, n=4, method="inclusive")
        found: dict[str, Any] = {
            "seconds": self.median,
            "quartiles": [low, high],
            "rounds": len(self.seconds),
            "peak_bytes": self.peak_bytes,
        }
        if reference is not None:
            found["ratio"] = statistics.median(a / b for a, b in zip(reference.seconds, self.seconds))
        return found


def compare(steps: dict[str, Step], rounds: int, seconds: float, budget: float = math.inf) -> dict[str, Measured]:
    """Time all steps in turn, each for about ``seconds`` a round and at least once.

    There are ``rounds`` rounds, or as many as fit into the budget, in seconds, but two at least.
    """
    timers, numbers = {}, {}
    length = 0.0
    for name, step in steps.items():
        timers[name] = Timer("step()", globals={"step": step}, num_threads=torch.get_num_threads())
        step()
        once = timers[name].timeit(1).median
        numbers[name] = max(1, min(1000, int(seconds / once)))
        length += once * numbers[name]
    rounds = max(2, int(min(rounds, budget / length)))
    measured = {name: Measured([]) for name in steps}
    for turn in range(rounds):
        for name in list(steps) if turn % 2 == 0 else reversed(list(steps)):
            measured[name].seconds.append(timers[name].timeit(numbers[name]).median)
    for name, step in steps.items():
        measured[name].peak_bytes = peak_bytes(step)
    return measured


def peak_bytes(step: Step) -> int:
    """The largest sum of what a step has allocated and not freed, as torch's allocator sees it."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
        step()
    allocations = [event for event in found.profiler.kineto_results.events() if event.name() == "[memory]"]
    now = peak = 0
    for event in sorted(allocations, key=lambda event: event.start_ns()):
        now += event.nbytes()
        peak = max(peak, now)
    return peak
