"""Log-density of the noisy data: that of the flow and a mixture of Gaussians, stacked by held-out rows."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nflows_spread.chart.pieces import Pieces
from nflows_spread.hosts import log_prob
from nflows_spread.hosts.placement import placement_of

_MOST_FEATURES = 128
"""Features up to which pieces are fitted, whose covariances are M matrices of D × D: a choice, for time and memory."""

_SEEN_BEFORE = 1.0
"""Rows that each of the two is given before held-out rows are asked, so that neither is ever trusted alone: a choice,
Laplace's rule of succession."""

_STEPS = 50
"""Steps of the iteration for the share, which is concave in one number: a choice, beyond what changes it."""


@dataclass(frozen=True)
class StackedDensity:
    """(1 − a) p(x) + a q(x), p the flow's density with its σ_x and q one in pieces, in units of the flow.

    A volume-preserving flow with one Gaussian cannot give its density several scales, and full covariances of few rows
    know nothing of skewed columns: each is ahead on some data, and where both are near, they differ row by row.
    Both blur what is thin: the flow by its σ_x, the pieces by ``min_noise`` and by the shape that all of them are
    shrunk towards, so that clusters flat in different directions come out too thick.

    Attributes:
        flow: the flow, in float64 a copy, as sums of float32 depend on how many rows are asked about together.
        pieces: q, float64; None where there is none.
        share: a, between 0 and 1.

    Reference: P. Smyth, D. Wolpert, Linearly combining density estimators via stacking, Machine Learning 36, 1999.
    """

    flow: nn.Module
    pieces: Pieces | None = None
    share: float = 0.0

    @torch.no_grad()
    def log_prob(self, x: Tensor) -> Tensor:
        """Of rows (n, D) in units of the flow, shape (n,), float64, in nats."""
        of_flow = log_prob(self.flow, x.to(placement_of(self.flow).dtype or x.dtype)).double()
        if self.pieces is None:
            return of_flow
        shares = of_flow.new_tensor([1.0 - self.share, self.share]).log()
        return (torch.stack([of_flow, self.pieces.log_prob(x.double())], dim=1) + shares).logsumexp(1)


def stacked_density(
    flow: nn.Module, train: Tensor, held_out: Tensor, *, min_noise: float, generator: torch.Generator
) -> StackedDensity:
    """The flow's density and one in pieces, with the share that is likeliest for held-out rows.

    Args:
        flow: trained on the first rows.
        train: rows, in units of the flow, (n, D).
        held_out: rows that neither has seen, (m, D).
        min_noise: the standard deviation that a piece has at least in each direction.
        generator: source of all randomness.
    """
    exact = copy.deepcopy(flow).double()
    if train.shape[1] > _MOST_FEATURES:
        return StackedDensity(exact)
    pieces = Pieces.roughly(train, floor=min_noise, generator=generator)
    with torch.no_grad():
        both = torch.stack([log_prob(flow, held_out).double(), pieces.log_prob(held_out.double())], dim=1)
    share = _share_of_second(both)
    every_row = torch.cat([held_out, train])
    return StackedDensity(exact, pieces.again(every_row, floor=min_noise), share)


def _share_of_second(log_densities: Tensor) -> float:
    """The weight of the second of two log-densities (m, 2) in their mixture, by EM, with a row each before."""
    share = 0.5
    for _ in range(_STEPS):
        weights = log_densities.new_tensor([1.0 - share, share]).log()
        of_second = float((log_densities + weights).softmax(1)[:, 1].sum())
        share = (of_second + _SEEN_BEFORE) / (len(log_densities) + 2.0 * _SEEN_BEFORE)
    return share
