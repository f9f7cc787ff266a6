"""Tuning of the rivals on sets made for it: one setting after the other, the best value of each kept.

The sets are random manifolds that no table reports, and each fit has the processor time that the spread flow takes on
sets of their size. A setting's score is the geometric mean of the held-out reconstruction error, the distance of
samples to the manifold and the error of the log-density on it, over the sets; what has no coordinates or no density on
the manifold is judged by what it has, see ``Rival.judged_by``. What came out is the default of the
rival's ``fit``, and the record has every fit.
"""

from __future__ import annotations

import argparse
import math
import sys
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from baselines.budgeted_training import Budget
from charts.data_set import split
from charts.measures import ERROR, reconstruction_error, rounded
from rivals.data_sets import TUNING, RivalSet
from rivals.measures import COVERAGE, DENSITY, DISTANCE, coverage, density_error, distance
from rivals.methods import AT_EQUAL_TIME
from shared import records
from shared.cells import Cell, CellFile
from shared.command import Command, Work
from shared.options import add_seeds

SECONDS = 10.0
"""Of the processor, for each fit: about what the spread flow takes on S-curve, torus and 5 in 20, 9.5 to 14."""

_WORST = 10.0
"""What counts in the place of a measure that is larger or not finite: a choice, so that one tail decides no value."""


def tune(store: CellFile, name: str, seed: int) -> dict[str, float]:
    """The best settings that the search ends at, and every fit in the store."""
    chosen = {setting: values[0] for setting, values in AT_EQUAL_TIME[name].tried.items()}
    for setting, values in AT_EQUAL_TIME[name].tried.items():
        scores = {value: _score(store, name, seed, {**chosen, setting: value}) for value in values}
        chosen[setting] = min(scores, key=scores.__getitem__)
        shown = ", ".join(f"{value:g}: {score:.4g}" for value, score in scores.items())
        print(f"{name}, {setting}: {shown}; {chosen[setting]:g} is taken", flush=True)
    return chosen


def _score(store: CellFile, name: str, seed: int, settings: Mapping[str, float]) -> float:
    """The geometric mean of the measures that it has over the sets whose manifold is known."""
    written = ", ".join([name, *(f"{setting} {value:g}" for setting, value in settings.items())])
    logs = []
    for known in TUNING.values():
        cell = Cell(seed, known.name, written)
        if cell not in store.cells:
            store.put(cell, _fitted(known, name, seed, settings))
        measures = store.cells[cell]["measures"]
        logs += [math.log(min(measures.get(one, _WORST), _WORST)) for one in AT_EQUAL_TIME[name].judged_by]
    return math.exp(sum(logs) / len(logs))


def _fitted(known: RivalSet, name: str, seed: int, settings: Mapping[str, float]) -> dict[str, Any]:
    """One fit, and what is measured of it; what fails or is not finite is left out."""
    rows, rank = split(known.data, seed), known.data.dimension or 1
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            rival = AT_EQUAL_TIME[name]
            model = rival.fit(rows.train, rank, seed, Budget(SECONDS), **rival.given(rows), **settings)
            asked: Mapping[str, Callable[[], float]] = {
                ERROR: lambda: reconstruction_error(model, rows),
                DISTANCE: lambda: distance(model, known, rows),
                DENSITY: lambda: density_error(model, known, rows),
                COVERAGE: lambda: coverage(model, rows),
            }
            found = {one: asked[one]() for one in rival.judged_by}
        except Exception as error:
            return {"measures": {}, "failed": f"{type(error).__name__}: {error}".splitlines()[0]}
    return {
        "measures": rounded({one: value for one, value in found.items() if math.isfinite(value)}),
        "notes": dict(model.notes),
    }


def _prepare(options: argparse.Namespace, command_line: str) -> Work:
    declared = {name: known.declaration() for name, known in TUNING.items()}
    head = {"experiment": "rivals-tuning", "seconds": SECONDS}
    store = CellFile(options.out / "rivals-tuning.json", head, declared, kind="sets")
    store.load()
    return partial(_run, store, options, command_line)


def _run(store: CellFile, options: argparse.Namespace, command_line: str) -> None:
    chosen = _chosen_before(store)
    store.begin(records.provenance(command_line))
    chosen |= {name: tune(store, name, options.seed[0]) for name in options.methods if AT_EQUAL_TIME[name].tried}
    store.write({"chosen": chosen})
    print(f"every fit is in {store.path}", file=sys.stderr)


def _chosen_before(store: CellFile) -> dict[str, dict[str, float]]:
    """What earlier runs ended at, by system."""
    summary = records.read(store.path)["summary"] if store.path.exists() else None
    return dict(summary["chosen"]) if summary else {}


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--methods", nargs="+", choices=AT_EQUAL_TIME, default=list(AT_EQUAL_TIME), metavar="NAME")
    add_seeds(parser, default=[0], of="rows, splits and trainings; the first is taken")


COMMAND = Command("rivals-tuning", __doc__, _add_options, _prepare, resumes=True)
