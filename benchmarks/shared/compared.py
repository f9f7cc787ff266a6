"""A comparison of methods on data sets, cell by cell: ours first, as the others are given what it has found."""

from __future__ import annotations

import argparse
import math
import sys
import time
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from shared import records
from shared.cells import Cell, CellFile
from shared.options import add_max_minutes, add_seeds, positive_int
from shared.workers import Failure, run_tasks

Task = TypeVar("Task")


@dataclass(frozen=True)
class Profile:
    """What runs where nothing else is said.

    Attributes:
        data_sets: by name.
        methods: by name.
        seeds: of rows, splits and trainings.
    """

    data_sets: Sequence[str]
    methods: Sequence[str]
    seeds: Sequence[int]


class ComparedFile(CellFile):
    """A file of cells of which one method's come first.

    Attributes:
        ours: the name of that method.
    """

    ours: str

    def of_ours(self, cell: Cell) -> dict[str, Any]:
        """What ours found on the rows of a cell; nothing where it was not asked."""
        return self.cells.get(Cell(cell.seed, cell.problem, self.ours), {})

    def missing(self, cells: Iterable[Cell]) -> list[Cell]:
        """Those that are not there, that were skipped, or that were given something else than ours has found since."""
        return [cell for cell in cells if not self._is_there(cell)]

    def _is_there(self, cell: Cell) -> bool:
        found = self.cells.get(cell)
        if found is None or "skipped" in found:
            return False
        return cell.method == self.ours or self._is_current(cell, found)

    @abstractmethod
    def _is_current(self, cell: Cell, found: Mapping[str, Any]) -> bool:
        """Whether a cell of another method was given what ours has found."""


def known_sets(names: Sequence[str], known: Collection[str]) -> Sequence[str]:
    """The names, if all are those of data sets, else ``ValueError``."""
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"--sets must be of {', '.join(known)}; got {unknown[0]!r}")
    return names


def run_cells(
    store: ComparedFile,
    cells: Sequence[Cell],
    options: argparse.Namespace,
    command: str,
    *,
    packages: Iterable[str],
    solve: Callable[[Task], dict[str, Any]],
    task_of: Callable[[Cell], Task | None],
    put: Callable[[Task, dict[str, Any] | Failure, str], None],
) -> None:
    """Fill the cells that are missing as far as time allows, each written at once.

    Args:
        store: what to fill.
        cells: that are asked for.
        options: those of ``add_options``.
        command: that makes the same again.
        packages: whose versions matter.
        solve: a function that another process can import.
        task_of: what it needs for a cell, or None where that is not known.
        put: writes the result of a task, and tells of it.
    """
    store.begin(records.provenance(command, packages=packages, jobs=options.jobs))
    until = math.inf if options.max_minutes is None else time.monotonic() + 60.0 * options.max_minutes
    for seed in dict.fromkeys(cell.seed for cell in cells):
        for is_ours in (True, False):
            part = [cell for cell in cells if cell.seed == seed and (cell.method == store.ours) == is_ours]
            tasks = [task for cell in store.missing(part) if (task := task_of(cell)) is not None]
            results = run_tasks(
                solve,
                tasks,
                jobs=options.jobs,
                seconds_a_task=options.time_limit,
                seconds=max(0.0, until - time.monotonic()),
            )
            for done, (task, result) in enumerate(results, start=1):
                put(task, result, f"{done}/{len(tasks)}")


def tell(cell: Cell, result: Mapping[str, Any], shown: str, measures: Mapping[str, float]) -> None:
    """A line about a cell: why it has no answer, or K, some measures and its time."""
    said = result.get("failed") or result.get("skipped")
    if said is None:
        found = [f"{name} {value:.3g}" for name, value in measures.items()]
        said = f"K {result['rank']}, {', '.join(found)}; {result['processor_seconds']:.1f} s"
    print(f"{shown} {cell.method} on {cell.problem}, seed {cell.seed}: {said}", file=sys.stderr, flush=True)


def tell_what_is_left(store: ComparedFile, cells: Sequence[Cell]) -> None:
    """Whether the same command has something to go on with."""
    left = len(store.missing(cells))
    print(f"{left} of {len(cells)} cells are left for the same command to fill" if left else "all cells are there")


def add_options(
    parser: argparse.ArgumentParser,
    profiles: Collection[str],
    data_sets: Collection[str],
    methods: Collection[str],
    *,
    profile_help: str,
    jobs: int,
    jobs_help: str,
) -> None:
    """Those that every comparison has."""
    parser.add_argument("--profile", choices=profiles, default="quick", help=profile_help)
    parser.add_argument("--sets", nargs="+", metavar="NAME", help="of " + ", ".join(data_sets).replace("%", "%%"))
    parser.add_argument("--methods", nargs="+", choices=methods, metavar="NAME", help="of " + ", ".join(methods))
    add_seeds(parser, default=None, of="in the place of the profile's, 0 or 0 1 2")
    parser.add_argument("--jobs", type=positive_int, default=jobs, help=jobs_help)
    parser.add_argument("--time-limit", type=float, default=3600.0, help="seconds for one cell (default 3600)")
    add_max_minutes(parser, "stop after so long; what is there is kept")
    parser.add_argument("--fresh", action="store_true", help="fill cells again that are there")
