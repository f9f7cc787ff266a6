"""Intrinsic dimension: estimators on manifolds of others and of ours, and on real systems, of known dimension."""

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

from intrinsic_dimension import picture, summary
from intrinsic_dimension.answer import Answer
from intrinsic_dimension.classical import CLASSICAL
from intrinsic_dimension.estimators import ESTIMATORS, OURS, WITH_NUMPY_1, estimate, judged_again
from intrinsic_dimension.kept_estimates import KeptEstimates, from_plain, with_what_points_say
from intrinsic_dimension.manifold_sets import MANY_POINTS, PACKAGES, POINTS, SETS, Problem, problems
from intrinsic_dimension.store import Setting, Store
from shared import records
from shared.cells import Cell
from shared.command import Command, Work
from shared.options import add_max_minutes, add_seeds, non_negative, positive_int
from shared.workers import Failure, run_tasks

_CHEAP = ("TwoNN", "TwoNN by likelihood", "MLE", "GRIDE", "MiND_ML", "MOM", "CorrInt", "local lPCA")
_SIX = ("M1_Sphere", "M5b_Helix2d", "M7_Roll", "M9_Affine", "M13a_Scurve", "Mp1_Paraboloid")


@dataclass(frozen=True)
class Profile:
    """What runs where nothing else is said.

    Attributes:
        manifolds: of the benchmark set, or None for all.
        estimators: by name.
        seeds: of the points.
    """

    manifolds: Sequence[str] | None
    estimators: Sequence[str]
    seeds: Sequence[int]


PROFILES = {
    "quick": Profile(_SIX, (OURS, *CLASSICAL), (0,)),
    "cheap": Profile(None, (*_CHEAP, "largest gap", "CA-PCA"), (0, 1, 2)),
    "full": Profile(None, tuple(name for name in ESTIMATORS if name not in WITH_NUMPY_1), (0, 1, 2)),
}


@dataclass(frozen=True)
class Task:
    """A cell with all that a process needs to fill it."""

    cell: Cell
    setting: Setting


def _prepare(options: argparse.Namespace, command_line: str) -> Work:
    """Refuse unknown manifolds, and files that hold something else."""
    known = problems(options.set)
    cells = _cells(options, known)
    points = options.points or POINTS.get(options.set, MANY_POINTS)
    store = Store.open(options.out, Setting(options.set, points, options.noise), known)
    return partial(_fill, store, cells, options, command_line)


def _fill(store: Store, cells: list[Cell], options: argparse.Namespace, command_line: str) -> None:
    """Make the estimates that are not there, then the table and the picture of all."""
    kept = KeptEstimates(store.path)
    if options.judge_again:
        _judge_again(store, [cell for cell in cells if cell in kept.cells], kept, options, command_line)
    elif options.fresh:
        store.forget(cells)
    missing = [cell for cell in cells if cell not in store.cells]
    if missing and not options.judge_again:
        _run(store, missing, kept, options, command_line)
    store.write(summary.as_json(summary.summarise(store)))
    picture.draw(store.path.with_suffix(".png"), store)
    print(summary.table(store))
    left = sum(cell not in store.cells for cell in cells)
    print(
        f"{left} of {len(cells)} estimates are left for the same command to make" if left else "all estimates are there"
    )
    print(f"the results are in {store.path} and the picture beside it")


def solve(task: Task) -> dict[str, Any]:
    """Fill a cell; runs in a process of its own."""
    problem = problems(task.setting.which)[task.cell.problem]
    x = problem.sample(task.setting.points, seed=task.cell.seed, noise=task.setting.noise)
    began, began_processor = time.perf_counter(), time.process_time()
    answer = estimate(task.cell.method, x, seed=task.cell.seed)
    seconds, processor_seconds = time.perf_counter() - began, time.process_time() - began_processor
    found = {"seconds": round(seconds, 3), "processor_seconds": round(processor_seconds, 3), **_said(answer)}
    return {**found, "kept": dict(answer.kept)}


def _said(answer: Answer) -> dict[str, Any]:
    """An answer for the file."""
    found: dict[str, Any] = {"estimate": round(answer.estimate, 4)}
    if not math.isfinite(answer.estimate):
        found |= {"estimate": None, "failed": "the estimate is not finite"}
    if answer.interval is not None:
        found["interval"] = list(answer.interval)
    if answer.others:
        found["others"] = dict(answer.others)
    return found


