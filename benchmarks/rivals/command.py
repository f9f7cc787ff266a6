"""The paper's rivals on one table: samples, reconstructions and densities at equal processor time.

For each data set and seed the spread flow is fitted first, with its defaults and without a word on K. Every other
system is then given the same rows in the same units, the true K where it is known or else the K that was found, and as
many processor seconds as the spread flow took; its learning rate follows the share that is spent. Numbers of each
system were tuned on sets made for it, see ``run.py rivals-tuning``.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from rivals import picture, summary
from rivals.data_sets import DATA_SETS, FIRST, LATER
from rivals.methods import AT_EQUAL_TIME, LONGER, METHODS, OURS
from rivals.solving import Task, solve
from rivals.store import Store
from shared import records
from shared.cells import Cell
from shared.command import Command, Work
from shared.options import add_max_minutes, add_seeds, positive_int
from shared.workers import Failure, run_tasks


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


PROFILES = {
    "quick": Profile(("sine", "S-curve"), tuple(AT_EQUAL_TIME), (0,)),
    "first": Profile(FIRST, tuple(AT_EQUAL_TIME), (0, 1, 2)),
    "longer": Profile(FIRST, tuple(LONGER), (0,)),
    "full": Profile((*FIRST, *LATER), tuple(METHODS), (0, 1, 2)),
}


def _prepare(options: argparse.Namespace, command_line: str) -> Work:
    """Refuse unknown data sets, and files that hold something else."""
    profile = PROFILES[options.profile]
    data_sets = options.sets or profile.data_sets
    if unknown := [name for name in data_sets if name not in DATA_SETS]:
        raise ValueError(f"--sets must be of {', '.join(DATA_SETS)}; got {unknown[0]!r}")
    methods = dict.fromkeys((OURS, *(options.methods or profile.methods)))  # without its time nobody has a budget
    cells = [
        Cell(seed, problem, method)
        for seed in options.seed or profile.seeds
        for problem in data_sets
        for method in methods
    ]
    store = Store.open(options.out)
    return partial(_fill, store, cells, options, command_line)


def _fill(store: Store, cells: list[Cell], options: argparse.Namespace, command_line: str) -> None:
    """Fill the cells that are not there, then the table and the picture of all."""
    if options.fresh:
        store.forget(cells)
    if store.missing(cells):
        _run(store, cells, options, command_line)
    store.write(summary.as_json(store))
    found = summary.table(store)
    store.path.with_suffix(".md").write_text(found + "\n", encoding="utf-8")
    picture.draw(store.path.with_suffix(".png"), store)
    print(found)
    left = len(store.missing(cells))
    print(f"{left} of {len(cells)} cells are left for the same command to fill" if left else "all cells are there")
    print(f"the results are in {store.path}, the table and the picture beside it")


def _run(store: Store, cells: Sequence[Cell], options: argparse.Namespace, command: str) -> None:
    """Fill the cells as far as time allows, each written at once; set by set, and the spread flow first."""
    provenance = records.provenance(command, packages=("scikit-learn",))
    provenance["machine"] |= {"threads": int(os.environ.get("OMP_NUM_THREADS", "1")), "jobs": options.jobs}
    store.begin(provenance)
    until = math.inf if options.max_minutes is None else time.monotonic() + 60.0 * options.max_minutes
    for seed in dict.fromkeys(cell.seed for cell in cells):
        for is_ours in (True, False):
            part = [cell for cell in cells if cell.seed == seed and (cell.method == OURS) == is_ours]
            tasks = [task for cell in store.missing(part) if (task := store.task(cell)) is not None]
            results = run_tasks(
                solve,
                tasks,
                jobs=options.jobs,
                seconds_a_task=options.time_limit,
                seconds=max(0.0, until - time.monotonic()),
            )
            for done, (task, result) in enumerate(results, start=1):
                _put(store, task, result, f"{done}/{len(tasks)}")


def _put(store: Store, task: Task, result: dict[str, Any] | Failure, shown: str) -> None:
    """Write a cell, and tell of it."""
    if isinstance(result, Failure):
        result = {"rank": task.rank, "failed": result.reason, "budget": round(task.seconds, 3)}
    store.put(task.cell, result)
    cell, measures = task.cell, result.get("measures", {})
    said = result.get("failed") or result.get("skipped")
    if said is None:
        found = [f"{name} {measures[name]:.3g}" for name in summary.HEADS if name in measures]
        said = f"K {result['rank']}, {', '.join(found)}; {result['processor_seconds']:.1f} s"
    print(f"{shown} {cell.method} on {cell.problem}, seed {cell.seed}: {said}", file=sys.stderr, flush=True)


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--profile",
        choices=PROFILES,
        default="quick",
        help="sine and S-curve, the first seven sets, these with more time for the others, or all (default quick)",
    )
    parser.add_argument("--sets", nargs="+", metavar="NAME", help="of " + ", ".join(DATA_SETS).replace("%", "%%"))
    parser.add_argument("--methods", nargs="+", choices=METHODS, metavar="NAME", help="of " + ", ".join(METHODS))
    add_seeds(parser, default=None, of="in the place of the profile's, 0 or 0 1 2")
    parser.add_argument("--jobs", type=positive_int, default=1, help="processes (default 1, so that times are equal)")
    parser.add_argument("--time-limit", type=float, default=3600.0, help="seconds for one cell (default 3600)")
    add_max_minutes(parser, "stop after so long; what is there is kept")
    parser.add_argument("--fresh", action="store_true", help="fill cells again that are there")


COMMAND = Command("rivals", __doc__, _add_options, _prepare, resumes=True)
