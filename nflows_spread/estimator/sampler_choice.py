"""Which samples are taken: the first ones where they are near the data and as wide, or else those least off."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from nflows_spread.estimator.residuals import COMPARED, FOR_SPREAD
from nflows_spread.linalg.distances import nearest_neighbours

_QUANTILES = (0.5, 0.95)
"""Of the distances to the nearest row, at which samples are compared with held-out rows: a choice; the half that are
nearest say nothing of bridges between pieces, and the last few rows nothing at all."""

_AS_NEAR = 1.3
"""Distance of samples to the nearest row over that of held-out rows, up to which they are taken as they are: a
choice; 1 is as near as data."""

_SPREAD = 0.15
"""Share by which the deviation of a column of samples may be off that of the data's: a choice."""


_ERRORS = 2.0
"""Standard errors of a column's deviation that are no difference: a choice. Columns of tables have kurtoses of up to
460, of which five thousand draws tell the deviation to a fifth."""


class Sampler(Protocol):
    """What draws points.

    Attributes:
        source: what they are drawn from, in a word.
    """

    source: ClassVar[str]

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """Points, (count, D), in units of the flow."""


def sampler_of(
    first: Sampler,
    others: Callable[[], Sequence[Sampler]],
    train: Tensor,
    held_out: Tensor,
    *,
    covers: bool,
    generator: torch.Generator,
) -> Sampler:
    """The first one if it covers the data and its samples are hardly off, or else the one whose are least off.

    They are compared by three numbers: the median distance to the nearest row, and that which one sample in twenty
    exceeds, over those of held-out rows; and the deviation of a column, by which it is off the data's. None of them may
    be beyond what is allowed. Of several samplers that one is least off of which the larger of two is least, each over
    what is allowed: the geometric mean of the two ratios of distances, neither below 1, and the deviation. Samples that
    have collapsed are near the data too, and where rows are repeated no other ones are as near as held-out rows: the
    columns of another must also be off by no more than is allowed, or than the first one's.

    Args:
        first: the sampler of the chart, or of an atlas that is much more precise.
        others: makes those that are compared with it where it does not cover the data or is off.
        train: rows, (n, D), in units of the flow.
        held_out: rows, (m, D).
        covers: whether nothing says that the first one's chart is none of the whole data.
        generator: source of the draws that are compared.
    """
    rows, near = torch.cat([held_out, train]), _quantiles(held_out, train)

    def off(sampler: Sampler, least: float) -> tuple[float, float, float]:
        """How far samples are off, the worst of their distances and their columns; infinite where not below ``least``.

        All over what is allowed.
        """
        drawn = sampler.sample(COMPARED, generator)
        ratios = _quantiles(drawn, train) / near.clamp_min(torch.finfo(near.dtype).eps)
        far = float(ratios.clamp_min(1.0).log().mean().exp()) / _AS_NEAR
        if not far < least:
            return math.inf, math.inf, math.inf
        spread = _spread_off(torch.cat([drawn, sampler.sample(FOR_SPREAD - COMPARED, generator)]), rows) / _SPREAD
        return max(far, spread), float(ratios.max()) / _AS_NEAR, spread

    best, (least, farthest, of_first) = first, off(first, math.inf)
    if covers and max(farthest, of_first) <= 1.0:
        return first
    for other in others():
        found, _, spread = off(other, least)
        if spread <= max(1.0, of_first) and found < least:
            best, least = other, found
    return best


def _quantiles(x: Tensor, rows: Tensor) -> Tensor:
    """Of the distances of points to the nearest row."""
    distances = nearest_neighbours(x.double(), rows, 1).distances.flatten()
    return distances.quantile(distances.new_tensor(_QUANTILES))


def _spread_off(samples: Tensor, rows: Tensor) -> float:
    """The largest |ratio − 1| of the deviation of a column of samples to that of rows, beyond two standard errors.

    Of columns that vary. Of n independent draws of a kurtosis κ a deviation has the relative error √((κ − 1) / 4n).
    """
    samples, centred = samples.double(), rows.double() - rows.double().mean(0)
    deviations, widths = samples.std(0), centred.std(0)
    vary = widths > torch.finfo(rows.dtype).eps
    kurtosis = (centred[:, vary] / widths[vary]).pow(4).mean(0)
    error = ((kurtosis - 1.0).clamp_min(0.0) / (4.0 * len(samples))).sqrt()
    off = ((deviations[vary] / widths[vary] - 1.0).abs() - _ERRORS * error).clamp_min(0.0)
    return float(off.max()) if len(off) and bool(off.isfinite().all()) else math.inf