def _judge_again(
    store: Store, cells: Sequence[Cell], kept: KeptEstimates, options: argparse.Namespace, command: str
) -> None:
    """Replace what was said of kept estimates by what today's rules say of them."""
    _begin(store, options, command)
    for cell in cells:
        setting = store.setting
        x = store.problems[cell.problem].sample(setting.points, seed=cell.seed, noise=setting.noise)
        estimates = with_what_points_say(from_plain(kept.cells[cell]), x, seed=cell.seed)
        answer = judged_again(estimates, setting.points)
        store.put(cell, {**store.cells.get(cell, {}), **_said(answer)})


def _begin(store: Store, options: argparse.Namespace, command: str) -> None:
    packages = ["scikit-dimension", *PACKAGES.get(options.set, ())]
    if set(options.estimators or ()) & set(WITH_NUMPY_1):
        packages += ["dadapy", "numpy"]
    store.begin(records.provenance(command, packages=packages, jobs=options.jobs))


def _run(store: Store, cells: Sequence[Cell], kept: KeptEstimates, options: argparse.Namespace, command: str) -> None:
    """Fill the cells as far as time allows, each written as soon as it is there."""
    _begin(store, options, command)
    results = run_tasks(
        solve,
        [Task(cell, store.setting) for cell in cells],
        jobs=options.jobs,
        seconds_a_task=options.time_limit,
        seconds=math.inf if options.max_minutes is None else 60.0 * options.max_minutes,
    )
    for done, (task, result) in enumerate(results, start=1):
        cell = task.cell
        if isinstance(result, Failure):
            result = {"estimate": None, "failed": result.reason}
        if whole := result.pop("kept", None):
            kept.put(cell, whole)
        store.put(cell, result)
        shown = result.get("failed") or f"{result['estimate']:g} in {result['seconds']:.1f} s"
        print(
            f"{done}/{len(cells)} {cell.method} on {cell.problem}, seed {cell.seed}: {shown}; "
            f"truth {store.problems[cell.problem].dimension}",
            file=sys.stderr,
            flush=True,
        )


def _cells(options: argparse.Namespace, known: dict[str, Problem]) -> list[Cell]:
    """The estimates that are asked for, seed by seed and manifold by manifold, so that a stopped run compares all."""
    profile = PROFILES[options.profile]
    manifolds = options.manifolds or (profile.manifolds if options.set == "benchmark" else None) or list(known)
    estimators, seeds = options.estimators or profile.estimators, options.seed or profile.seeds
    unknown = [name for name in manifolds if name not in known]
    if unknown:
        raise ValueError(f"--manifolds must be of the set {options.set}, {', '.join(known)}; got {unknown[0]!r}")
    return [Cell(seed, manifold, name) for seed in seeds for manifold in manifolds for name in estimators]


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--profile",
        choices=PROFILES,
        default="quick",
        help="six manifolds, or all (default quick); cheap: all, by what takes a second",
    )
    parser.add_argument("--set", choices=SETS, default="benchmark", help="which manifolds (default benchmark)")
    parser.add_argument(
        "--points", type=positive_int, help="points of each manifold (default 2000; geomle as published, 1000)"
    )
    parser.add_argument(
        "--noise",
        type=non_negative,
        default=0.0,
        help="ambient Gaussian noise, as a share of the data's scale (default 0)",
    )
    add_seeds(parser, default=None, of="in the place of the profile's, 0 or 0 1 2")
    parser.add_argument(
        "--estimators", nargs="+", choices=ESTIMATORS, metavar="NAME", help="of " + ", ".join(ESTIMATORS)
    )
    parser.add_argument("--manifolds", nargs="+", metavar="NAME", help="of the set")
    parser.add_argument("--jobs", type=positive_int, default=_cores(), help="processes (default: the cores)")
    parser.add_argument("--time-limit", type=float, default=600.0, help="seconds for one estimate (default 600)")
    add_max_minutes(parser, "stop after so long; what is there is kept")
    parser.add_argument("--fresh", action="store_true", help="make estimates again that are there")
    parser.add_argument(
        "--judge-again", action="store_true", help="by today's rules the estimates that fits have left, without a fit"
    )


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


COMMAND = Command("intrinsic-dimension", __doc__, _add_options, _prepare, resumes=True)
