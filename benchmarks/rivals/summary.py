"""Summary of the rivals: one table of the medians over seeds, and where the spread flow is at least as good."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from typing import Any

from charts.measures import ERROR, LIKELIHOOD, TRUST
from rivals.data_sets import DATA_SETS
from rivals.measures import COLUMNS, COVERAGE, DENSITY, DISTANCE, MEDIAN_DISTANCE, SUPPORTED_DISTANCE
from rivals.methods import METHODS, OURS
from rivals.store import Store
from shared.cells import Cell
from shared.tables import markdown

HEADS: Mapping[str, str] = {
    DISTANCE: "distance",
    MEDIAN_DISTANCE: "median distance",
    SUPPORTED_DISTANCE: "distance where rows are",
    COVERAGE: "coverage",
    ERROR: "reconstruction",
    DENSITY: "log-density off by",
    TRUST: "trustworthiness",
    LIKELIHOOD: "held-out likelihood",
}
"""Columns of measures; what they are is in ``rivals.measures.COLUMNS``."""

_LARGER_IS_BETTER = (TRUST, LIKELIHOOD)
_EVEN = 0.02
"""Share by which two errors or distances may differ and be even: a choice, below what seeds change."""


def values(store: Store, problem: str, method: str, name: str) -> list[float]:
    """A measure, or a number of the record, over the seeds that have one."""
    found = [store.cells.get(Cell(seed, problem, method), {}) for seed in sorted({cell.seed for cell in store.cells})]
    several = [_value(each, name) for each in found]
    return [one for one in several if one is not None and math.isfinite(one)]


def median(store: Store, problem: str, method: str, name: str) -> float | None:
    """Over the seeds that have a value."""
    several = values(store, problem, method, name)
    return statistics.median(several) if several else None


def table(store: Store) -> str:
    """The table in Markdown, and the reasons why cells are missing."""
    head = ["set", "true K", "system", "K", *HEADS.values(), "seconds", "parameters"]
    rows = [
        [problem, _true(problem), method, _ranks(store, problem, method), *_cells(store, problem, method)]
        for problem in DATA_SETS
        for method in METHODS
        if any((cell.problem, cell.method) == (problem, method) and "rank" in store.cells[cell] for cell in store.cells)
    ]
    told = [f"- {HEADS[name]}: {what}" for name, what in COLUMNS.items() if name in HEADS]
    parts = [markdown(head, rows), "\n".join(told), "\n".join(_said(store))]
    if reasons := _reasons(store):
        parts.append("\n".join(reasons))
    return "\n\n".join(parts)


def comparison(store: Store) -> dict[str, dict[str, dict[str, Any]]]:
    """For each measure, and each rival that finds no K: on which sets ours is at least as good, and on which not."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for name in HEADS:
        for method in METHODS:
            if method == OURS:
                continue
            compared = {
                problem: _at_least_as_good(name, ours, theirs)
                for problem in DATA_SETS
                if (ours := median(store, problem, OURS, name)) is not None
                and (theirs := median(store, problem, method, name)) is not None
            }
            if compared:
                worse = [problem for problem, good in compared.items() if not good]
                found.setdefault(name, {})[method] = {"sets": len(compared), "theirs_is_better_on": worse}
    return found


def as_json(store: Store) -> dict[str, Any]:
    """The summary for the file."""
    return {"medians": _medians(store), "ours_beside": comparison(store)}


def _medians(store: Store) -> dict[str, dict[str, dict[str, float]]]:
    """By set, system and measure, four digits."""
    return {problem: {method: _medians_of(store, problem, method) for method in METHODS} for problem in DATA_SETS}


def _medians_of(store: Store, problem: str, method: str) -> dict[str, float]:
    several = {name: median(store, problem, method, name) for name in HEADS}
    return {name: float(f"{one:.4g}") for name, one in several.items() if one is not None}


def _said(store: Store) -> list[str]:
    """The comparison in words, one line for each measure and rival."""
    lines = []
    for name, by_method in comparison(store).items():
        for method, found in by_method.items():
            worse, count = found["theirs_is_better_on"], found["sets"]
            better = f"; {method} is better on {', '.join(worse)}" if worse else ""
            good = f"the spread flow is at least as good as {method} on {count - len(worse)} of {count} sets"
            lines.append(f"- {HEADS[name]}: {good}{better}")
    return lines


def _at_least_as_good(name: str, ours: float, theirs: float) -> bool:
    if name in _LARGER_IS_BETTER:
        return ours >= theirs - 1e-3
    if name == COVERAGE:  # 1 is as the data
        ours, theirs = abs(math.log(ours)), abs(math.log(theirs))
        return ours <= theirs + _EVEN
    return ours <= theirs * (1.0 + _EVEN)


def _value(found: Mapping[str, Any], name: str) -> float | None:
    if name in ("processor_seconds", "rank"):
        return found.get(name)
    if name in ("parameters", "steps"):
        return found.get("notes", {}).get(name)
    return found.get("measures", {}).get(name)


def _cells(store: Store, problem: str, method: str) -> list[str]:
    names = (*HEADS, "processor_seconds", "parameters")
    return [_shown(median(store, problem, method, name), name) for name in names]


def _shown(one: float | None, name: str) -> str:
    if one is None:
        return "–"
    if name == "parameters":
        return f"{one:.0f}"
    if name == "processor_seconds":
        return f"{one:.1f}"
    return f"{one:.3f}" if abs(one) < 10 else f"{one:.1f}"


def _true(problem: str) -> str:
    dimension = DATA_SETS[problem].data.dimension
    return "–" if dimension is None else str(dimension)


def _ranks(store: Store, problem: str, method: str) -> str:
    """K over the seeds, "found" or "given", or that there is none."""
    if (how := METHODS[method].rank) == "none":
        return "–"
    ranks = dict.fromkeys(f"{one:.0f}" for one in values(store, problem, method, "rank"))
    return f"{'/'.join(ranks) or '–'} {how}"


def _reasons(store: Store) -> list[str]:
    """Why there is no fit, once for all sets of a system that have the same reason."""
    sets: dict[tuple[str, str], dict[str, None]] = {}
    for cell, found in sorted(store.cells.items()):
        if said := found.get("failed") or found.get("skipped"):
            sets.setdefault((cell.method, said), {})[cell.problem] = None
    return [f"- {method} on {', '.join(names)}: {said}" for (method, said), names in sets.items()]
