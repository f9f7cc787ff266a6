"""Intrinsic dimension: all estimators on the 24 manifolds of scikit-dimension, or on 30 held-out ones."""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from intrinsic_dimension import picture, summary
from intrinsic_dimension.estimators import CLASSICAL, ESTIMATORS, OURS, estimate
from intrinsic_dimension.problems import SETS, Problem, problems
from intrinsic_dimension.store import Cell, Setting, Store
from intrinsic_dimension.workers import Failure, run_tasks
from shared import records
from shared.options import minutes

NAME = "intrinsic-dimension"
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
    "full": Profile(None, tuple(ESTIMATORS), (0, 1, 2)),
}


@dataclass(frozen=True)
class Task:
    """A cell with all that a process needs to fill it."""

    cell: Cell
    setting: Setting


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, run, show. Returns the exit status: 0, or 2 for arguments that cannot be followed."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    parser = _parser()
    options = parser.parse_args(given)
    setting = Setting(options.set, options.points, options.noise)
    try:
        known = problems(options.set)
        cells = _cells(options, known)
        options.out.mkdir(parents=True, exist_ok=True)
        store = Store.open(options.out, setting, known)
    except ModuleNotFoundError as error:
        parser.error(f"the benchmark needs {error.name}: pip install 'nflows-spread[bench]'")
    except (ValueError, OSError) as error:
        parser.error(str(error))
    if options.fresh:
        store.forget(cells)
    missing = [cell for cell in cells if cell not in store.cells]
    if missing:
        _run(store, missing, options, records.command_line(NAME, given))
    store.write(summary.as_json(summary.summarise(store)))
    picture.draw(store.path.with_suffix(".png"), store)
    print(summary.table(store))
    left = sum(cell not in store.cells for cell in cells)
    print(
        f"{left} of {len(cells)} estimates are left for the same command to make" if left else "all estimates are there"
    )
    print(f"the results are in {store.path} and the picture beside it")
    return 0


def solve(task: Task) -> dict[str, Any]:
    """Fill a cell; runs in a process of its own."""
    problem = problems(task.setting.which)[task.cell.manifold]
    x = problem.sample(task.setting.points, seed=task.cell.seed, noise=task.setting.noise)
    began, began_processor = time.perf_counter(), time.process_time()
    answer = estimate(task.cell.estimator, x, seed=task.cell.seed)
    seconds, processor_seconds = time.perf_counter() - began, time.process_time() - began_processor
    found: dict[str, Any] = {
        "estimate": round(answer.estimate, 4),
        "seconds": round(seconds, 3),
        "processor_seconds": round(processor_seconds, 3),
    }
    if not math.isfinite(answer.estimate):
        found |= {"estimate": None, "failed": "the estimate is not finite"}
    if answer.others:
        found["others"] = dict(answer.others)
    return found


def _run(store: Store, cells: Sequence[Cell], options: argparse.Namespace, command: str) -> None:
    """Fill the cells as far as time allows, each written as soon as it is there."""
    provenance = records.provenance(command)
    provenance["versions"]["scikit-dimension"] = version("scikit-dimension")
    provenance["machine"] |= {"threads": int(os.environ.get("OMP_NUM_THREADS", "1")), "jobs": options.jobs}
    store.begin(provenance)
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
        store.put(cell, result)
        shown = result.get("failed") or f"{result['estimate']:g} in {result['seconds']:.1f} s"
        print(
            f"{done}/{len(cells)} {cell.estimator} on {cell.manifold}, seed {cell.seed}: {shown}; "
            f"truth {store.problems[cell.manifold].dimension}",
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"run.py {NAME}",
        description=__doc__,
        epilog="A run that is interrupted or stopped goes on when the same command is given again.",
    )
    parser.add_argument("--profile", choices=PROFILES, default="quick", help="six manifolds, or all (default quick)")
    parser.add_argument("--set", choices=SETS, default="benchmark", help="which manifolds (default benchmark)")
    parser.add_argument("--points", type=_positive_int, default=2000, help="points of each manifold (default 2000)")
    parser.add_argument(
        "--noise", type=_share, default=0.0, help="ambient Gaussian noise, as a share of the data's scale (default 0)"
    )
    parser.add_argument("--seed", type=int, nargs="+", help="in the place of the profile's, 0 or 0 1 2")
    parser.add_argument(
        "--estimators", nargs="+", choices=ESTIMATORS, metavar="NAME", help="of " + ", ".join(ESTIMATORS)
    )
    parser.add_argument("--manifolds", nargs="+", metavar="NAME", help="of the set")
    parser.add_argument("--jobs", type=_positive_int, default=_cores(), help="processes (default: the cores)")
    parser.add_argument("--time-limit", type=float, default=600.0, help="seconds for one estimate (default 600)")
    parser.add_argument("--max-minutes", type=minutes, help="stop after so long; what is there is kept")
    parser.add_argument("--fresh", action="store_true", help="make estimates again that are there")
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parents[1] / "results", help="folder for the results"
    )
    return parser


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _positive_int(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {text}")
    return number


def _share(text: str) -> float:
    number = float(text)
    if not 0.0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"must be a finite number of at least 0, got {text}")
    return number
