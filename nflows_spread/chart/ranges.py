"""Ranges of coordinates or columns: truncated sampling, by rejection and then by clipping."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from nflows_spread.chart.support import Support

_BEYOND = 0.05
"""Share of the range of the data by which samples may be beyond it: a choice."""

_REDRAWN = 10
"""Times that draws beyond the range are drawn again, before they are cut to it: a choice."""


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
    def of(cls, x: Tensor, *, beyond: float = _BEYOND) -> Ranges:
        """Those of rows (n, D), and a share of them beyond."""
        low, high = x.amin(0).double(), x.amax(0).double()
        further = beyond * (high - low)
        return cls(low - further, high + further)

    def hold(self, x: Tensor) -> Tensor:
        """Which rows are within all of them, (n,)."""
        return ((x >= self.low) & (x <= self.high)).all(1)

    def cut(self, x: Tensor) -> Tensor:
        """The rows with each value that is beyond them at their end."""
        return torch.clamp(x, self.low, self.high)

    def within(self, draws: Tensor, again: Callable[[Tensor], Tensor], *, support: Support | None = None) -> Tensor:
        """Draws (n, D) within the ranges: those beyond are drawn again ten times, in place, and then cut.

        Args:
            draws: the first ones.
            again: new ones for rows at some indices, (m,) to (m, D).
            support: what is not in it is drawn again too; after ten times it stays where it is within the ranges.
        """
        beyond = torch.arange(len(draws), device=draws.device)
        for _ in range(_REDRAWN):
            held = self.hold(draws[beyond])
            if support is not None:
                held &= support.hold(draws[beyond])
            beyond = beyond[~held]
            if len(beyond) == 0:
                break
            draws[beyond] = again(beyond)
        return self.cut(draws)
