"""Which samples are taken: those of the chart where they are near the data, or else the nearest that are as wide."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from nflows_spread.linalg.distances import nearest_neighbours

_COMPARED = 1000
"""Samples whose distances to the rows are compared: a choice, for time."""

_AS_NEAR = 1.3
"""Distance of samples to the nearest row over that of held-out rows, up to which they are taken as they are: a
choice; 1 is as near as data."""

_SPREAD = 0.15
"""Share by which the deviation of a column of samples may be off that of the data's before the other samples are no
farther off: a choice."""


class Sampler(Protocol):
    """What draws points.

    Attributes:
        source: what they are drawn from, in a word.
    """

    source: ClassVar[str]

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """Points, (count, D), in units of the flow."""


def sampler_of(
    on_chart: Sampler,
    others: Callable[[], Sequence[Sampler]],
    train: Tensor,
    held_out: Tensor,
    *,
    generator: torch.Generator,
) -> Sampler:
    """The chart's if its samples are as near to the data as held-out rows are, or else the one whose are nearest.

    Samples that have collapsed are near the data too, and where rows are repeated no other ones are as near as held-out
    rows: those of another must also have columns as wide as the data's, or at least no farther off than the chart's.

    Args:
        on_chart: the sampler of the chart.
        others: makes those that are compared with it where it is not near.
        train: rows, (n, D), in units of the flow.
        held_out: rows, (m, D).
        generator: source of the draws that are compared.
    """
    rows = torch.cat([held_out, train])
    points = on_chart.sample(_COMPARED, generator)
    best, nearest = on_chart, _distance(points, train)
    if nearest <= _AS_NEAR * _distance(held_out, train):
        return on_chart
    allowed = max(_SPREAD, _spread_off(points, rows))
    for other in others():
        points = other.sample(_COMPARED, generator)
        if _spread_off(points, rows) <= allowed and (distance := _distance(points, train)) < nearest:
            best, nearest = other, distance
    return best


def _spread_off(samples: Tensor, rows: Tensor) -> float:
    """The largest |ratio − 1| of the deviation of a column of samples to that of rows; of columns that vary."""
    deviations, widths = samples.double().std(0), rows.double().std(0)
    vary = widths > torch.finfo(rows.dtype).eps
    off = (deviations[vary] / widths[vary] - 1.0).abs()
    return float(off.max()) if len(off) and bool(off.isfinite().all()) else math.inf


def _distance(x: Tensor, rows: Tensor) -> float:
    """The median distance of points to the nearest row; infinite where that is not finite."""
    median = float(nearest_neighbours(x.double(), rows, 1).distances.median())
    return median if math.isfinite(median) else math.inf
