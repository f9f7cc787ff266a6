"""Charts, what a dimension is for: error, neighbourhoods, samples and likelihood on held-out rows, beside others.

For each data set and seed the spread flow finds K, and every other method is given that K and the same rows in the
same units, centred and over one scale or over the deviation of each column; 80 % of the rows are fitted, 20 % are
measured. Without a result of the spread flow K is the true one where it is known, or else what neighbours say. Methods
and sets whose package is not installed are skipped: pip install 'nflows-spread[charts]'. MNIST and CIFAR-10 are read
from the folder that NFLOWS_SPREAD_DATA names.
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

import numpy as np

from charts import picture, summary
from charts.data_sets import DATA_SETS, FIRST, QUICK
from charts.methods import FLODR, METHODS, MIXTURE, OURS, PACKAGES, PCA
from charts.solving import DRAWN, Task, solve
from charts.store import Store
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
    "quick": Profile(QUICK, (OURS, PCA, "Isomap", "autoencoder", MIXTURE), (0,)),
    "full": Profile(tuple(DATA_SETS), tuple(METHODS), (0, 1, 2)),
}


def _prepare(options: argparse.Namespace, command_line: str) -> Work:
    """Refuse unknown data sets, and files that hold something else."""
    cells = _cells(options)
    store = Store.open(options.out)
    return partial(_fill, store, cells, options, command_line)


def _fill(store: Store, cells: list[Cell], options: argparse.Namespace, command_line: str) -> None:
    """Fill the cells that are not there, then the table and the picture of all."""
    if options.fresh:
        store.forget(cells)
    if store.missing(cells):
        _run(store, cells, options, command_line)
    store.write(summary.as_json(store))
    picture.draw(store.path.with_suffix(".png"), store)
    print(summary.table(store))
    left = len(store.missing(cells))
    print(f"{left} of {len(cells)} cells are left for the same command to fill" if left else "all cells are there")
    print(f"the results are in {store.path} and the picture beside it")


def _run(store: Store, cells: Sequence[Cell], options: argparse.Namespace, command: str) -> None:
    """Fill the cells as far as time allows, each written at once; seed by seed, and the spread flow first."""
    provenance = records.provenance(command, packages=PACKAGES)
    provenance["machine"] |= {"threads": int(os.environ.get("OMP_NUM_THREADS", "1")), "jobs": options.jobs}
    store.begin(provenance)
    until = math.inf if options.max_minutes is None else time.monotonic() + 60.0 * options.max_minutes
    for seed in dict.fromkeys(cell.seed for cell in cells):
        for first in (True, False):  # the others are given the K that it finds
            part = [cell for cell in cells if cell.seed == seed and (cell.method == OURS) == first]
            tasks = [Task(cell, store.rank(cell)) for cell in store.missing(part)]
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
        result = {"rank": task.rank, "failed": result.reason}
    if drawn := result.pop(DRAWN, None):
        np.savez_compressed(store.drawn, **drawn)
    store.put(task.cell, result)
    cell, measures = task.cell, result.get("measures", {})
    said = result.get("failed") or result.get("skipped")
    if said is None:
        found = [f"{name} {value:.3g}" for name, value in measures.items()]
        said = f"K {result['rank']}, {', '.join(found)}; {result['processor_seconds']:.1f} s"
    print(f"{shown} {cell.method} on {cell.problem}, seed {cell.seed}: {said}", file=sys.stderr, flush=True)


def _cells(options: argparse.Namespace) -> list[Cell]:
    """The cells that are asked for, seed by seed and set by set, so that a stopped run compares all."""
    profile = PROFILES[options.profile]
    data_sets, methods = options.sets or profile.data_sets, options.methods or profile.methods
    unknown = [name for name in data_sets if name not in DATA_SETS]
    if unknown:
        raise ValueError(f"--sets must be of {', '.join(DATA_SETS)}; got {unknown[0]!r}")
    asked = options.sets is not None or options.methods is not None
    return [
        Cell(seed, problem, method)
        for seed in options.seed or profile.seeds
        for problem in data_sets
        for method in methods
        if asked or method != FLODR or problem in FIRST
    ]


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--profile",
        choices=PROFILES,
        default="quick",
        help=f"a few sets, or all, {FLODR}, which takes minutes a set, on {len(FIRST)} of them (default quick)",
    )
    parser.add_argument("--sets", nargs="+", metavar="NAME", help="of " + ", ".join(DATA_SETS).replace("%", "%%"))
    parser.add_argument("--methods", nargs="+", choices=METHODS, metavar="NAME", help="of " + ", ".join(METHODS))
    add_seeds(parser, default=None, of="in the place of the profile's, 0 or 0 1 2")
    parser.add_argument("--jobs", type=positive_int, default=_cores(), help="processes (default: the cores)")
    parser.add_argument("--time-limit", type=float, default=3600.0, help="seconds for one cell (default 3600)")
    add_max_minutes(parser, "stop after so long; what is there is kept")
    parser.add_argument("--fresh", action="store_true", help="fill cells again that are there")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


COMMAND = Command("charts", __doc__, _add_options, _prepare, resumes=True)
