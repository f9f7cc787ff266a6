"""Callbacks that record numbers during training, such as the entropy of figure 11."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

from nflows_spread import SpreadKLLoss
from nflows_spread.training import TrainingState

TrackedNumber = Callable[[TrainingState], float]
"""A number of the state of training."""


def eigenvalue(place: int, state: TrainingState) -> float:
    """The eigenvalue of AAᵀ at a place, counted from 1 for the largest."""
    return float(cast(SpreadKLLoss, state.objective).base.eigenvalues[place - 1])


class Recorder:
    """A callback of ``fit`` that takes the numbers at even steps and keeps them in a file.

    The file outlives an interruption: when training goes on from an earlier checkpoint, what had been
    taken after it is taken again.

    Args:
        tracked: functions of the state of training, by name.
        path: of the file, a JSON object a line.
        every: steps between two rows.
    """

    def __init__(self, tracked: Mapping[str, TrackedNumber], path: Path, *, every: int) -> None:
        self._tracked, self._path, self._every = tracked, path, every
        self._rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        self._started = False

    def __call__(self, state: TrainingState) -> None:
        if not self._started:
            self._rows = [row for row in self._rows if row["step"] < state.step]
            self._path.write_text("".join(json.dumps(row) + "\n" for row in self._rows))
            self._started = True
        if state.step % self._every == 0 or state.step == 1:
            row = {"step": state.step} | {name: number(state) for name, number in self._tracked.items()}
            self._rows.append(row)
            with self._path.open("a") as file:
                file.write(json.dumps(row) + "\n")

    def series(self) -> dict[str, list[tuple[int, float]]]:
        """By name, pairs (step, value)."""
        return {
            name: [(row["step"], row[name]) for row in self._rows if name in row]  # not before it was asked for
            for name in self._tracked
        }
