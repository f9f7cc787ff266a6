"""Timing and peak memory of contenders that take turns in one process. The only clock."""

from __future__ import annotations

import math
import os
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.benchmark import Timer

from performance.races import Step

_MOST_AT_ONCE = 1000
_TRIES = 5
CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}
"""What a user waits for, and what the work takes of the processor: the better one where others use the machine too."""


@dataclass
class Measured:
    """Seconds of a step in each round, and the peak of what it allocates beyond what it starts with, in bytes."""

    seconds: list[float]
    peak_bytes: int | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def over(self, other: Measured) -> float:
        """The median over rounds of this one's time over the other's in the same round."""
        return statistics.median(mine / theirs for mine, theirs in zip(self.seconds, other.seconds))

    def as_json(self, reference: Measured | None) -> dict[str, Any]:
        low, _, high = statistics.quantiles(self.seconds, n=4, method="inclusive")
        return {
            "seconds": self.median,
            "quartiles": [low, high],
            "rounds": len(self.seconds),
            "peak_bytes": self.peak_bytes,
            "over_reference": None if reference is None else self.over(reference),
        }


def compare(
    steps: Mapping[str, Step],
    rounds: int,
    seconds: float,
    *,
    budget: float = math.inf,
    repeats: int = 1,
    clock: str = "wall",
) -> dict[str, Measured]:
    """Time all steps in turn, each for about ``seconds`` a round and at least once.

    There are ``rounds`` rounds, or as many as fit into the budget, in seconds, but two at least. Every other round goes
    backwards, so that nobody always comes after the same neighbour. A step that does ``repeats`` pieces of work
    has its time divided by them. The budget is of the same clock as the times.
    """
    timers, numbers = {}, {}
    length = 0.0
    for name, step in steps.items():
        timers[name] = Timer("step()", globals={"step": step}, num_threads=torch.get_num_threads(), timer=CLOCKS[clock])
        step()
        once = _time(timers[name], 1)
        numbers[name] = max(1, min(_MOST_AT_ONCE, int(seconds / once)))
        length += once * numbers[name]
    rounds = max(2, int(min(rounds, budget / length)))
    measured = {name: Measured([]) for name in steps}
    for turn in range(rounds):
        for name in list(steps) if turn % 2 == 0 else reversed(list(steps)):
            measured[name].seconds.append(_time(timers[name], numbers[name]) / repeats)
    for name, step in steps.items():
        measured[name].peak_bytes = peak_bytes(step)
    return measured


def _time(timer: Timer, number: int) -> float:
    """Seconds of a step, the mean of so many; ``Timer.timeit`` warms up again, which trebles the time of slow steps."""
    return timer._timeit(number) / number


def exponent(points: Sequence[tuple[float, float]]) -> float | None:
    """The slope of log seconds over log size, by least squares; None for fewer than two sizes."""
    if len({size for size, _ in points}) < 2:
        return None
    return statistics.linear_regression(*zip(*((math.log(x), math.log(y)) for x, y in points))).slope


def peak_bytes(step: Step) -> int:
    """The largest sum of what a step has allocated and not freed, as torch's allocator sees it.

    The profiler sets its clock anew at each start; on a busy machine a short step can fall outside the time for which
    it keeps events, and is done again.
    """
    return next((peak for peak in (_profiled_peak(step) for _ in range(_TRIES)) if peak > 0), 0)


def _profiled_peak(step: Step) -> int:
    """One try."""
    with _quiet_profiler(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
        step()
    allocations = [event for event in found.profiler.kineto_results.events() if event.name() == "[memory]"]
    now = peak = 0
    for event in sorted(allocations, key=lambda event: event.start_ns()):
        now += event.nbytes()
        peak = max(peak, now)
    return peak


@contextmanager
def _quiet_profiler() -> Iterator[None]:
    """The profiler reports its starts and stops on the standard error itself, past Python's."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
