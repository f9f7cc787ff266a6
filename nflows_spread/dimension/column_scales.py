"""Columns in different units: whether wide columns hide narrow ones from distances, and what standardized ones say."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

RESOLUTION = 4.0
"""The standard deviation of values over their rounding error, a ratio, up to which they do not vary: a choice."""

_HIDDEN = 30.0
"""The widest column over the narrowest, in standard deviations, from which on the dimension of standardized columns is
looked at too: a choice, between columns of one unit, as centimetres of iris (4), and of several, as of wine (2 500)."""


@dataclass(frozen=True)
class ColumnScales:
    """What standardized columns say where columns are of very different widths.

    Attributes:
        ratio: the widest column over the narrowest that varies, in standard deviations.
        dimension: of the data with each column divided by its standard deviation.
        interval: the smallest and the largest dimension that are plausible there.
    """

    ratio: float
    dimension: int
    interval: tuple[int, int]

    def speaks_against(self, dimension: int, interval: tuple[int, int]) -> bool:
        """Whether it is another dimension than that of the columns as they come, and as sure, or is the only one.

        Columns at the border of images are narrow too, and widening them makes nothing surer.
        """
        width, own = (highest - lowest for lowest, highest in (interval, self.interval))
        return own <= width and (self.dimension != dimension or own == 0 < width)

    def __str__(self) -> str:
        lowest, highest = self.interval
        return (
            f"the widest column varies {self.ratio:.2g} times as much as the narrowest, and distances hardly see the "
            f"narrow ones; with each column divided by its standard deviation the dimension is {self.dimension} "
            f"({lowest} to {highest}): where columns are in different units, take that, by standardize=True"
        )


def ratio_of_scales(rows: Tensor) -> float | None:
    """The widest column of rows (n, D) over the narrowest that varies, where narrow ones are hidden; or None."""
    deviation, constant = _deviations(rows)
    varying = deviation[~constant]
    ratio = float(varying.max() / varying.min()) if len(varying) else 1.0
    return ratio if ratio > _HIDDEN else None


def standardized(rows: Tensor) -> Tensor:
    """Rows (n, D), each column less its mean and over its standard deviation, or 0 where it is constant; float64."""
    rows = rows.double()
    deviation, constant = _deviations(rows)
    return torch.where(constant, 0.0, (rows - rows.mean(0)) / torch.where(constant, 1.0, deviation))


def _deviations(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Standard deviations of the columns, (D,), and which do not vary to the precision of their dtype, (D,)."""
    largest = rows.abs().amax(0).double()
    unit = torch.where(largest > 0.0, largest, 1.0)  # squares of values of 1e200 or 1e-200 are none
    deviation = (rows.double() / unit).std(0, correction=0)
    return deviation * unit, deviation <= RESOLUTION * torch.finfo(rows.dtype).eps
