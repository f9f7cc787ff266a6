"""Callbacks that record numbers during training."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from paper.pictures import eigenvalues_during_training
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


def test_every_flow_has_its_lines_in_the_picture_each_in_a_colour_of_its_own() -> None:
    figure = pytest.importorskip("matplotlib.figure").Figure()
    tracked = {"first": [(1, 1.0), (2, 0.5)], "second": [(1, 0.5), (2, 0.1)]}
    trained, settings = SimpleNamespace(tracked=tracked), SimpleNamespace(spread_variance=1e-4)
    results = [SimpleNamespace(name=name, trained=trained, settings=settings) for name in ("one", "two", "three")]
    eigenvalues_during_training(figure, figure.add_gridspec(1, 1)[0], results)
    lines = [line for line in figure.axes[0].lines if "," in line.get_label()]
    assert [line.get_label() for line in lines][::2] == ["one, first", "two, first", "three, first"]
    assert len({line.get_color() for line in lines}) == 3
