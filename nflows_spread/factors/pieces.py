"""The interface of the factors of a mixture's pieces: what ``DegenerateGaussianMixture`` asks of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor, nn

from nflows_spread.factors.interface import Factor

_SCALE_RANGE = 0.5
"""Largest |log s_m| at the start, at which all pieces would else be the same and stay so: a choice."""


class PieceFactors(nn.Module, ABC):
    """What a mixture asks the factors of its M pieces."""

    @abstractmethod
    def log_probs(self, z: Tensor, means: Tensor, spread_variance: Tensor) -> Tensor:
        """log N(z; m_m, A_m A_mᵀ + σ_Z² I), (n, M) in float64, for ``z`` (n, D) and means (M, D)."""

    @abstractmethod
    def factor_of(self, piece: int, spread_variance: Tensor) -> Factor:
        """The factor of a piece; not to be changed."""

    def root_of(self, piece: int, rank: int | None, spread_variance: Tensor) -> Tensor:
        """A matrix R, (D, r), with RRᵀ = A_m A_mᵀ, or its best approximation of the given rank, E_K √Λ_K."""
        factor = self.factor_of(piece, spread_variance)
        whole = factor.matrix(spread_variance)
        if rank is None:
            return whole
        values, vectors = factor.eigh(spread_variance)
        return (vectors[:, :rank] * values[:rank].sqrt()).to(whole.dtype)

    def mean_covariance(self, weights: Tensor, spread_variance: Tensor) -> Tensor:
        """Σ_m w_m A_m A_mᵀ, (D, D) in float64."""
        roots = (self.root_of(m, None, spread_variance).double() for m in range(len(weights)))
        return reduce(torch.add, (weight * (root @ root.mT) for weight, root in zip(weights, roots, strict=True)))

    @abstractmethod
    def take_over(self, others: PieceFactors, spread_variance: Tensor) -> None:
        """Take on the covariances of as many others, tied if these are, or the nearest that can be represented."""

    @abstractmethod
    def assign(self, weights: Tensor, roots: Sequence[Tensor], spread_variance: Tensor) -> None:
        """Take on the covariances R_m R_mᵀ of roots of shape (D, r), or the nearest that can be represented."""

    @abstractmethod
    def assign_piece(self, piece: int, root: Tensor, spread_variance: Tensor) -> None:
        """Take on the covariance RRᵀ for one piece, or the nearest that leaves the others as they are."""

    @property
    @abstractmethod
    def kind(self) -> Factor:
        """One of the factors, which tells the kind of all."""

    def observe(
        self,
        rows: Tensor,
        log_weights: Tensor,
        means: Tensor,
        spread_variance: Tensor,
        *,
        learn_mean: bool,
    ) -> tuple[Tensor, Tensor] | None:
        """See the latents (n, D) of a training step; the weights (M,) and means (M, D) that they lead to.

        Asked of pieces that are not ``trained`` alone, which learn all their moments so. None where nothing was seen.
        """
        raise NotImplementedError

    trained = True
    """Whether the pieces learn by gradient, and not from the latents directly."""


def first_log_scales(pieces: int) -> Tensor:
    """log s_m at the start, (M,), at equal distances about 0."""
    return torch.linspace(-_SCALE_RANGE, _SCALE_RANGE, pieces) if pieces > 1 else torch.zeros(1)
