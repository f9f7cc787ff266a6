"""A factor for each piece of a mixture; dense ones of few features are decomposed in one batched call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from nflows_spread.factors.interface import Factor
from nflows_spread.factors.low_rank import LowRankFactor
from nflows_spread.factors.low_rank_plus_diagonal import LowRankPlusDiagonalFactor
from nflows_spread.factors.lower_triangular import LowerTriangularFactor
from nflows_spread.factors.pieces import PieceFactors, first_log_scales
from nflows_spread.factors.spread_cholesky import SpreadCholeskyFactor
from nflows_spread.linalg.cholesky_pieces import cholesky_log_probs_of_pieces
from nflows_spread.linalg.few_features import SMALL
from nflows_spread.linalg.low_rank_plus_diagonal import low_rank_plus_diagonal_log_probs
from nflows_spread.linalg.pieces import log_probs_of_pieces

_MOST_FEATURES_TOGETHER = 512
"""Features up to which dense factors are stacked and decomposed in one call: a choice, for the memory of the stack."""


class SeparateFactors(PieceFactors):
    """A factor for each piece. From 1 024 features on, M decompositions; up to 512 dense ones are one batched one.

    Args:
        factors: M new factors of one kind. Where there are several, the covariances of those with parameters are
            brought to different scales.

    """

    def __init__(self, factors: Sequence[Factor]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(cast(Sequence[nn.Module], factors))
        self._spread_scales(first_log_scales(len(factors)).exp())

    @property
    def kind(self) -> Factor:
        return self._factor(0)

    def _factor(self, piece: int) -> Factor:
        return cast(Factor, self.parts[piece])

    def factor_of(self, piece: int, spread_variance: Tensor) -> Factor:
        return self._factor(piece)

    def log_probs(self, z: Tensor, means: Tensor, spread_variance: Tensor) -> Tensor:
        kind, features = type(self.kind), z.shape[1]
        together = features <= _MOST_FEATURES_TOGETHER
        if kind is LowerTriangularFactor and together:
            return log_probs_of_pieces(z, means, self._entries(), spread_variance, lower=True)
        if kind is LowRankFactor and features <= SMALL:
            return log_probs_of_pieces(z, means, self._entries(), spread_variance, lower=False)
        if kind is SpreadCholeskyFactor and together:
            return cholesky_log_probs_of_pieces(z, means, self._entries(), spread_variance)
        if kind is LowRankPlusDiagonalFactor:
            parts = cast(Sequence[LowRankPlusDiagonalFactor], list(self.parts))
            variances = torch.stack([part.variances(spread_variance) for part in parts])
            return low_rank_plus_diagonal_log_probs(z, means, self._entries(), variances)
        rows = z.double()
        found = [self._factor(m).log_prob(rows - mean, spread_variance) for m, mean in enumerate(means.double())]
        return torch.stack(found, dim=1).double()

    @torch.no_grad()
    def _spread_scales(self, scales: Tensor) -> None:
        """Bring the covariances of all pieces, which are the same, to different scales."""
        for part, scale in zip(self.parts, scales, strict=True):
            for parameter in part.parameters():
                parameter.mul_(scale)

    def _entries(self) -> Tensor:
        return torch.stack([cast(Tensor, part.entries) for part in self.parts])

    def take_over(self, others: PieceFactors, spread_variance: Tensor) -> None:
        for m in range(len(self.parts)):
            self._factor(m).assign(others.root_of(m, None, spread_variance), spread_variance)

    def assign(self, weights: Tensor, roots: Sequence[Tensor], spread_variance: Tensor) -> None:
        for m, root in enumerate(roots):
            self._factor(m).assign(root, spread_variance)

    def assign_piece(self, piece: int, root: Tensor, spread_variance: Tensor) -> None:
        self._factor(piece).assign(root, spread_variance)
