"""The factors of a mixture's pieces: one for each, or one A at M scales."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import reduce
from typing import cast

import torch
from torch import Tensor, nn

from nflows_spread.factors.interface import Factor
from nflows_spread.factors.low_rank import LowRankFactor
from nflows_spread.factors.lower_triangular import LowerTriangularFactor
from nflows_spread.factors.spread_cholesky import SpreadCholeskyFactor
from nflows_spread.linalg.cholesky_pieces import (
    cholesky_log_probs_of_pieces,
    cholesky_log_probs_of_scales,
    scaled_entries_of,
)
from nflows_spread.linalg.few_features import SMALL
from nflows_spread.linalg.pieces import log_probs_of_pieces
from nflows_spread.linalg.scaled import log_probs_of_scales

_MOST_FEATURES_TOGETHER = 512
"""Features up to which dense factors are stacked and decomposed in one call: a choice, for the memory of the stack."""

_SCALE_RANGE = 0.5
"""Largest |log s_m| at the start, at which all pieces would else be the same and stay so: a choice."""

_SMALLEST_SCALE = 1e-3
"""s_m² of a piece without variance, over the mean of all: a choice, as a scale must be above 0."""


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
    def converted(self, kind: Callable[[int], Factor], features: int, spread_variance: Tensor) -> PieceFactors:
        """Those of another kind, dtype and device as here, with the same covariances or the nearest that it has."""

    @abstractmethod
    def assign(self, weights: Tensor, roots: Sequence[Tensor], spread_variance: Tensor) -> None:
        """Take on the covariances R_m R_mᵀ of roots of shape (D, r), or the nearest that can be represented."""

    @property
    @abstractmethod
    def kind(self) -> Factor:
        """One of the factors, which tells the kind of all."""


class SeparateFactors(PieceFactors):
    """A factor for each piece. From 1 024 features on, M decompositions; up to 512 dense ones are one batched one.

    Args:
        factors: M new factors of one kind. Where there are several, the covariances of those with ``entries`` are
            brought to different scales.

    Raises:
        TypeError: the kind has no parameters to train.
    """

    def __init__(self, factors: Sequence[Factor]) -> None:
        super().__init__()
        _check_kind(factors[0])
        self.parts = nn.ModuleList(cast(Sequence[nn.Module], factors))

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
        rows = z.double()
        found = [self._factor(m).log_prob(rows - mean, spread_variance) for m, mean in enumerate(means.double())]
        return torch.stack(found, dim=1).double()

    def _entries(self) -> Tensor:
        return torch.stack([cast(Tensor, part.entries) for part in self.parts])

    def converted(self, kind: Callable[[int], Factor], features: int, spread_variance: Tensor) -> SeparateFactors:
        new = [kind(features) for _ in self.parts]
        converted = SeparateFactors(new).to(next(self.parameters()))
        for m, factor in enumerate(new):
            factor.assign(self._factor(m).matrix(spread_variance), spread_variance)
        return converted

    @torch.no_grad()
    def spread_scales(self) -> None:
        """Bring the covariances of all pieces, which are the same, to different scales."""
        for part, log_scale in zip(self.parts, _log_scales(len(self.parts)), strict=True):
            entries = getattr(part, "entries", None)
            if isinstance(entries, Tensor):
                entries.mul_(log_scale.exp())

    def assign(self, weights: Tensor, roots: Sequence[Tensor], spread_variance: Tensor) -> None:
        for m, root in enumerate(roots):
            self._factor(m).assign(root, spread_variance)


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
                "the factor of tied pieces must be a LowerTriangularFactor, LowRankFactor or SpreadCholeskyFactor, "
                f"got {type(factor).__name__}; take one of these, or tied=False"
            )
        self.factor = cast(nn.Module, factor)
        self.log_scales = nn.Parameter(_log_scales(pieces))

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

    def converted(self, kind: Callable[[int], Factor], features: int, spread_variance: Tensor) -> TiedFactors:
        converted = TiedFactors(kind(features), len(self.log_scales)).to(self.log_scales)
        with torch.no_grad():
            converted.log_scales.copy_(self.log_scales)
        converted.kind.assign(self.kind.matrix(spread_variance), spread_variance)
        return converted

    @torch.no_grad()
    def assign(self, weights: Tensor, roots: Sequence[Tensor], spread_variance: Tensor) -> None:
        """Take on AAᵀ = Σ_m w_m R_m R_mᵀ / s_m², of scales s_m² in proportion to the variance of each piece."""
        variances = torch.stack([root.double().square().sum() for root in roots])
        total = (weights.double() * variances).sum()
        scales = (variances / total).clamp_min(_SMALLEST_SCALE).sqrt()
        parts = [root.double() * (w.sqrt() / s) for root, w, s in zip(roots, weights.double(), scales, strict=True)]
        self.kind.assign(torch.cat(parts, dim=1), spread_variance)
        self.log_scales.copy_(scales.log())


def _log_scales(pieces: int) -> Tensor:
    return torch.linspace(-_SCALE_RANGE, _SCALE_RANGE, pieces) if pieces > 1 else torch.zeros(1)


def _check_kind(factor: Factor) -> None:
    if not list(cast(nn.Module, factor).parameters()):
        raise TypeError(
            f"the factor of a piece must be trained by gradient, got a {type(factor).__name__}, which learns from "
            "all latents and knows nothing of pieces; take another kind of factor"
        )
