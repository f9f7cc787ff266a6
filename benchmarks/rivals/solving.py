"""One cell of the benchmark of rivals: a system fitted within the spread flow's processor time, and measured."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from baselines.budgeted_training import Budget
from charts.data_set import split
from charts.measures import rounded
from charts.model import NoAnswerError
from rivals.data_sets import DATA_SETS, TUNING
from rivals.measures import measure_rival
from rivals.methods import METHODS
from shared.cells import Cell


@dataclass(frozen=True)
class Task:
    """A cell with what a process needs to fill it.

    Attributes:
        cell: which.
        rank: K that the spread flow has found on the same rows, for data whose dimension is not known.
        seconds: of the processor, for all but the spread flow.
        settings: of the system, in the place of its defaults.
    """

    cell: Cell
    rank: int
    seconds: float
    settings: Mapping[str, Any] = field(default_factory=dict)


def solve(task: Task) -> dict[str, Any]:
    """Fill a cell; runs in a process of its own.

    Returns:
        ``rank``, ``given_rank``, ``budget``, ``measures``, why others are ``missing``, times and ``notes``; ``failed``
        with the reason where there is no fit, and ``skipped`` where a package or the data is not there.
    """
    known, rival = {**DATA_SETS, **TUNING}[task.cell.problem], METHODS[task.cell.method]
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            rows = split(known.data, task.cell.seed)
        except ModuleNotFoundError as error:
            return {"skipped": f"not installed: {error.name}"}
        except (FileNotFoundError, ImportError) as error:
            return {"skipped": str(error)}
        warnings.simplefilter("ignore")  # an import may have changed it
        rank = known.data.dimension or task.rank
        found: dict[str, Any] = {"rows": len(rows.train), "features": rows.train.shape[1]}
        if rival.rank == "given":
            found["given_rank"] = rank
        if rival.rank != "found":
            found["budget"] = round(task.seconds, 3)
        began, began_processor = time.perf_counter(), time.process_time()
        try:
            given = {**rival.given(rows), **task.settings}
            model = rival.fit(rows.train, rank, task.cell.seed, Budget(rival.times * task.seconds), **given)
        except NoAnswerError as error:
            return {**found, "rank": rank, "failed": str(error)}
        found |= {
            "seconds": round(time.perf_counter() - began, 3),
            "processor_seconds": round(time.process_time() - began_processor, 3),
        }
        measured = measure_rival(model, known, rows)
        return {
            **found,
            "rank": model.rank,
            "measures": rounded(measured.values),
            "missing": dict(measured.missing),
            "notes": dict(model.notes),
        }
