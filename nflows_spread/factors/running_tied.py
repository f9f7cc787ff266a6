"""Tied pieces without parameters: running averages of one second moment and of M scales (online EM, scale mixture)."""

from __future__ import annotations

import copy
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from nflows_spread import validation
from nflows_spread.factors.interface import Factor
from nflows_spread.factors.pieces import PieceFactors, first_log_scales
from nflows_spread.factors.running_average import RunningAverageFactor
from nflows_spread.factors.running_pieces import moved_weights, summed_over_processes
from nflows_spread.factors.tied_pieces import TiedFactors
from nflows_spread.linalg.cholesky_pieces import (
    log_probs_of_conditionals,
    log_probs_of_whitened,
    root_of_conditionals,
    variances_of_scale,
    whitened_by,
)
from nflows_spread.linalg.last_result import LastResult
from nflows_spread.linalg.squares import squares_of
from nflows_spread.linalg.torch_func import under_transforms

_TINY = torch.finfo(torch.float64).tiny

LEAST_SQUARE = 1e-6
"""Of s_m², which must stay above 0 for latents that are constant: a choice."""


class WhitenedBatch(NamedTuple):
    """Whitened latents (n, D) and means (M, D) of a step, with what each piece has of them.

    ``given`` are the responsibilities, (n, M), ``counts`` their sums over all processes, and ``steps`` the rates at
    which the averages of the pieces move, both (M,).
    """

    latents: Tensor
    centres: Tensor
    given: Tensor
    counts: Tensor
    steps: Tensor
    among_others: bool

    def averaged(self, average: Tensor, sums: Tensor) -> Tensor:
        """An average of each piece, (M, ...), moved towards that of this step, given its sums over latents."""
        of_piece = (-1,) + (1,) * (average.dim() - 1)
        means = summed_over_processes(sums, self.among_others) / self.counts.clamp_min(_TINY).view(of_piece)
        return torch.lerp(average, means, self.steps.view(of_piece))


