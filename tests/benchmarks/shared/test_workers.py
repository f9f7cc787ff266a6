"""Tasks in processes of their own: what fails, takes too long or is left over."""

from __future__ import annotations

import time

from shared.workers import Failure, run_tasks
from worker_tasks import perform


def test_a_task_that_takes_too_long_raises_or_dies_does_not_stop_the_others():
    tasks = ["1.5", "sleep", "not a number", "die", "2.5"]
    results = dict(run_tasks(perform, tasks, jobs=2, seconds_a_task=3.0))
    assert results["1.5"] == 1.5
    assert results["2.5"] == 2.5
    assert results["sleep"] == Failure("not finished in 3 s")
    assert results["die"] == Failure("its process died")
    assert "could not convert string to float" in results["not a number"].reason


def test_all_time_is_limited_too():
    began = time.monotonic()
    assert list(run_tasks(perform, ["sleep", "1.0"], jobs=1, seconds=0.5)) == []
    assert time.monotonic() - began < 20.0
