"""Delimiter and decimal mark of a text table (CSV, TSV, semicolons with decimal commas), told by its first lines."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

_SEPARATORS = (",", ";", "\t")
"""What separates columns, beside blanks."""

_LINES = 5
"""Lines that are looked at, a choice."""

_DECIMAL_COMMA = re.compile(r"(^|[;\t\s])[+-]?\d+,\d+($|[;\t\s])")
"""A number with a decimal comma, between other separators."""


def text_format(path: Path) -> dict[str, Any]:
    """Arguments of ``pandas.read_csv``: the separator, of which the first line has most, and the decimal mark."""
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        lines = [line.rstrip("\r\n") for line in (file.readline() for _ in range(_LINES))]
    first = lines[0]
    others = [separator for separator in _SEPARATORS[1:] if separator in first]
    if others:
        separator = max(others, key=first.count)
        comma = first.count(",") > first.count(separator)
        numbers = any(_DECIMAL_COMMA.search(line) for line in lines)
        if numbers or not comma:
            return {"sep": separator, "decimal": "," if numbers else ".", "index_col": False}
    if "," not in first and len(first.split()) > 1:
        return {"sep": r"\s+", "decimal": ".", "index_col": False}
    return {"sep": ",", "decimal": ".", "index_col": False}