class RunningTiedFactors(TiedFactors):
    """One ``RunningAverageFactor`` at M scales, with weights and means: expectation maximisation step by step.

    What is averaged is Σ_m r_m (z − m_m)(z − m_m)ᵀ / s_m², with responsibilities r: the second moment of latents whose
    scale is taken off, so that each counts as much as any other. The s_m² are averaged as means are, by γ N_m / (n w_m)
    (see ``RunningFactors``): towards the mean square of their latents in coordinates in which the average is the
    identity. The scale of a piece is that of the part of the conditional variances that is not noise, as with a
    ``SpreadCholeskyFactor``, so that all densities cost the one decomposition of a ``RunningAverageFactor``, which may
    lag. Batches with latents that are not finite are left out.

    Args:
        factor: the one.
        pieces: M.
    """

    trained = False
    rate: Tensor

    def __init__(self, factor: RunningAverageFactor, pieces: int) -> None:
        PieceFactors.__init__(self)
        self.factor = cast(nn.Module, factor)
        self.register_buffer("log_scales", first_log_scales(pieces))
        self.register_buffer("rate", torch.ones((), dtype=torch.float64))

    @property
    def _one(self) -> RunningAverageFactor:
        return cast(RunningAverageFactor, self.factor)

    @property
    def shrinkage(self) -> float:
        """Of the one."""
        return self._one.shrinkage

    def _cholesky(self, z: Tensor, spread_variance: Tensor) -> Tensor:
        """L of the density at z: that of the last call while the average is as it was, not to be written over."""
        one = self._one
        if (one.lag > 0.0 and one.training) or under_transforms(z, one.second_moment, spread_variance):
            return one.cholesky_of_density(z, spread_variance)
        cache: LastResult[Tensor] = self.__dict__.setdefault("_last_cholesky", LastResult())
        given = one.second_moment, spread_variance
        return cache.of(lambda: one.cholesky_of_density(z, spread_variance), given, one.shrinkage)

    def log_probs(self, z: Tensor, means: Tensor, spread_variance: Tensor) -> Tensor:
        cholesky = self._cholesky(z, spread_variance)
        return log_probs_of_conditionals(z, means, cholesky, self._variances(cholesky, spread_variance))

    def _variances(self, cholesky: Tensor, spread_variance: Tensor) -> Tensor:
        """Conditional variances of the pieces, (M, D) in float64."""
        return variances_of_scale(cholesky, self.log_scales.double().exp().unsqueeze(1), spread_variance)

    @torch.no_grad()
    def factor_of(self, piece: int, spread_variance: Tensor) -> Factor:
        """One of the same spread density."""
        scaled = copy.deepcopy(self._one)
        cholesky = self._cholesky(self.log_scales, spread_variance)
        root = root_of_conditionals(cholesky, self._variances(cholesky, spread_variance)[piece])
        scaled.shrinkage = 0.0  # what it leaves is all there is
        scaled.second_moment.copy_(root @ root.mT)
        scaled.second_moment.diagonal().sub_(spread_variance)
        if scaled.lag > 0.0:
            scaled.unseen.fill_(1.0)  # its decomposition is that of the shape
        return scaled

    @torch.no_grad()
    def root_of(self, piece: int, rank: int | None, spread_variance: Tensor) -> Tensor:
        """s_m E_K √Λ_K, by the one decomposition of all pieces; s_m A is A_m where σ_Z² is small against it."""
        values, vectors = self._one.eigh(spread_variance)
        kept = len(values) if rank is None else rank
        scaled = vectors[:, :kept] * (self.log_scales[piece].double().exp() * values[:kept].sqrt())
        return scaled.to(self._one.rate.dtype)

    def mean_covariance(self, weights: Tensor, spread_variance: Tensor) -> Tensor:
        return (weights @ self.squares) * self._one.covariance(spread_variance)

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
        among_others, means, weights = self._one.is_among_others, means.double(), log_weights.exp()
        seen, origin = validation.all_finite(rows), weights @ means
        z = rows.double() - origin if seen else torch.zeros_like(rows, dtype=torch.float64)
        cholesky, centred = self._cholesky(z, spread_variance), means - origin
        white = whitened_by(cholesky, z, centred)  # once, for the responsibilities and for what they weigh
        joint = log_probs_of_whitened(*white, cholesky, self._variances(cholesky, spread_variance))
        given = (log_weights + joint).softmax(1) * float(seen)
        step_of_weights = moved_weights(given, len(z) if seen else 0, weights, self.rate, self._one)
        if step_of_weights is None:
            return None
        counts, total, now, shares = step_of_weights
        steps = now * counts / (total * shares).clamp_min(_TINY)
        batch = WhitenedBatch(*white, given, counts, steps, among_others)
        squares = self._averaged_squares(batch, cholesky, spread_variance, learn_mean=learn_mean)
        given = given / (squares * total)
        left, right = [z], [z * given.sum(1, keepdim=True)]
        if learn_mean:
            first = summed_over_processes(given.mT @ z, among_others)
            scaled = (counts / (squares * total)).unsqueeze(1)
            shift = steps.unsqueeze(1) * (first / scaled.clamp_min(_TINY) - centred)
            # about the means as they are, Σ r (z − m)(z − m)ᵀ / s², and then as they will be
            left += [first, centred, shift * (scaled / steps.unsqueeze(1).clamp_min(_TINY))]
            right += [-centred, scaled * centred - first, -shift]
            means = means + shift
        self.log_scales.copy_(0.5 * squares.log())
        self.rate.copy_(now)
        self._one.average_in_products(left, right, now, spread_variance)
        return shares, means

    def _averaged_squares(
        self, batch: WhitenedBatch, cholesky: Tensor, spread_variance: Tensor, *, learn_mean: bool
    ) -> Tensor:
        """The new s², (M,), from whitened latents, by least squares: E x_k² = s² f_k about a piece's mean.

        f_k is the share of the conditional variance that is not σ_Z², which the latents are still without.
        """
        share = (1.0 - spread_variance / cholesky.diagonal().square()).clamp_min(_TINY)
        weights = (share / share.square().sum()).expand(len(batch.centres), -1)
        found = batch.given * squares_of(batch.latents, batch.centres, weights)
        return batch.averaged(self.squares, found.sum(0)).clamp_min(LEAST_SQUARE)

    @torch.no_grad()
    def assign_scales(self, root: Tensor, squares: Tensor, spread_variance: Tensor) -> None:
        """As averages that are past their first steps."""
        super().assign_scales(root, squares, spread_variance)
        self.rate.fill_(1.0 - self._one.decay)
