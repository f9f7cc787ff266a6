"""One cell of the chart benchmark: a method fitted to the training rows of a data set, and measured on the others."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from charts.data_set import DataSet, Split, split
from charts.data_sets import DATA_SETS, ROLL
from charts.measures import measure, rounded
from charts.methods import METHODS, OURS
from charts.model import Model, NoAnswerError
from nflows_spread.dimension import neighbour_dimension
from shared.cells import Cell

DRAWN = "drawn"
"""Of the picture's cell: points, which go into a file of their own."""

FOUND, KNOWN, NEIGHBOURS = "spread flow", "the set", "neighbours"
"""Where K is from."""


@dataclass(frozen=True)
class Task:
    """A cell with what a process needs to fill it.

    Attributes:
        cell: which.
        rank: K that the spread flow has found on the same rows, or None where it has not been asked.
    """

    cell: Cell
    rank: int | None


def solve(task: Task) -> dict[str, Any]:
    """Fill a cell; runs in a process of its own.

    Returns:
        ``rank`` and where it is from, ``measures``, why others are ``missing``, and times; ``failed`` with the reason
        where there is no fit, and ``skipped`` where a package or the data is not there.
    """
    cell, data, method = task.cell, DATA_SETS[task.cell.problem], METHODS[task.cell.method]
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            rows = split(data, cell.seed)
            method.load()
        except ModuleNotFoundError as error:
            return {"skipped": f"not installed: {error.name}"}
        except (FileNotFoundError, ImportError) as error:
            return {"skipped": str(error)}
        warnings.simplefilter("ignore")  # an import may have changed it
        rank, source = _rank(task, data, rows)
        found: dict[str, Any] = {"rows": len(rows.train), "features": rows.train.shape[1]}
        began, began_processor = time.perf_counter(), time.process_time()
        try:
            model = method.fit(rows.train, rank, cell.seed)
        except NoAnswerError as error:
            return {**found, "rank": rank, "rank_from": source, "failed": str(error)}
        found |= _times(began, began_processor)
        began, began_processor = time.perf_counter(), time.process_time()
        measured = measure(model, data, rows)
        return {
            **found,
            "rank": model.rank,
            "rank_from": source,
            "measures": rounded(measured.values),
            "missing": dict(measured.missing),
            **{f"measuring_{name}": value for name, value in _times(began, began_processor).items()},
            **({"notes": dict(model.notes)} if model.notes else {}),
            **({DRAWN: _drawn(model, rows)} if (cell.problem, cell.method) == (ROLL, OURS) else {}),
        }


def _rank(task: Task, data: DataSet, rows: Split) -> tuple[int, str]:
    """K that all methods are given: what the spread flow has found; without it the truth, or what neighbours say."""
    if task.rank is not None:
        return task.rank, FOUND
    if task.cell.method == OURS:
        return 0, FOUND  # it finds its own
    if data.dimension is not None:
        return data.dimension, KNOWN
    said = neighbour_dimension(torch.as_tensor(rows.train)).value
    return min(max(1, round(said)), rows.train.shape[1]), NEIGHBOURS


def _times(began: float, began_processor: float) -> dict[str, float]:
    return {
        "seconds": round(time.perf_counter() - began, 3),
        "processor_seconds": round(time.process_time() - began_processor, 3),
    }


def _drawn(model: Model, rows: Split) -> dict[str, Any]:
    """Rows, their coordinates, and samples, for the picture."""
    if model.encode is None or model.sample is None:
        return {}
    return {
        "x": rows.all.astype(np.float32),
        "coordinates": np.asarray(model.encode(rows.all), dtype=np.float32),
        "samples": np.asarray(model.sample(len(rows.all)), dtype=np.float32),
    }
