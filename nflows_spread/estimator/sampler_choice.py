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

_QUANTILES = (0.5, 0.95)
"""Of the distances to the nearest row, at which samples are compared with held-out rows: a choice; the half that are
nearest say nothing of bridges between pieces, and the last few rows nothing at all."""

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
    covers: bool,
    generator: torch.Generator,
) -> Sampler:
    """The chart's if it covers the data and its samples are as near as held-out rows, or else the one with the nearest.

    How far samples are is the larger of two ratios: of the median distance to the nearest row, and of that which one in
    twenty exceeds, to those of held-out rows. Samples that have collapsed are near the data too, and where rows are
    repeated no other ones are as near as held-out rows: those of another must also have columns as wide as the data's,
    or at least no farther off than the chart's.

    Args:
        on_chart: the sampler of the chart.
        others: makes those that are compared with it where it does not cover the data or is not near.
        train: rows, (n, D), in units of the flow.
        held_out: rows, (m, D).
        covers: whether nothing says that the chart is none of the whole data.
        generator: source of the draws that are compared.
    """
    rows, near = torch.cat([held_out, train]), _quantiles(held_out, train)

    def farness(points: Tensor) -> float:
        ratio = float((_quantiles(points, train) / near.clamp_min(torch.finfo(near.dtype).eps)).max())
        return ratio if math.isfinite(ratio) else math.inf

    points = on_chart.sample(_COMPARED, generator)
    best, least = on_chart, farness(points)
    if covers and least <= _AS_NEAR:
        return on_chart
    allowed = max(_SPREAD, _spread_off(points, rows))
    for other in others():
        points = other.sample(_COMPARED, generator)
        if _spread_off(points, rows) <= allowed and (far := farness(points)) < least:
            best, least = other, far
    return best


def _quantiles(x: Tensor, rows: Tensor) -> Tensor:
    """Of the distances of points to the nearest row."""
    distances = nearest_neighbours(x.double(), rows, 1).distances.flatten()
    return distances.quantile(distances.new_tensor(_QUANTILES))


def _spread_off(samples: Tensor, rows: Tensor) -> float:
    """The largest |ratio − 1| of the deviation of a column of samples to that of rows; of columns that vary."""
    deviations, widths = samples.double().std(0), rows.double().std(0)
    vary = widths > torch.finfo(rows.dtype).eps
    off = (deviations[vary] / widths[vary] - 1.0).abs()
    return float(off.max()) if len(off) and bool(off.isfinite().all()) else math.inf
