"""Read text tables (CSV, TSV): delimiter, decimal mark, comments, header or none, names of rows, by their lines."""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

from nflows_spread import validation
from nflows_spread.cli.one_line_errors import readable

_SEPARATORS = (",", ";", "\t", "|")
"""What separates columns, beside blanks."""

_LINES = 5
"""Lines that are looked at, a choice."""

_DECIMAL_COMMA = re.compile(r"(^|[;\t|\s])[+-]?\d+,\d+($|[;\t|\s])")
"""A number with a decimal comma, between other separators."""

_COMMENT = "#"
"""What lines before the header begin with that are none, as ``numpy.savetxt`` writes them."""

_UNNAMED = "Unnamed: "
"""How pandas calls columns without a name, such as that of its own row numbers, which it writes first."""

_MISSING = {"", "na", "n/a", "nan", "null", "none"}
"""Entries that are gaps, of those that pandas knows."""


class _Form(NamedTuple):
    """How a text table is written.

    Attributes:
        sep: what separates columns.
        decimal: the decimal mark.
        encoding: of the file.
        comments: lines that are skipped, up to the last comment.
        names: entries of the last comment, where they are the names of columns.
        first: entries of the line that follows.
        second: of the next.
    """

    sep: str
    decimal: str
    encoding: str
    comments: int
    names: list[str]
    first: list[str]
    second: list[str]

    def read(self, pandas: Any, path: Path, **how: Any) -> Any:
        with readable(path):
            return pandas.read_csv(
                path, sep=self.sep, decimal=self.decimal, encoding=self.encoding, skiprows=self.comments, **how
            )


def read_text(path: Path, pandas: Any, *, keep_unnamed: bool = False) -> Any:
    """A data frame of a text table whose columns have names, or an array (n, D) of one without.

    Args:
        path: of the file.
        pandas: the module.
        keep_unnamed: whether a first column without a name is one of data.

    Raises:
        ValueError: lines have more entries than there are names, or it is no table.

    Warns:
        UserWarning: names of rows are left out, or numbers are taken for names of columns.
    """
    with readable(path):
        form = _form_of(path, pandas)
    counted, row = _counts(form.first), _is_row(form, form.first)
    if form.names or (row and not counted):
        frame = _without_trailing(form.read(pandas, path, header=None, index_col=False), form.first)
        if not form.names:
            return frame.to_numpy()
        frame.columns = form.names
    else:
        frame = _named(form, pandas, path)
        if counted:
            validation.warn(f"the first line of {path.name} counts its columns and is taken for their names")
        elif numbers := [entry for entry in form.first if _is_number(form, entry)]:
            validation.warn(
                f"the first line of {path.name} is taken for names of columns, of which {validation.listed(numbers)} "
                f"{'are numbers' if len(numbers) > 1 else 'is a number'}; put a line of names above it if it is a row"
            )
    unnamed = str(frame.columns[0]).startswith(_UNNAMED) or not str(frame.columns[0])
    if not unnamed or keep_unnamed:
        return frame
    validation.warn(f"the first column of {path.name} has no name and is taken for numbers of rows: it is left out")
    return frame.iloc[:, 1:]


def _named(form: _Form, pandas: Any, path: Path) -> Any:
    """A data frame of a text table whose first line has names."""
    frame = form.read(pandas, path)
    if len(form.second) <= len(form.first) and frame.index.equals(pandas.RangeIndex(len(frame))):
        return _without_trailing(frame, form.first)
    # lines have more entries than there are names
    if frame.iloc[:, -1].isna().all():
        return form.read(pandas, path, index_col=False)  # less the delimiters at their ends
    if frame.index.nlevels > 1 or len(form.first) == 1:
        raise ValueError(
            f"each column of {path.name} must have a name, or none, got {len(form.first)} in its first line and "
            f"{frame.index.nlevels + len(frame.columns)} columns below; mend or delete that line"
        )
    validation.warn(
        f"lines of {path.name} have an entry more than there are names of columns, and the first is taken for the name "
        "of the row, as R writes it: it is left out"
    )
    return frame.reset_index(drop=True)


def _without_trailing(frame: Any, first: Sequence[str]) -> Any:
    """Less a last column without a name or a number, which is but a delimiter at the end of each line."""
    trailing = len(first) > 1 and not first[-1].strip() and frame.iloc[:, -1].isna().all()
    return frame.iloc[:, :-1] if trailing else frame


def _form_of(path: Path, pandas: Any) -> _Form:
    with path.open("rb") as file:
        wide = file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    comment, comments = "", 0
    lines: list[str] = []
    with path.open(encoding="utf-16" if wide else "utf-8-sig", errors="replace") as file:
        for number, line in enumerate(file, start=1):
            if line.startswith(_COMMENT) and not lines:
                comment, comments = line.lstrip(f"{_COMMENT} ").strip(), number
            elif line.strip():
                lines.append(line.rstrip("\r\n"))
            if len(lines) == _LINES:
                break
    sep, decimal = _separator_and_mark(lines or [""])
    names, first, second = (_entries(pandas, line, sep) for line in [comment, *lines, "", ""][:3])
    form = _Form(sep, decimal, "utf-16" if wide else "utf-8", comments, names, first, second)
    named = len(names) == len(first) and any(_is_number(form, entry) for entry in first)
    return form if named else form._replace(names=[])


def _separator_and_mark(lines: list[str]) -> tuple[str, str]:
    """The separator, of which the first line has most, and the decimal mark."""
    first = lines[0]
    others = [separator for separator in _SEPARATORS[1:] if separator in first]
    if others:
        separator = max(others, key=first.count)
        comma = first.count(",") > first.count(separator)
        numbers = any(_DECIMAL_COMMA.search(line) for line in lines)
        if numbers or not comma:
            return separator, "," if numbers else "."
    blanks = "," not in first and all(len(line.split()) > 1 for line in lines[:2])  # or the name of one column has some
    return (r"\s+" if blanks else ","), "."


def _entries(pandas: Any, line: str, separator: str) -> list[str]:
    if not line:
        return []
    read = pandas.read_csv(StringIO(line), sep=separator, header=None, dtype=str, keep_default_na=False)
    return [str(entry) for entry in read.iloc[0]]


def _is_row(form: _Form, entries: list[str]) -> bool:
    """Whether they are numbers and gaps, and so no names."""
    numbers = [_is_number(form, entry) for entry in entries]
    return any(numbers) and all(is_one or entry.strip().lower() in _MISSING for is_one, entry in zip(numbers, entries))


def _is_number(form: _Form, entry: str) -> bool:
    try:
        float(entry.strip().replace(form.decimal, "."))
    except ValueError:
        return False
    return "_" not in entry  # which Python reads as 1_000, and tables do not


def _counts(entries: list[str]) -> bool:
    """Whether they are 0, 1, 2, …, by which pandas calls columns without names, after none for the numbers of rows."""
    counted = entries if entries and entries[0].strip() else entries[1:]
    return len(counted) > 1 and counted == [str(number) for number in range(len(counted))]
