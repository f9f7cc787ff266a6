"""Samples of estimators that older versions have pickled: a Gaussian of residuals for each piece of a chart or atlas.

Pickles hold no rows of data, of which residuals are mixed now. Samples are those of the version that wrote them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from nflows_spread.chart.pieces import Pieces
from nflows_spread.estimator.atlas_sampling import AtlasSampler
from nflows_spread.estimator.sampling import ChartSampler


def upgraded_sampler(sampler: Any) -> Any:
    """What draws the same as an unpickled sampler did in the version that wrote it."""
    residuals = getattr(sampler, "residuals", None)
    if residuals is None or "means" not in vars(residuals):
        return sampler
    return SamplerByPieces(replace(sampler, residuals=None), **vars(residuals))


@dataclass(frozen=True)
class SamplerByPieces:
    """Points of a chart or an atlas, and b_m + √s_m A ε for those of piece m, without the noise σ² I.

    Attributes:
        sampler: without residuals.
        means: b, (M, D).
        scales: s, (M,).
        axes: principal axes of all residuals about their means, over √s, (D, R).
        variances: along them, (R,).
        noise: σ.
        widths: factor of each column, (D,).
    """

    sampler: ChartSampler | AtlasSampler
    means: Tensor
    scales: Tensor
    axes: Tensor
    variances: Tensor
    noise: float
    widths: Tensor

    @torch.no_grad()
    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """Points, (count, D), float64, in units of the flow."""
        points, probabilities = self._points(count, generator)
        piece = torch.multinomial(probabilities, 1, generator=generator).flatten()
        clean = (self.scales[piece].unsqueeze(1) * self.variances - self.noise**2).clamp_min(0.0)
        normal = torch.empty_like(clean).normal_(generator=generator)
        residuals = self.widths * (self.means[piece] + (clean.sqrt() * normal) @ self.axes.mT)
        return self.sampler.columns.cut(points + residuals)

    def _points(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Points without residuals, (n, D), and the probabilities of the pieces for each, (n, M)."""
        if isinstance(self.sampler, AtlasSampler):
            draws = self.sampler.draws(count, generator)
            pieces = F.one_hot(draws.piece, len(self.sampler.atlas.charts)).double()
            return self.sampler.atlas.points(draws), pieces
        codes, chart = self.sampler.draws(count, generator), self.sampler.chart
        return chart.points(codes), cast(Pieces, chart.pieces).responsibilities(codes)
