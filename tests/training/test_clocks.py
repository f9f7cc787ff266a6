"""Clocks that jump by an hour, or stand still, change nothing of a training, and nothing waits for them."""

import ast
import random
import re
import time
from pathlib import Path

import pytest
import torch

import nflows_spread
from nflows_spread.training import Checkpoints, fit
from resumed_runs import ROWS, objective_of, same, tensors_of, train
from training_toys import MeanSquare, rows, sgd

PACKAGE = Path(nflows_spread.__file__).parent
HOUR = 3600.0


@pytest.fixture(params=[0, 1, 2])
def jumping_clock(request, monkeypatch):
    """The time of day jumps by up to an hour, back or ahead, whenever it is asked for."""
    draw, real = random.Random(request.param), time.time
    monkeypatch.setattr(time, "time", lambda: real() + draw.uniform(-HOUR, HOUR))
    return draw


def test_a_training_is_the_same_by_a_clock_that_jumps(jumping_clock, tmp_path, monkeypatch):
    found, expected = objective_of(0), objective_of(0)
    result = train(found, ROWS, 12, folder=tmp_path / "jumps", progress=True)
    monkeypatch.undo()
    train(expected, ROWS, 12, folder=tmp_path / "steady")
    assert same(tensors_of(found), tensors_of(expected))
    names = [sorted(path.name for path in (tmp_path / folder).iterdir()) for folder in ("jumps", "steady")]
    assert names[0] == names[1]
    assert 0.0 < result.seconds < HOUR / 10


def test_max_minutes_are_those_that_pass(jumping_clock):
    objective = MeanSquare()
    start = time.perf_counter()
    result = fit(objective, rows(), steps=10**7, batch_size=10, optimizer=sgd(objective), max_minutes=0.2 / 60)
    assert result.stopped == "max_minutes"
    assert 0.2 <= time.perf_counter() - start < 20.0


def test_a_clock_that_stands_still_ends_no_training(monkeypatch, tmp_path):
    monkeypatch.setattr(time, "perf_counter", lambda: 1.0)
    objective = MeanSquare()
    result = fit(
        objective,
        rows(),
        steps=30,
        batch_size=10,
        optimizer=sgd(objective),
        max_minutes=1.0,
        checkpoints=Checkpoints(tmp_path, every=10),
        generator=torch.Generator().manual_seed(0),
    )
    assert (result.stopped, result.steps, result.seconds) == ("steps", 30, 0.0)


def test_nothing_in_the_package_asks_for_the_time_of_day():
    """Durations are of ``time.monotonic`` or ``time.perf_counter``, which no setting of the clock moves."""
    asked = []
    texts = {file: file.read_text(encoding="utf-8") for file in PACKAGE.rglob("*.py")}
    some = {
        file: text
        for file, text in texts.items()
        if re.search(r"import (time|datetime)\b|from (time|datetime)\b", text)
    }
    assert some
    for file, text in some.items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                if (node.value.id, node.attr) in {("time", "time"), ("time", "time_ns"), ("datetime", "now")}:
                    asked.append(f"{file.relative_to(PACKAGE)}:{node.lineno}")
            elif isinstance(node, ast.ImportFrom) and node.module in {"time", "datetime"}:
                asked.append(f"{file.relative_to(PACKAGE)}:{node.lineno}")
    assert asked == []
