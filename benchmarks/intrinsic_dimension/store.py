"""The file of estimates on the manifolds of one setting."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from intrinsic_dimension.manifold_sets import Problem
from shared.cells import CellFile


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


class Store(CellFile):
    """The file of a setting: of each estimator on each manifold and seed the estimate, or why there is none, and times.

    Args:
        folder: where the file is or goes.
        setting: what its cells have in common.
        problems: all manifolds of the set, by name.
    """

    def __init__(self, folder: Path, setting: Setting, problems: dict[str, Problem]) -> None:
        super().__init__(
            folder / f"{setting.stem}.json",
            {
                "experiment": "intrinsic-dimension",
                "set": setting.which,
                "points": setting.points,
                "noise": setting.noise,
            },
            {
                name: {"features": problem.features, "dimension": problem.dimension}
                for name, problem in problems.items()
            },
            kind="manifolds",
        )
        self.setting, self.problems = setting, problems
