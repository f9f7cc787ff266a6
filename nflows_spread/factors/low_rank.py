"""A low-rank A of r columns, trained at O(D r (r + n)) a step, for many features."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from nflows_spread import validation
from nflows_spread.argument_types import typed
from nflows_spread.factors.cache import cached_eigh
from nflows_spread.factors.interface import TrainedFactor
from nflows_spread.linalg.low_rank import low_rank_eigenvalues, low_rank_eigh, low_rank_log_prob, low_rank_of


class LowRankFactor(TrainedFactor):
    """An A with r columns, for many features on a manifold whose dimension is at most about r.

    A training step costs O(D r (r + n)). At the start A is the first r columns of the identity. The
    D − r flat directions have variance σ_Z² alone, from the first step on.

    Args:
        features: D.
        rank: r, between 1 and D.

    Raises:
        TypeError: ``rank`` is no integer.
        ValueError: ``rank`` is out of range.
    """

    @typed
    def __init__(self, features: int, rank: int) -> None:
        super().__init__()
        # by columns in memory, as its products want it
        self.entries = nn.Parameter(
            torch.eye(validation.rank_within(rank, validation.positive_int("features", features)), features).mT
        )

    @classmethod
    def of_rank(cls, rank: int) -> Callable[[int], LowRankFactor]:
        """The kind for ``DegenerateGaussian(shape, factor=LowRankFactor.of_rank(64))``."""
        return partial(cls, rank=rank)

    def matrix(self, spread_variance: Tensor) -> Tensor:
        return self.entries.clone()  # what a caller does with it must not move the prior

    def log_prob(self, z: Tensor, spread_variance: Tensor) -> Tensor:
        return low_rank_log_prob(z, self.entries, spread_variance)

    @torch.no_grad()
    def eigh(self, spread_variance: Tensor) -> tuple[Tensor, Tensor]:
        return cached_eigh(self, lambda: low_rank_eigh(self.entries), self.entries)

    @torch.no_grad()
    def eigenvalues(self, spread_variance: Tensor) -> Tensor:
        return low_rank_eigenvalues(self.entries)

    def assign(self, root: Tensor, spread_variance: Tensor) -> None:
        self._set(low_rank_of(root.detach(), self.entries.shape[1]))

    def options(self) -> dict[str, float]:
        return {"rank": self.entries.shape[1]}
