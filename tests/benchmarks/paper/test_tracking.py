"""Callbacks that record numbers during training."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from paper.tracking import Recorder


def test_what_is_recorded_outlives_an_interruption_without_gaps_or_repeats(tmp_path: Path) -> None:
    path, tracked = tmp_path / "tracked.jsonl", {"twice": lambda state: 2.0 * state.step}
    first = Recorder(tracked, path, every=2)
    for step in range(1, 8):
        first(SimpleNamespace(step=step))
    second = Recorder(tracked, path, every=2)
    for step in range(5, 11):  # from the checkpoint after step 4
        second(SimpleNamespace(step=step))
    assert second.series() == {"twice": [(step, 2.0 * step) for step in (1, 2, 4, 6, 8, 10)]}
    assert Recorder(tracked, path, every=2).series() == second.series()
