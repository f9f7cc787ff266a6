"""Tables of text: rows of cells aligned in columns for the screen, or in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def aligned(
    rows: Iterable[Sequence[str]], *, widths: Sequence[int] | None = None, right: bool = False, gap: str = "  "
) -> str:
    """One line for each row, without a line end after the last.

    Args:
        rows: cells, as many in each.
        widths: of the columns; by default each as wide as its widest cell. Rows that are printed one by one, as soon as
            they are there, need them given.
        right: align all columns but the first at the right.
        gap: between columns.
    """
    lines = [list(row) for row in rows]
    widths = widths or [max(map(len, column)) for column in zip(*lines)]
    places = ["<" if i == 0 or not right else ">" for i in range(len(widths))]
    return "\n".join(
        gap.join(f"{cell:{place}{width}}" for cell, place, width in zip(line, places, widths)).rstrip()
        for line in lines
    )


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """The same in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
