"""The results of many runs in one file, cell by cell, so that a run goes on where another stopped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from intrinsic_dimension.manifold_sets import Problem
from shared import records


@dataclass(frozen=True, order=True)
class Cell:
    """One estimate to make: of an estimator, on a manifold, from the points of a seed."""

    seed: int
    manifold: str
    estimator: str


@dataclass(frozen=True)
class Setting:
    """What all cells of a file have in common.

    Attributes:
        which: the set of manifolds.
        points: n.
        noise: the ambient noise, as a share of the data's scale.
    """

    which: str
    points: int
    noise: float

    @property
    def stem(self) -> str:
        """Name of the file, without its ending."""
        noise = f"-noise-{self.noise:g}" if self.noise else ""
        return f"intrinsic-dimension-{self.which}-{self.points}{noise}"


@dataclass
class Store:
    """The file of a setting.

    Attributes:
        path: of the file.
        setting: what its cells have in common.
        problems: all manifolds of the set, by name.
        runs: where the results come from: command, commit, versions and machine of each run.
        cells: what each cell found: its estimate, or why there is none, the seconds it took, and the number of its run.
    """

    path: Path
    setting: Setting
    problems: dict[str, Problem]
    runs: list[dict[str, Any]] = field(default_factory=list)
    cells: dict[Cell, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def open(cls, folder: Path, setting: Setting, problems: dict[str, Problem]) -> Store:
        """The store of a setting, with what earlier runs have left in the folder.

        Raises:
            ValueError: the file there is not one of ours, or is about other manifolds of the same names.
        """
        store = cls(folder / f"{setting.stem}.json", setting, problems)
        if not store.path.exists():
            return store
        try:
            content = records.read(store.path)
            store.runs = content["runs"]
            for estimator, by_manifold in content["results"].items():
                for manifold, by_seed in by_manifold.items():
                    for seed, found in by_seed.items():
                        store.cells[Cell(int(seed), manifold, estimator)] = found
        except (ValueError, KeyError, AttributeError) as error:
            raise ValueError(
                f"{store.path} must hold results of this benchmark; move it away, or change --out"
            ) from error
        if content["manifolds"] != store._truth():
            raise ValueError(f"{store.path} must be about the manifolds as they are now; move it away, or change --out")
        return store

    def begin(self, provenance: dict[str, Any]) -> None:
        """Note where the results that follow come from."""
        self.runs.append(provenance)

    def put(self, cell: Cell, found: dict[str, Any]) -> None:
        """Add a result of the current run and write the file."""
        self.cells[cell] = {**found, "run": len(self.runs) - 1}
        self.write()

    def forget(self, cells: list[Cell]) -> None:
        """Drop results that are to be found again."""
        for cell in cells:
            self.cells.pop(cell, None)

    def write(self, summary: Mapping[str, Any] | None = None) -> None:
        """Write the file, whole or not at all, with a summary of what is in it if there is one."""
        results: dict[str, dict[str, dict[str, Any]]] = {}
        for cell, found in self._in_order():
            results.setdefault(cell.estimator, {}).setdefault(cell.manifold, {})[str(cell.seed)] = found
        records.write(
            self.path,
            {
                "experiment": "intrinsic-dimension",
                "set": self.setting.which,
                "points": self.setting.points,
                "noise": self.setting.noise,
                "manifolds": self._truth(),
                "summary": summary,
                "results": results,
                "runs": self.runs,
            },
        )

    def _truth(self) -> dict[str, dict[str, int]]:
        return {
            name: {"features": problem.features, "dimension": problem.dimension}
            for name, problem in self.problems.items()
        }

    def _in_order(self) -> Iterator[tuple[Cell, dict[str, Any]]]:
        order = {name: number for number, name in enumerate(self.problems)}
        return iter(sorted(self.cells.items(), key=lambda item: (order[item[0].manifold], item[0].seed)))
