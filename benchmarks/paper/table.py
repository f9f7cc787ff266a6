"""Table of an experiment's record: a row for each flow, a column for each number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.tables import aligned


def columns(record: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """The numbers of a record as a table: its header, and a row for each flow.

    Single numbers have a column each, and so has the dimension by each rule; spectra and other lists are left out.
    """
    flows = {name: _flat(result) for name, result in record["results"].items()}
    header = list(dict.fromkeys(name for numbers in flows.values() for name in numbers))
    rows = [[flow, *(_cell(numbers.get(name)) for name in header)] for flow, numbers in flows.items()]
    return ["flow", *(name.replace("_", " ") for name in header)], rows


def text(record: Mapping[str, Any]) -> str:
    """The same as text, with a line that says which run it is."""
    header, rows = columns(record)
    return f"{record['experiment']}, {record['profile']}, seed {record['seed']}\n{aligned([header, *rows])}"


def _flat(result: Mapping[str, Any]) -> dict[str, Any]:
    """Single values alone, those of nested tables under both names."""
    flat: dict[str, Any] = {}
    for name, value in result.items():
        if isinstance(value, Mapping):
            flat |= {f"{name} {inner}": item for inner, item in _flat(value).items()}
        elif not isinstance(value, list):
            flat[name] = value
    return flat


def _cell(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
