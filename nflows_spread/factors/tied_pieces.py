"""One A for all pieces of a mixture, A_m = s_m A with learned scales: one decomposition in all."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from nflows_spread.factors.interface import Factor
from nflows_spread.factors.low_rank import LowRankFactor
from nflows_spread.factors.lower_triangular import LowerTriangularFactor
from nflows_spread.factors.pieces import PieceFactors, first_log_scales
from nflows_spread.factors.spread_cholesky import SpreadCholeskyFactor
from nflows_spread.linalg.cholesky_pieces import cholesky_log_probs_of_scales, scaled_entries_of
from nflows_spread.linalg.common_shape import common_shape
from nflows_spread.linalg.eigen import positive_root
from nflows_spread.linalg.scaled import log_probs_of_scales
from nflows_spread.linalg.spread_covariance import spread_cholesky


class TiedFactors(PieceFactors):
    """One A for all pieces, A_m = s_m A with learned scales: one decomposition in all.

    A ``SpreadCholeskyFactor`` is decomposed already: there the scales are those of the part of its conditional
    variances that is not noise, see ``cholesky_log_probs_of_scales``, and A_m is s_m A where σ_Z² is small against it.

    Args:
        factor: the one.
        pieces: M.

    Raises:
        TypeError: the kind has no form with scales.
    """

    def __init__(self, factor: Factor, pieces: int) -> None:
        super().__init__()
        if type(factor) not in (LowerTriangularFactor, LowRankFactor, SpreadCholeskyFactor):
            raise TypeError(
                "the factor of tied pieces must be a LowerTriangularFactor, LowRankFactor, SpreadCholeskyFactor or "
                f"RunningAverageFactor, got {type(factor).__name__}; take one of these, or tied=False"
            )
        self.factor = cast(nn.Module, factor)
        self.log_scales = nn.Parameter(first_log_scales(pieces))

    @property
    def squares(self) -> Tensor:
        """s_m², (M,), float64."""
        return (2.0 * self.log_scales.double()).exp()

    @property
    def kind(self) -> Factor:
        return cast(Factor, self.factor)

    def log_probs(self, z: Tensor, means: Tensor, spread_variance: Tensor) -> Tensor:
        entries, scales = cast(Tensor, self.factor.entries), self.log_scales.double().exp()
        if isinstance(self.factor, SpreadCholeskyFactor):
            return cholesky_log_probs_of_scales(z, means, entries, scales, spread_variance)
        lower = isinstance(self.factor, LowerTriangularFactor)
        return log_probs_of_scales(z, means, entries, scales, spread_variance, lower=lower)

    @torch.no_grad()
    def factor_of(self, piece: int, spread_variance: Tensor) -> Factor:
        scaled, scale = copy.deepcopy(self.factor), self.log_scales[piece].double().exp()
        entries = cast(Tensor, scaled.entries)
        if isinstance(self.factor, SpreadCholeskyFactor):
            entries.copy_(scaled_entries_of(entries, scale, spread_variance))
        else:
            entries.mul_(scale)
        return cast(Factor, scaled)

    @torch.no_grad()
    def take_over(self, others: PieceFactors, spread_variance: Tensor) -> None:
        tied = cast(TiedFactors, others)
        self.assign_scales(tied.kind.matrix(spread_variance), tied.squares, spread_variance)

    @torch.no_grad()
    def assign(self, weights: Tensor, roots: Sequence[Tensor], spread_variance: Tensor) -> None:
        """Take on the likeliest AAᵀ and scales, see ``common_shape``."""
        covariances = torch.stack([root.double() @ root.double().mT for root in roots])
        shape, squares = common_shape(weights.double(), covariances, float(spread_variance))
        self.assign_scales(positive_root(shape), squares, spread_variance)

    @torch.no_grad()
    def assign_scales(self, root: Tensor, squares: Tensor, spread_variance: Tensor) -> None:
        """Take on the covariances s_m² RRᵀ of a root R, (D, r), and squares s², (M,)."""
        self.kind.assign(root, spread_variance)
        self.log_scales.copy_(0.5 * squares.log())

    @torch.no_grad()
    def assign_piece(self, piece: int, root: Tensor, spread_variance: Tensor) -> None:
        """Take on the scale s_m² = tr(C⁻¹RRᵀ) / tr(C⁻¹AAᵀ), C = AAᵀ + σ_Z² I, at which A is left as it is."""
        a = self.kind.matrix(spread_variance).double()
        both = torch.cat([root.double(), a], 1)
        whitened = torch.linalg.solve_triangular(spread_cholesky(a, spread_variance), both, upper=False)
        own, common = whitened.square().sum(0).tensor_split([root.shape[1]])
        self.log_scales[piece] = 0.5 * (own.sum() / common.sum()).log()
