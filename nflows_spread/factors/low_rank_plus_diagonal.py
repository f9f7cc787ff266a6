"""A low-rank A with a diagonal beside it, AAᵀ = WWᵀ + diag(d²), as in factor analysis, for many noisy features."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from nflows_spread import validation
from nflows_spread.argument_types import typed
from nflows_spread.factors.cache import cached_eigh
from nflows_spread.factors.interface import TrainedFactor
from nflows_spread.linalg.eigen import eigenvalues_descending, factor_eigh
from nflows_spread.linalg.low_rank_plus_diagonal import low_rank_plus_diagonal_log_prob, low_rank_plus_diagonal_of


class LowRankPlusDiagonalFactor(TrainedFactor):
    """A = [W, diag(d)]: r columns, and a standard deviation of its own for each latent feature.

    Where a ``LowRankFactor`` leaves σ_Z² alone to the D − r flat directions, here each feature has its own noise, such
    as that of data with noise in a flow that does little to it: the covariance of factor analysis. A training step
    costs O(D + K r (r + n)), and that of M pieces of a mixture a few products of all at once. AAᵀ is the identity at
    the start.

    Args:
        features: D.
        rank: r, between 1 and K.
        leading: K, the number of features, the first ones, that W reaches; by default all D.

    Attributes:
        entries: W, (K, r).
        deviations: d, (D,).

    Raises:
        TypeError: ``rank`` or ``leading`` is no integer.
        ValueError: one of them is out of range.
    """

    @typed
    def __init__(self, features: int, rank: int, leading: int | None = None) -> None:
        super().__init__()
        validation.positive_int("features", features)
        reached = features if leading is None else validation.integer("leading", leading)
        if not 1 <= reached <= features:
            raise ValueError(f"leading must be between 1 and {features}, the features, got {leading}")
        half = torch.full((validation.rank_within(rank, reached),), 0.5).sqrt()  # a W of 0 would stay so
        self.entries = nn.Parameter(torch.eye(reached, rank) * half)
        self.deviations = nn.Parameter(torch.cat([half, torch.ones(features - rank)]))

    @classmethod
    def of_rank(cls, rank: int, *, leading: int | None = None) -> Callable[[int], LowRankPlusDiagonalFactor]:
        """The kind for ``DegenerateGaussian(shape, factor=LowRankPlusDiagonalFactor.of_rank(16))``."""
        return partial(cls, rank=rank, leading=leading)

    def matrix(self, spread_variance: Tensor) -> Tensor:
        low_rank = pad(self.entries, (0, 0, 0, len(self.deviations) - len(self.entries)))
        return torch.cat([low_rank, self.deviations.diag()], 1)

    def variances(self, spread_variance: Tensor) -> Tensor:
        """d² + σ_Z², (D,), float64."""
        return self.deviations.double().square() + spread_variance

    def log_prob(self, z: Tensor, spread_variance: Tensor) -> Tensor:
        return low_rank_plus_diagonal_log_prob(z, self.entries, self.variances(spread_variance))

    @torch.no_grad()
    def eigh(self, spread_variance: Tensor) -> tuple[Tensor, Tensor]:
        return cached_eigh(self, lambda: factor_eigh(self.matrix(spread_variance)), self.entries, self.deviations)

    @torch.no_grad()
    def eigenvalues(self, spread_variance: Tensor) -> Tensor:
        a = self.matrix(spread_variance).double()
        return eigenvalues_descending(a @ a.mT)

    @torch.no_grad()
    def assign(self, root: Tensor, spread_variance: Tensor) -> None:
        reached, rank = self.entries.shape
        low_rank, variances = low_rank_plus_diagonal_of(root.detach(), rank, reached)
        self.entries.copy_(low_rank)
        self.deviations.copy_(variances.sqrt())

    def options(self) -> dict[str, float]:
        reached, rank = self.entries.shape
        whole = reached == len(self.deviations)
        return {"rank": rank} if whole else {"rank": rank, "leading": reached}
