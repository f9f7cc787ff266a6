"""Summary of the charts: the median over seeds of each measure, and how often a method does what it should."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from charts.data_sets import DATA_SETS
from charts.measures import BEYOND, ERROR, LIKELIHOOD, MEASURES, NEAREST, SPREAD, TRUST
from charts.methods import METHODS, MIXTURE, OURS, PCA
from charts.store import Store
from shared.cells import Cell
from shared.tables import aligned

SECONDS = "processor seconds"
COLUMNS: Mapping[str, str] = {**MEASURES, SECONDS: "processor seconds of the fit, one thread"}

NEAR, WIDE = 1.3, 0.15
"""What samples should keep: the ratio of nearest distances at most, and how far the deviation of a column may be off;
both from the issue of this benchmark."""

ASKED: Mapping[str, tuple[float, float]] = {
    **dict.fromkeys(("S-curve", "swiss roll", "swiss roll in 10"), (0.05, 0.99)),
    "smooth 5 in 20": (0.08, 0.99),
}
"""Error at most, and trustworthiness at least, that the issue of this benchmark asks for."""

_SLACK = 1e-3
"""Differences of errors and trustworthiness up to which two methods are even: the last digit of a table."""


def value(found: Mapping[str, Any], name: str) -> float | None:
    """A measure of one cell, or None."""
    if name == SECONDS:
        one: float | None = found.get("processor_seconds")
        return one
    measured: float | None = found.get("measures", {}).get(name)
    return measured


def medians(store: Store, name: str) -> dict[str, dict[str, float]]:
    """The median over the seeds that have a value, by method and data set, in the order of both lists."""
    values: dict[tuple[str, str], list[float]] = {}
    for cell, found in store.cells.items():
        one = value(found, name)
        if one is not None and math.isfinite(one):
            values.setdefault((cell.method, cell.problem), []).append(one)
    return {
        method: {
            problem: statistics.median(values[method, problem]) for problem in DATA_SETS if (method, problem) in values
        }
        for method in METHODS
        if any(method == key[0] for key in values)
    }


def kept(store: Store) -> dict[str, str]:
    """How many cells do what a chart should, seed by seed, "17 of 20"."""
    return {name: _count(store, ok) for name, ok in _CRITERIA.items()}


def as_json(store: Store) -> dict[str, Any]:
    """The summary for the file."""
    return {
        "criteria": kept(store),
        **{
            name: {
                method: {problem: float(f"{one:.4g}") for problem, one in by_set.items()}
                for method, by_set in medians(store, name).items()
            }
            for name in COLUMNS
        },
    }


def table(store: Store) -> str:
    """One table for each measure, sets by methods, the criteria, and why cells are missing."""
    parts = [part for name in COLUMNS if (part := _table_of(store, name))]
    criteria = [[name, count] for name, count in kept(store).items()]
    parts.append(aligned([["of all cells of the spread flow", ""], *criteria]))
    reasons = _reasons(store)
    if reasons:
        parts.append("missing:\n" + "\n".join(reasons))
    return "\n\n".join(parts)


def ranks(store: Store, problem: str) -> str:
    """K of the spread flow on a set, over the seeds."""
    found = [store.rank(cell) for cell in sorted(store.cells) if cell.problem == problem and cell.method == OURS]
    distinct = list(dict.fromkeys(str(rank) for rank in found if rank is not None))
    return "/".join(distinct) or "–"


def _table_of(store: Store, name: str) -> str:
    by_method = medians(store, name)
    problems = [problem for problem in DATA_SETS if any(problem in by_set for by_set in by_method.values())]
    if not problems:
        return ""
    body = [["", "true K", "K", *by_method]]
    for problem in problems:
        true = DATA_SETS[problem].dimension
        cells = [_shown(by_set.get(problem)) for by_set in by_method.values()]
        body.append([problem, "–" if true is None else str(true), ranks(store, problem), *cells])
    return f"{COLUMNS[name]}\n{aligned(body, right=True)}"


def _shown(one: float | None) -> str:
    return "–" if one is None else f"{one:.3f}" if abs(one) < 10 else f"{one:.1f}"


def _reasons(store: Store) -> list[str]:
    """Why there is nothing, once for all sets of a method that have the same reason."""
    sets: dict[tuple[str, str], list[str]] = {}
    for cell, found in sorted(store.cells.items()):
        said = found.get("failed") or found.get("skipped")
        if said:
            names = sets.setdefault((cell.method, said), [])
            names += [cell.problem] if cell.problem not in names else []
    return [f"{method} on {', '.join(names)}: {said}" for (method, said), names in sets.items()]


def _count(store: Store, ok: Callable[[Store, Cell], bool | None]) -> str:
    answers = [ok(store, cell) for cell in store.cells if cell.method == OURS]
    asked: Sequence[bool] = [answer for answer in answers if answer is not None]
    return f"{sum(asked)} of {len(asked)}"


def _beside(store: Store, cell: Cell, name: str, method: str) -> tuple[float | None, float | None]:
    """A measure of the spread flow's cell, and of another method on the same rows."""
    other = store.cells.get(Cell(cell.seed, cell.problem, method), {})
    return value(store.cells[cell], name), value(other, name)


def _as_asked(store: Store, cell: Cell) -> bool | None:
    if cell.problem not in ASKED:
        return None
    (error, trust), found = ASKED[cell.problem], store.cells[cell]
    ours = value(found, ERROR), value(found, TRUST)
    return ours[0] is not None and ours[1] is not None and ours[0] <= error and ours[1] >= trust


def _error_below_pca(store: Store, cell: Cell) -> bool | None:
    ours, theirs = _beside(store, cell, ERROR, PCA)
    return None if ours is None or theirs is None else ours <= theirs + _SLACK


def _trust_above_pca(store: Store, cell: Cell) -> bool | None:
    ours, theirs = _beside(store, cell, TRUST, PCA)
    return None if ours is None or theirs is None else ours >= theirs - _SLACK


def _likelier_than_the_mixture(store: Store, cell: Cell) -> bool | None:
    ours, theirs = _beside(store, cell, LIKELIHOOD, MIXTURE)
    return None if ours is None or theirs is None else ours > theirs


def _of_real_samples(name: str, ok: Callable[[float], bool]) -> Callable[[Store, Cell], bool | None]:
    """A condition on samples, asked of standardized real data."""

    def asked(store: Store, cell: Cell) -> bool | None:
        data, one = DATA_SETS[cell.problem], value(store.cells[cell], name)
        return None if one is None or not (data.real and data.standardize) else ok(one)

    return asked


_CRITERIA: Mapping[str, Callable[[Store, Cell], bool | None]] = {
    f"error and trustworthiness on {', '.join(ASKED)}": _as_asked,
    "error not above that of PCA": _error_below_pca,
    "trustworthiness not below that of PCA": _trust_above_pca,
    f"samples of standardized real data: nearest at most {NEAR:g}": _of_real_samples(NEAREST, lambda r: r <= NEAR),
    f"samples of standardized real data: every column within {WIDE:.0%}": _of_real_samples(
        SPREAD, lambda r: abs(r - 1.0) <= WIDE
    ),
    "samples of standardized real data: none beyond the range": _of_real_samples(BEYOND, lambda r: r == 0.0),
    "held-out likelihood above that of the Gaussian mixture": _likelier_than_the_mixture,
}
