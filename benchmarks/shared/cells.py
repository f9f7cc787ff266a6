"""Results of many runs in one JSON file, cell by cell, so that a run goes on where another stopped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from shared import records

_Kind = TypeVar("_Kind", bound="CellFile")


@dataclass(frozen=True, order=True)
class Cell:
    """One thing to find out: by a method, on a problem, with a seed."""

    seed: int
    problem: str
    method: str


class CellFile:
    """A JSON file of cells.

    Args:
        path: of the file.
        head: what all cells of the file have in common, plain values by their names in the file.
        declared: what is known of each problem, plain values; results of a problem that is declared otherwise are of
            another problem.
        kind: what the problems are called in the file.

    Attributes:
        runs: where the results come from: command, commit, versions and machine of each run.
        cells: what each cell found, and the number of its run.
    """

    def __init__(self, path: Path, head: Mapping[str, Any], declared: Mapping[str, Any], *, kind: str) -> None:
        self.path, self.head, self.declared, self.kind = path, dict(head), dict(declared), kind
        self.runs: list[dict[str, Any]] = []
        self.cells: dict[Cell, dict[str, Any]] = {}

    @classmethod
    def open(cls: type[_Kind], *arguments: Any) -> _Kind:
        """One that is made of these, with what earlier runs have left in the file.

        Raises:
            ValueError: the file there is not one of ours, or is about other problems of the same names.
        """
        store = cls(*arguments)
        store.load()
        return store

    def load(self) -> None:
        """Take in what earlier runs have left in the file, if it is there.

        Raises:
            ValueError: it is not one of ours, or has results of other problems of the same names.
        """
        if not self.path.exists():
            return
        try:
            content = records.read(self.path)
            runs, declared = content["runs"], content[self.kind]
            cells = {
                Cell(int(seed), problem, method): found
                for method, by_problem in content["results"].items()
                for problem, by_seed in by_problem.items()
                for seed, found in by_seed.items()
            }
        except (ValueError, KeyError, AttributeError) as error:
            raise ValueError(
                f"{self.path} must hold results of this benchmark; move it away, or change --out"
            ) from error
        if any(declared.get(cell.problem) != self.declared.get(cell.problem, {}) for cell in cells):
            raise ValueError(
                f"{self.path} must be about the {self.kind} as they are now; move it away, or change --out"
            )
        self.runs, self.cells = runs, cells

    def begin(self, provenance: dict[str, Any]) -> None:
        """Note where the results that follow come from."""
        self.runs.append(provenance)

    def put(self, cell: Cell, found: Mapping[str, Any]) -> None:
        """Add a result of the current run and write the file."""
        self.cells[cell] = {**found, "run": len(self.runs) - 1}
        self.write()

    def forget(self, cells: Iterable[Cell]) -> None:
        """Drop results that are to be found again."""
        for cell in cells:
            self.cells.pop(cell, None)

    def write(self, summary: Mapping[str, Any] | None = None) -> None:
        """Write the file, whole or not at all, with a summary of what is in it if there is one."""
        results: dict[str, dict[str, dict[str, Any]]] = {}
        for cell, found in self._in_order():
            results.setdefault(cell.method, {}).setdefault(cell.problem, {})[str(cell.seed)] = found
        records.write(
            self.path,
            {**self.head, self.kind: self.declared, "summary": summary, "results": results, "runs": self.runs},
        )

    def _in_order(self) -> Iterator[tuple[Cell, dict[str, Any]]]:
        order = {name: number for number, name in enumerate(self.declared)}
        return iter(sorted(self.cells.items(), key=lambda item: (order[item[0].problem], item[0].seed)))
