"""Pieces without parameters: running averages of the latents' moments, weighted by responsibilities (online EM)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor, distributed

from nflows_spread import validation
from nflows_spread.factors.pieces import PieceFactors, first_log_scales
from nflows_spread.factors.running_average import RunningAverageFactor
from nflows_spread.factors.separate_pieces import SeparateFactors


class RunningFactors(SeparateFactors):
    """A ``RunningAverageFactor`` for each piece, with its weight and mean: expectation maximisation step by step.

    The sums over latents of responsibilities, of latents and of their squares, each weighted by them, are averaged as
    the one sum of a ``RunningAverageFactor`` is; a piece's mean and covariance are quotients of them, and so move by
    γ N_m / (n w_m) where the sums move by γ, N_m being the responsibilities of a piece in a batch of n (Cappé and
    Moulines, 2009, equation 11). Batches with latents that are not finite are left out.

    Args:
        factors: M new ones.
    """

    trained = False
    rate: Tensor

    def __init__(self, factors: Sequence[RunningAverageFactor]) -> None:
        super().__init__(factors)
        self.register_buffer("rate", torch.ones((), dtype=torch.float64))
        for factor, log_scale in zip(factors, first_log_scales(len(factors)), strict=True):
            factor.second_moment.mul_((2.0 * log_scale).exp())

    @torch.no_grad()
    def observe(
        self,
        rows: Tensor,
        log_weights: Tensor,
        means: Tensor,
        spread_variance: Tensor,
        *,
        learn_mean: bool,
    ) -> tuple[Tensor, Tensor] | None:
        factors = cast(Sequence[RunningAverageFactor], list(self.parts))
        z, among_others, weights = rows.double(), factors[0].is_among_others, log_weights.exp()
        seen = validation.all_finite(z)
        z = z if seen else torch.zeros_like(z)
        given = (log_weights + self.log_probs(z, means, spread_variance)).softmax(1) * float(seen)
        step_of_weights = moved_weights(given, len(z) if seen else 0, weights, self.rate, factors[0])
        if step_of_weights is None:
            return None
        counts, total, now, shares = step_of_weights
        moved = means.double().clone()
        for m, factor in enumerate(factors):
            centred = z - moved[m]
            weighted = centred * given[:, m : m + 1]
            least = counts[m].clamp_min(torch.finfo(z.dtype).tiny)
            moment = summed_over_processes(weighted.mT @ centred, among_others) / least
            step = now * counts[m] / (total * shares[m]).clamp_min(torch.finfo(z.dtype).tiny)  # of a piece of no weight
            if learn_mean:
                shift = step * summed_over_processes(weighted.sum(0), among_others) / least
                moment = moment - torch.outer(shift, shift) / step.clamp_min(torch.finfo(z.dtype).tiny)
                moved[m] += shift
            factor.average_in(moment, step, spread_variance)
        self.rate.copy_(now)
        return shares, moved

    def assign(self, weights: Tensor, roots: Sequence[Tensor], spread_variance: Tensor) -> None:
        """Take on covariances, as averages that are past their first steps."""
        super().assign(weights, roots, spread_variance)
        self.rate.fill_(1.0 - cast(RunningAverageFactor, self.parts[0]).decay)

    def take_over(self, others: PieceFactors, spread_variance: Tensor) -> None:
        """As ``assign``."""
        super().take_over(others, spread_variance)
        self.rate.fill_(1.0 - cast(RunningAverageFactor, self.parts[0]).decay)


class MovedWeights(NamedTuple):
    """What a step makes of the weights of the pieces.

    ``counts`` are the sums of responsibilities over all processes, (M,), ``total`` the number of latents there, ``now``
    the rate γ of this step, and ``weights`` those after it, (M,).
    """

    counts: Tensor
    total: Tensor
    now: Tensor
    weights: Tensor


def moved_weights(
    given: Tensor, seen: int, weights: Tensor, rate: Tensor, factor: RunningAverageFactor
) -> MovedWeights | None:
    """Weights, (M,), moved towards the shares of the latents of a step; None where no process saw any.

    Args:
        given: responsibilities, (n, M), 0 where nothing was seen.
        seen: the number of latents of this process.
        weights: before the step.
        rate: γ of the step before.
        factor: one of the factors, whose decay bounds the rate.
    """
    among_others = factor.is_among_others
    counts = summed_over_processes(given.sum(0), among_others)
    total = summed_over_processes(counts.new_tensor(float(seen)), among_others)
    if float(total) == 0.0:
        return None
    now = (rate / (1.0 + rate)).clamp_min(1.0 - factor.decay)
    return MovedWeights(counts, total, now, torch.lerp(weights, counts / total, now))


def summed_over_processes(value: Tensor, among_others: bool) -> Tensor:
    """The sum over all processes."""
    if among_others:
        value = value.clone()
        distributed.all_reduce(value)
    return value
