"""The file of the chart benchmark: which cells are there, and which must be filled again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from charts.data_sets import DATA_SETS
from charts.methods import OURS
from shared.cells import Cell
from shared.compared import ComparedFile


class Store(ComparedFile):
    """What each method found on each data set and seed, and the points that are drawn, in a file beside it.

    Args:
        folder: where the files are or go.
    """

    ours = OURS

    def __init__(self, folder: Path) -> None:
        super().__init__(
            folder / "charts.json",
            {"experiment": "charts"},
            {name: data.declaration() for name, data in DATA_SETS.items()},
            kind="sets",
        )
        self.drawn = folder / "charts-roll.npz"

    def rank(self, cell: Cell) -> int | None:
        """K that the spread flow has found on the rows of a cell, or None."""
        rank = self.of_ours(cell).get("rank")
        return rank if isinstance(rank, int) and rank > 0 else None

    def _is_current(self, cell: Cell, found: Mapping[str, Any]) -> bool:
        return self.rank(cell) in (None, found.get("rank"))
