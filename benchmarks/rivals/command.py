"""The paper's rivals on one table: samples, reconstructions and densities at equal processor time.

For each data set and seed the spread flow is fitted first, with its defaults and without a word on K. Every other
system is then given the same rows in the same units, the true K where it is known or else the K that was found, and as
many processor seconds as the spread flow took; its learning rate follows the share that is spent. Numbers of each
system were tuned on sets made for it, see ``run.py rivals-tuning``.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from typing import Any

from rivals import picture, summary
from rivals.data_sets import DATA_SETS, FIRST, LATER
from rivals.methods import AT_EQUAL_TIME, LONGER, METHODS, OURS
from rivals.solving import Task, solve
from rivals.store import Store
from shared.cells import Cell
from shared.command import Command, Work
from shared.compared import Profile, add_options, known_sets, run_cells, tell, tell_what_is_left
from shared.workers import Failure

PROFILES = {
    "quick": Profile(("sine", "S-curve"), tuple(AT_EQUAL_TIME), (0,)),
    "first": Profile(FIRST, tuple(AT_EQUAL_TIME), (0, 1, 2)),
    "longer": Profile(FIRST, tuple(LONGER), (0,)),
    "full": Profile((*FIRST, *LATER), tuple(METHODS), (0, 1, 2)),
}


def _prepare(options: argparse.Namespace, command_line: str) -> Work:
    """Refuse unknown data sets, and files that hold something else."""
    profile = PROFILES[options.profile]
    data_sets = known_sets(options.sets or profile.data_sets, DATA_SETS)
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
    tell_what_is_left(store, cells)
    print(f"the results are in {store.path}, the table and the picture beside it")


def _run(store: Store, cells: Sequence[Cell], options: argparse.Namespace, command: str) -> None:
    """Fill the cells as far as time allows; the others are given as long as the spread flow took."""
    run_cells(
        store,
        cells,
        options,
        command,
        packages=("scikit-learn",),
        solve=solve,
        task_of=store.task,
        put=partial(_put, store),
    )


def _put(store: Store, task: Task, result: dict[str, Any] | Failure, shown: str) -> None:
    """Write a cell, and tell of it."""
    if isinstance(result, Failure):
        result = {"rank": task.rank, "failed": result.reason, "budget": round(task.seconds, 3)}
    store.put(task.cell, result)
    measures = result.get("measures", {})
    tell(task.cell, result, shown, {name: measures[name] for name in summary.HEADS if name in measures})


def _add_options(parser: argparse.ArgumentParser) -> None:
    add_options(
        parser,
        PROFILES,
        DATA_SETS,
        METHODS,
        profile_help="sine and S-curve, the first seven sets, these with more time for others, or all (default quick)",
        jobs=1,
        jobs_help="processes (default 1, so that times are equal)",
    )


COMMAND = Command("rivals", __doc__, _add_options, _prepare, resumes=True)
