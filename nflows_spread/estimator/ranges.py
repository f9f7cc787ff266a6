"""Ranges: the least and the largest value of each column, beyond which no sample goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

_BEYOND = 0.05
"""Share of the range of the data by which samples may be beyond it: a choice."""

_REDRAWN = 10
"""Times that draws beyond the ranges are drawn again, before they are cut: a choice."""


@dataclass(frozen=True)
class Ranges:
    """The least and the largest value of each column, and a share beyond it.

    Attributes:
        low: (D,).
        high: (D,).
    """

    low: Tensor
    high: Tensor

    @classmethod
    def of(cls, x: Tensor) -> Ranges:
        """Those of rows (n, D)."""
        low, high = x.amin(0).double(), x.amax(0).double()
        beyond = _BEYOND * (high - low)
        return cls(low - beyond, high + beyond)

    def draws(self, draw: Callable[[Tensor], Tensor], count: int) -> Tensor:
        """Draws within them, (count, D): those beyond are drawn again, ten times, and then cut.

        Args:
            draw: makes those at indices (m,), shape (m, D).
            count: how many.
        """
        found = draw(torch.arange(count))
        for _ in range(_REDRAWN):
            beyond = (~self.hold(found)).nonzero().flatten()
            if len(beyond) == 0:
                break
            found[beyond] = draw(beyond)
        return self.cut(found)

    def hold(self, x: Tensor) -> Tensor:
        """Which rows are within all of them, (n,)."""
        return ((x >= self.low) & (x <= self.high)).all(1)

    def cut(self, x: Tensor) -> Tensor:
        """The rows with each value that is beyond them at their end."""
        return torch.clamp(x, self.low, self.high)
