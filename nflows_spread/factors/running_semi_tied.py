"""Semi-tied pieces without parameters: one unit triangle, conditional variances of each piece's own (online EM)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from nflows_spread.factors.pieces import PieceFactors
from nflows_spread.factors.running_average import RunningAverageFactor
from nflows_spread.factors.running_tied import LEAST_SQUARE, RunningTiedFactors, WhitenedBatch
from nflows_spread.linalg.cholesky_pieces import root_of_conditionals
from nflows_spread.linalg.eigen import eigh_descending, positive_root
from nflows_spread.linalg.moments import add_to_diagonal
from nflows_spread.linalg.squares import gradients_of_squares
from nflows_spread.linalg.whitened_noise import whitened_noise


class RunningSemiTiedFactors(RunningTiedFactors):
    """Covariances A_m A_mᵀ + σ_Z² I = T diag(v_m) Tᵀ of one unit triangle T: semi-tied covariances (Gales, 1999).

    In the coordinates T⁻¹(z − m_m) the features of each piece are independent, with variances v_m of its own, at least
    σ_Z²: running averages of the squares of its latents there, to which the variance of the spread noise is added. T is
    the one of LLᵀ = S + σ_Z² I, where S is the running average of the second moment of latents whose scale is taken off
    (see ``RunningTiedFactors``), s_m² being the mean of v_m / L_ii². So densities cost the one decomposition, and steps
    hardly more than those of tied pieces.

    Args:
        factor: the one, of S.
        pieces: M.
    """

    excess: Tensor
    noise: Tensor

    def __init__(self, factor: RunningAverageFactor, pieces: int) -> None:
        super().__init__(factor, pieces)
        features = len(factor.second_moment)
        self.register_buffer("excess", self.squares.unsqueeze(1).repeat(1, features))  # v_m − σ_Z², (M, D)
        self.register_buffer("noise", torch.ones(features, dtype=torch.float64))  # diag(L⁻¹L⁻ᵀ), where L lags

    def _variances(self, cholesky: Tensor, spread_variance: Tensor) -> Tensor:
        return self.excess.double() + spread_variance.double()

    @torch.no_grad()
    def root_of(self, piece: int, rank: int | None, spread_variance: Tensor) -> Tensor:
        """Of (T diag(v_m) Tᵀ − σ_Z² I)₊; below full rank at the cost of an eigendecomposition of the piece."""
        covariance = self._covariance_of(self.excess[piece], spread_variance)
        if rank is None or rank == len(covariance):
            root, info = torch.linalg.cholesky_ex(covariance)
            return (root if int(info) == 0 else positive_root(covariance)).to(self._one.rate.dtype)
        values, vectors = eigh_descending(covariance)
        return (vectors[:, :rank] * values[:rank].sqrt()).to(self._one.rate.dtype)

    def mean_covariance(self, weights: Tensor, spread_variance: Tensor) -> Tensor:
        return self._covariance_of(weights @ self.excess.double(), spread_variance)

    def _covariance_of(self, excess: Tensor, spread_variance: Tensor) -> Tensor:
        """T diag(v) Tᵀ − σ_Z² I."""
        cholesky = self._cholesky(self.excess, spread_variance)
        root = root_of_conditionals(cholesky, excess.double() + spread_variance.double())
        return add_to_diagonal(root @ root.mT, -float(spread_variance))

    def _averaged_squares(
        self, batch: WhitenedBatch, cholesky: Tensor, spread_variance: Tensor, *, learn_mean: bool
    ) -> Tensor:
        """The new s², (M,), once the v_m have moved."""
        own = cholesky.diagonal().square()
        noise = self.noise * spread_variance if self._one.lag > 0.0 else whitened_noise(cholesky, spread_variance)
        _, first, second = gradients_of_squares(batch.given, *batch[:2], torch.ones_like(batch.centres))
        second += batch.given.sum(0).unsqueeze(1) * noise
        whitened = batch.averaged(self._variances(cholesky, spread_variance) / own, second)
        if learn_mean:  # about the means as they will be
            whitened -= batch.averaged(torch.zeros_like(whitened), first).square()
        return self._set_whitened(whitened, own, spread_variance)

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
        before = self._one.cholesky if self._one.lag > 0.0 else None
        found = super().observe(rows, log_weights, means, spread_variance, learn_mean=learn_mean)
        if before is not None and self._one.cholesky is not before:
            self._keep_noise(self._one.cholesky, spread_variance)
        return found

    def _keep_noise(self, cholesky: Tensor, spread_variance: Tensor) -> None:
        self.noise.copy_(whitened_noise(cholesky, spread_variance) / spread_variance)

    def _set_whitened(self, whitened: Tensor, own: Tensor, spread_variance: Tensor) -> Tensor:
        """Take on v_mi = L_ii² times these, (M, D), but at least σ_Z²; the s² that go with them, (M,)."""
        self.excess.copy_((whitened * own - spread_variance).clamp_min(0.0))
        return whitened.mean(1).clamp_min(LEAST_SQUARE)

    @torch.no_grad()
    def assign_whitened(self, root: Tensor, whitened: Tensor, spread_variance: Tensor) -> None:
        """Take on a shape RRᵀ, (D, r), and the v_mi / L_ii² of its L, (M, D)."""
        super().assign_scales(root, whitened.mean(1).clamp_min(LEAST_SQUARE), spread_variance)
        cholesky = self._cholesky(root, spread_variance)
        self._set_whitened(whitened, cholesky.diagonal().square(), spread_variance)
        self._keep_noise(cholesky, spread_variance)

    @torch.no_grad()
    def assign_scales(self, root: Tensor, squares: Tensor, spread_variance: Tensor) -> None:
        super().assign_scales(root, squares, spread_variance)
        cholesky = self._cholesky(root, spread_variance)
        self.excess.copy_(super()._variances(cholesky, spread_variance) - spread_variance)
        self._keep_noise(cholesky, spread_variance)

    @torch.no_grad()
    def take_over(self, others: PieceFactors, spread_variance: Tensor) -> None:
        super().take_over(others, spread_variance)
        if isinstance(others, RunningSemiTiedFactors):
            self.excess.copy_(others.excess)

    @torch.no_grad()
    def assign(self, weights: Tensor, roots: Sequence[Tensor], spread_variance: Tensor) -> None:
        """Take on the likeliest shape at scales, see ``common_shape``, and then the likeliest v_m with its T."""
        super().assign(weights, roots, spread_variance)
        for piece, root in enumerate(roots):
            self.assign_piece(piece, root, spread_variance)

    @torch.no_grad()
    def assign_piece(self, piece: int, root: Tensor, spread_variance: Tensor) -> None:
        """Take on the likeliest v_m of RRᵀ + σ_Z² I with T as it is, the conditional variances diag(T⁻¹(·)T⁻ᵀ)."""
        cholesky = self._cholesky(root, spread_variance)
        squares = torch.linalg.solve_triangular(cholesky, root.double(), upper=False).square().sum(1)
        whitened, own = squares + whitened_noise(cholesky, spread_variance), cholesky.diagonal().square()
        self.excess[piece] = (whitened * own - spread_variance).clamp_min(0.0)
        self.log_scales[piece] = 0.5 * whitened.mean().clamp_min(LEAST_SQUARE).log()
