"""Random sample of the rows of a large array, memory-mapped files included, which is never read as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from nflows_spread.arrays import rows_of
from nflows_spread.mapped_files import let_go, unshrunk

FIRST_ROWS = 5_000
"""Rows of the beginning that are looked at in their order, at most: a choice, as many as tell a path."""

_READ = 4_096
"""Rows that are read from a file before its pages are let go: a choice, for memory."""


@dataclass(frozen=True)
class RowSample:
    """Which rows were looked at.

    Attributes:
        rows: their number.
        of: the number of all rows.
        distinct: the number of those that are left without repetitions, and without others of a group or window to
            which they are nearer than to all other rows.
        dependent: whether groups or a window were given.
    """

    rows: int
    of: int
    distinct: int
    dependent: bool = False

    def __str__(self) -> str:
        drawn = f"{self.rows} of {self.of} rows, drawn at random" if self.rows < self.of else f"all {self.of} rows"
        kind = "apart from others of their group or window" if self.dependent else "distinct"
        return drawn if self.distinct == self.rows else f"{drawn}, {self.distinct} of them {kind}"


class SampledRows(NamedTuple):
    """Some rows of a matrix, (m, D), the first ones in their order, the number of all, and which the some are, (m,)."""

    rows: Tensor
    first: Tensor
    of: int
    which: Tensor


def sampled_rows(name: str, value: Any, most: int, generator: torch.Generator | None) -> SampledRows:
    """Up to so many of the rows, in their order, drawn without replacement.

    Args:
        name: of the argument, for messages.
        value: a tensor, a NumPy array, one of a file (``numpy.load(path, mmap_mode="r")``) too, a data frame, or what
            ``numpy.asarray`` takes.
        most: rows of the sample; all where there are no more.
        generator: source of the choice.

    Raises:
        TypeError, ValueError: it is no matrix of finite real numbers.
    """
    large = isinstance(value, (np.ndarray, Tensor)) and value.ndim == 2 and len(value) > most
    everything = value if large else rows_of(name, value)
    count = len(everything)
    if count <= most:
        return SampledRows(everything, everything[:FIRST_ROWS], count, torch.arange(count, device="cpu"))
    chosen = torch.randperm(count, generator=generator)[:most].sort().values
    if isinstance(everything, Tensor):
        first = rows_of(name, everything[:FIRST_ROWS])
        return SampledRows(rows_of(name, everything[chosen]), first, count, chosen)
    rows = _taken(name, everything, chosen.numpy())
    if rows.dtype.kind == "f" and not (finite := np.isfinite(rows).all(1)).all():
        raise ValueError(
            f"{name} must be finite, got NaN or infinity in {int((~finite).sum())} of the {most} rows that were drawn, "
            f"the first at index {int(chosen[int((~finite).argmax())])}; drop or repair these rows"
        )
    return SampledRows(rows_of(name, rows), rows_of(name, everything[:FIRST_ROWS]), count, chosen)


def _taken(name: str, array: Any, chosen: Any) -> Any:
    """These rows. Of a file part by part, each of which is let go again, as its pages count as memory used."""
    if not isinstance(array, np.memmap):
        return array[chosen]
    rows = np.empty((len(chosen), array.shape[1]), dtype=array.dtype)
    with unshrunk(name, array):
        for start in range(0, len(chosen), _READ):
            part = chosen[start : start + _READ]
            rows[start : start + len(part)] = array[part]
            let_go(array)
    return rows
