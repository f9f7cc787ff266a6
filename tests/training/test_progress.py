"""What the progress bar shows, and that nothing is computed for one that is not seen."""

import re
from itertools import pairwise

import pytest
import torch

from nflows_spread import SpreadKLLoss
from nflows_spread.models import coupling_flow
from nflows_spread.training import current_dimension, fit, loop, progress
from nflows_spread.training.progress import ProgressBar
from training_toys import MeanSquare, rows


@pytest.fixture
def objective():
    return SpreadKLLoss(coupling_flow(3, layers=2), data_noise=0.25)


@pytest.fixture
def x():
    return torch.randn(100, 2) @ torch.randn(2, 3)


def test_it_shows_steps_loss_dimension_and_noise(objective, x, capsys):
    bar = ProgressBar(objective, steps=50, done=10, visible=True)
    bar.update(30, 1.23456, (x,))
    bar.close()
    shown = capsys.readouterr().err
    assert "10/50" in shown
    assert "30/50" in shown
    assert re.search(rf"loss=1.2346, dim={current_dimension(objective, x)}, noise=0.25\b", shown)


def test_the_dimension_is_measured_again_when_it_has_cost_a_small_share_of_the_time(objective, x, monkeypatch):
    clock, asked = [0.0], []

    def measured(*arguments):
        asked.append(clock[0])
        clock[0] += 1.0  # so long it takes
        return 2

    monkeypatch.setattr(progress, "current_dimension", measured)
    monkeypatch.setattr(progress.time, "perf_counter", lambda: clock[0])
    bar = ProgressBar(objective, steps=200, visible=True)
    for step in range(1, 200):
        bar.update(step, 0.0, (x,))
        clock[0] += 1.0
    bar.close()
    assert len(asked) > 2
    assert all(later - earlier == pytest.approx(1.0 + 1.0 / 0.02, abs=1.0) for earlier, later in pairwise(asked))


def test_a_bar_that_is_not_seen_measures_nothing(objective, x, monkeypatch, capsys):
    monkeypatch.setattr(progress, "current_dimension", None)
    bar = ProgressBar(objective, steps=5, visible=False)
    bar.update(1, 0.0, (x,))
    bar.close()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("seconds", "steps"), [(0.01, 25), (0.05, 5), (1.0, 1)])
def test_the_bar_moves_every_quarter_of_a_second_or_with_each_longer_step(seconds, steps, monkeypatch):
    clock, shown = [0.0], []
    monkeypatch.setattr(loop.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(ProgressBar, "update", lambda own, step, *_: shown.append(step))

    def later(state):
        clock[0] += seconds

    fit(MeanSquare(), rows(), steps=150, batch_size=5, callbacks=[later])
    assert shown[-1] == 150
    assert len(shown) > 5
    assert all(second - first in (steps, max(1, steps - 1)) for first, second in pairwise(shown[:-1]))
