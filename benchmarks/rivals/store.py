"""The file of the benchmark of rivals: which cells are there, and which must be filled again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rivals.data_sets import DATA_SETS
from rivals.methods import METHODS, OURS
from rivals.solving import Task
from shared.cells import Cell, CellFile


class Store(CellFile):
    """What each system made of each data set and seed.

    Args:
        folder: where the file is or goes.
    """

    def __init__(self, folder: Path) -> None:
        head = {
            "experiment": "rivals",
            "methods": {name: rival.declaration() for name, rival in METHODS.items()},
        }
        declared = {name: known.declaration() for name, known in DATA_SETS.items()}
        super().__init__(folder / "rivals.json", head, declared, kind="sets")

    @classmethod
    def open(cls, folder: Path) -> Store:
        """With what earlier runs have left in the folder.

        Raises:
            ValueError: the file there is not one of ours, or is about other data sets of the same names.
        """
        store = cls(folder)
        store.load()
        return store

    def task(self, cell: Cell) -> Task | None:
        """What a cell is filled with, or None where the spread flow is to be fitted to its rows before."""
        if cell.method == OURS:
            return Task(cell, 0, 0.0)
        ours = self._ours(cell)
        if "processor_seconds" not in ours:
            return None
        return Task(cell, max(1, ours["rank"]), ours["processor_seconds"])

    def missing(self, cells: Sequence[Cell]) -> list[Cell]:
        """Those that are not there, that were skipped, or whose budget is not the spread flow's time any more."""
        return [cell for cell in cells if not self._is_there(cell)]

    def _is_there(self, cell: Cell) -> bool:
        found = self.cells.get(cell)
        if found is None or "skipped" in found:
            return False
        return cell.method == OURS or found.get("budget") in (None, self._ours(cell).get("processor_seconds"))

    def _ours(self, cell: Cell) -> dict[str, Any]:
        return self.cells.get(Cell(cell.seed, cell.problem, OURS), {})
