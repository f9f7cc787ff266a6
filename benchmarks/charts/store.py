"""The file of the chart benchmark: which cells are there, and which must be filled again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from charts.data_sets import DATA_SETS
from charts.methods import OURS
from shared.cells import Cell, CellFile


class Store(CellFile):
    """What each method found on each data set and seed, and the points that are drawn, in a file beside it.

    Args:
        folder: where the files are or go.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(
            folder / "charts.json",
            {"experiment": "charts"},
            {name: data.declaration() for name, data in DATA_SETS.items()},
            kind="sets",
        )
        self.drawn = folder / "charts-roll.npz"

    @classmethod
    def open(cls, folder: Path) -> Store:
        """With what earlier runs have left in the folder.

        Raises:
            ValueError: the file there is not one of ours, or is about other data sets of the same names.
        """
        store = cls(folder)
        store.load()
        return store

    def rank(self, cell: Cell) -> int | None:
        """K that the spread flow has found on the rows of a cell, or None."""
        rank = self.cells.get(Cell(cell.seed, cell.problem, OURS), {}).get("rank")
        return rank if isinstance(rank, int) and rank > 0 else None

    def missing(self, cells: Sequence[Cell]) -> list[Cell]:
        """Those that are not there, that were skipped, or that have another K than the spread flow has found since."""
        return [cell for cell in cells if not self._is_there(cell)]

    def _is_there(self, cell: Cell) -> bool:
        found = self.cells.get(cell)
        if found is None or "skipped" in found:
            return False
        return cell.method == OURS or self.rank(cell) in (None, found.get("rank"))
