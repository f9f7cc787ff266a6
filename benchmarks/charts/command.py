"""Charts, what a dimension is for: error, neighbourhoods, samples and likelihood on held-out rows, beside others.

For each data set and seed the spread flow finds K, and every other method is given that K and the same rows in the
same units, centred and over one scale or over the deviation of each column; 80 % of the rows are fitted, 20 % are
measured. Without a result of the spread flow K is the true one where it is known, or else what neighbours say. Methods
and sets whose package is not installed are skipped: pip install 'nflows-spread[charts]'. MNIST and CIFAR-10 are read
from the folder that NFLOWS_SPREAD_DATA names.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from charts import picture, summary
from charts.data_sets import DATA_SETS, FIRST, QUICK
from charts.methods import FLODR, METHODS, MIXTURE, OURS, PACKAGES, PCA
from charts.solving import DRAWN, Task, solve
from charts.store import Store
from shared.cells import Cell
from shared.command import Command, Work
from shared.compared import Profile, add_options, known_sets, run_cells, tell, tell_what_is_left
from shared.workers import Failure

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
    tell_what_is_left(store, cells)
    print(f"the results are in {store.path} and the picture beside it")


def _run(store: Store, cells: Sequence[Cell], options: argparse.Namespace, command: str) -> None:
    """Fill the cells as far as time allows; the others are given the K that the spread flow finds."""
    run_cells(
        store,
        cells,
        options,
        command,
        packages=PACKAGES,
        solve=solve,
        task_of=lambda cell: Task(cell, store.rank(cell)),
        put=partial(_put, store),
    )


def _put(store: Store, task: Task, result: dict[str, Any] | Failure, shown: str) -> None:
    """Write a cell, and tell of it."""
    if isinstance(result, Failure):
        result = {"rank": task.rank, "failed": result.reason}
    if drawn := result.pop(DRAWN, None):
        np.savez_compressed(store.drawn, **drawn)
    store.put(task.cell, result)
    tell(task.cell, result, shown, result.get("measures", {}))


def _cells(options: argparse.Namespace) -> list[Cell]:
    """The cells that are asked for, seed by seed and set by set, so that a stopped run compares all."""
    profile = PROFILES[options.profile]
    data_sets = known_sets(options.sets or profile.data_sets, DATA_SETS)
    methods = options.methods or profile.methods
    asked = options.sets is not None or options.methods is not None
    return [
        Cell(seed, problem, method)
        for seed in options.seed or profile.seeds
        for problem in data_sets
        for method in methods
        if asked or method != FLODR or problem in FIRST
    ]


def _add_options(parser: argparse.ArgumentParser) -> None:
    add_options(
        parser,
        PROFILES,
        DATA_SETS,
        METHODS,
        profile_help=f"a few sets, or all, {FLODR}, which takes minutes a set, on {len(FIRST)} of them (default quick)",
        jobs=_cores(),
        jobs_help="processes (default: the cores)",
    )


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


COMMAND = Command("charts", __doc__, _add_options, _prepare, resumes=True)
