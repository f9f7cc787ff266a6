"""The file of the benchmark of rivals: which cells are there, and which must be filled again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rivals.data_sets import DATA_SETS
from rivals.methods import METHODS, OURS
from rivals.solving import Task
from shared.cells import Cell
from shared.compared import ComparedFile


class Store(ComparedFile):
    """What each system made of each data set and seed.

    Args:
        folder: where the file is or goes.
    """

    ours = OURS

    def __init__(self, folder: Path) -> None:
        head = {
            "experiment": "rivals",
            "methods": {name: rival.declaration() for name, rival in METHODS.items()},
        }
        declared = {name: known.declaration() for name, known in DATA_SETS.items()}
        super().__init__(folder / "rivals.json", head, declared, kind="sets")

    def task(self, cell: Cell) -> Task | None:
        """What a cell is filled with, or None where the spread flow is to be fitted to its rows before."""
        if cell.method == OURS:
            return Task(cell, 0, 0.0)
        ours = self.of_ours(cell)
        if "processor_seconds" not in ours:
            return None
        return Task(cell, max(1, ours["rank"]), ours["processor_seconds"])

    def _is_current(self, cell: Cell, found: Mapping[str, Any]) -> bool:
        return found.get("budget") in (None, self.of_ours(cell).get("processor_seconds"))
