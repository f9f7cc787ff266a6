"""Summary of the estimates: exact hits, relative error and time of each estimator."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from intrinsic_dimension.estimators import ESTIMATORS
from intrinsic_dimension.store import Store
from shared.cells import Cell
from shared.tables import aligned


@dataclass(frozen=True)
class Line:
    """One row of the table.

    Attributes:
        exact: manifolds on which the median over the seeds rounds to the true dimension.
        answered: manifolds on which there is an estimate.
        tried: manifolds that were tried; one without an answer is no hit.
        mean_relative_error: the mean over the answered manifolds of |median − K| / K, the median not rounded.
        median_seconds: of the processor, of one estimate, over manifolds and seeds; other programs do not add to it.
        largest_seconds: likewise.
        covered: share of the answers with an interval whose interval holds K, or None.
        single: share of them whose interval is one number.
    """

    exact: int
    answered: int
    tried: int
    mean_relative_error: float | None
    median_seconds: float | None
    largest_seconds: float | None
    covered: float | None = None
    single: float | None = None


def rows(cells: Mapping[Cell, Mapping[str, Any]]) -> dict[str, dict[str, list[float | None]]]:
    """Estimates of the seeds by row of the table and manifold; other estimates of a fit have rows of their own."""
    found: dict[str, dict[str, list[float | None]]] = {}
    for cell, result in cells.items():
        by_row = {cell.method: result.get("estimate")}
        by_row |= {f"{cell.method}: {rule}": value for rule, value in result.get("others", {}).items()}
        for row, value in by_row.items():
            found.setdefault(row, {}).setdefault(cell.problem, []).append(value)
    return {row: found[row] for row in sorted(found, key=_place)}


def medians(by_manifold: Mapping[str, Iterable[float | None]]) -> dict[str, float | None]:
    """The median over the seeds that have an answer, or None, by manifold."""
    answered = {
        name: [value for value in values if value is not None and math.isfinite(value)]
        for name, values in by_manifold.items()
    }
    return {name: statistics.median(values) if values else None for name, values in answered.items()}


def summarise(store: Store) -> dict[str, Line]:
    """The table of a store."""
    seconds: dict[str, list[float]] = {}
    covered: dict[str, list[bool]] = {}
    single: dict[str, list[bool]] = {}
    for cell, result in store.cells.items():
        if "processor_seconds" in result:
            seconds.setdefault(cell.method, []).append(result["processor_seconds"])
        if "interval" in result:
            lowest, highest = result["interval"]
            covered.setdefault(cell.method, []).append(lowest <= store.problems[cell.problem].dimension <= highest)
            single.setdefault(cell.method, []).append(lowest == highest)
    lines = {}
    for row, by_manifold in rows(store.cells).items():
        found = {name: value for name, value in medians(by_manifold).items() if value is not None}
        truth = {name: store.problems[name].dimension for name in found}
        errors = [abs(value - truth[name]) / truth[name] for name, value in found.items()]
        times = seconds.get(row.partition(": ")[0], [])
        lines[row] = Line(
            exact=sum(is_exact(value, truth[name]) for name, value in found.items()),
            answered=len(found),
            tried=len(by_manifold),
            mean_relative_error=statistics.fmean(errors) if errors else None,
            median_seconds=statistics.median(times) if times else None,
            largest_seconds=max(times, default=None),
            covered=statistics.fmean(covered[row]) if row in covered else None,
            single=statistics.fmean(single[row]) if row in single else None,
        )
    return lines


def is_exact(estimate: float, dimension: int) -> bool:
    """Whether an estimate is right after rounding, halves upwards."""
    return math.floor(estimate + 0.5) == dimension


def as_json(lines: Mapping[str, Line]) -> dict[str, dict[str, Any]]:
    """The table for the file."""
    return {
        row: {key: round(value, 4) if isinstance(value, float) else value for key, value in asdict(line).items()}
        for row, line in lines.items()
    }


def table(store: Store) -> str:
    """The median estimate of each row on each manifold, and below it exact hits, error and time, as text.

    Beside K, in brackets, stands the dimension above a tenth of the data's scale where it is known to be smaller.
    """
    lines = summarise(store)
    by_row = {row: medians(values) for row, values in rows(store.cells).items()}
    tried = [name for name in store.problems if any(name in found for found in by_row.values())]
    heads = [row.partition(": ") for row in lines]
    body = [["manifold", "D", "K", *(name for name, _, _ in heads)]]
    if any(rule for _, _, rule in heads):
        body.append(["", "", "", *(rule for _, _, rule in heads)])
    for name in tried:
        problem = store.problems[name]
        estimates = [_shown(found.get(name)) for found in by_row.values()]
        thick = "" if problem.thick is None else f" ({problem.thick})"
        body.append([name, str(problem.features), f"{problem.dimension}{thick}", *estimates])
    body.append(["exact", "", "", *(f"{line.exact} of {line.tried}" for line in lines.values())])
    body.append(["answered", "", "", *(str(line.answered) for line in lines.values())])
    body.append(["mean relative error", "", "", *(_percent(line.mean_relative_error) for line in lines.values())])
    body.append(["median processor s", "", "", *(_seconds(line.median_seconds) for line in lines.values())])
    if any(line.covered is not None for line in lines.values()):
        body.append(["interval holds K", "", "", *(_percent(line.covered) for line in lines.values())])
        body.append(["interval is one number", "", "", *(_percent(line.single) for line in lines.values())])
    return aligned(body)


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def _seconds(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds:.2f}"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"


def _place(row: str) -> tuple[int, str]:
    """Rows in the order of ``ESTIMATORS``, then an estimator's other rules as it lists them; unknown ones last."""
    order, estimator = list(ESTIMATORS), row.partition(": ")[0]
    return order.index(estimator) if estimator in order else len(order), estimator
