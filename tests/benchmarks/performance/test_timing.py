"""Timing of contenders that take turns, the growth of times, and peak memory."""

from __future__ import annotations

import time

import pytest
import torch

from performance import record, timing
from performance.races import GrowthTarget


def test_a_ratio_is_the_median_of_those_of_each_round():
    """In which both were slowed down alike, unlike the medians of their own."""
    mine, theirs = timing.Measured([1.0, 40.0, 9.0]), timing.Measured([2.0, 10.0, 3.0])
    assert mine.over(theirs) == 3.0
    written = mine.as_json(theirs)
    assert (written["seconds"], written["over_reference"], written["quartiles"]) == (9.0, 3.0, [5.0, 24.5])


def test_growth_is_the_slope_in_logarithms_along_each_axis():
    sizes = [10, 20, 80]
    races = [
        {"section": "s", "series": {"D": d}, "contenders": {"a": {"seconds": 3 * d**2.5}, "b": {"seconds": 7.0}}}
        for d in sizes
    ]
    found = record.growth_of(races)["s"]["D"]
    assert found == {"a": pytest.approx(2.5), "b": pytest.approx(0.0)}
    checked = record.check_growth(
        [GrowthTarget("s", "D", "a", 2.2), GrowthTarget("s", "n", "a", 1.0)], {"s": {"D": found}}
    )
    assert [target["met"] for target in checked] == [False]
    assert timing.exponent([(10, 1.0), (10, 2.0)]) is None


def test_contenders_take_turns_and_a_repeated_step_counts_each_piece_of_work():
    order = []
    steps = {name: lambda name=name: order.append(name) or time.sleep(0.01) for name in "ab"}
    measured = timing.compare(steps, rounds=3, seconds=0.001, repeats=10)
    assert len(measured["a"].seconds) == 3
    assert order[4:10] == ["a", "b", "b", "a", "a", "b"]  # after a first call and one that is timed for its length
    assert 0.001 <= measured["a"].median < 0.01


def test_peak_memory_is_that_of_what_is_held_at_the_same_time(capfd):
    def step():
        for _ in range(3):
            a = torch.ones(1000, dtype=torch.float64)
            b = a + 1
            del a, b

    assert timing.peak_bytes(step) == pytest.approx(16_000, abs=200)
    assert capfd.readouterr().err == ""
