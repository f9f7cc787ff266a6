"""Factors whose entries are parameters, trained by gradient."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from nflows_spread import validation
from nflows_spread.factors.cache import cached_eigh
from nflows_spread.linalg.cholesky import cholesky_entries_of, cholesky_log_prob, covariance_from_cholesky
from nflows_spread.linalg.dense import spread_log_prob
from nflows_spread.linalg.eigen import eigenvalues_descending, eigh_descending, factor_eigh
from nflows_spread.linalg.low_rank import low_rank_eigenvalues, low_rank_eigh, low_rank_log_prob, low_rank_of
from nflows_spread.linalg.spread import lower_factor_of


class _Trained(nn.Module):
    """A factor whose entries are trained by gradient: nothing to observe, no options unless it says so."""

    entries: nn.Parameter

    def observe(self, z: Tensor, spread_variance: Tensor) -> None:
        pass

    def options(self) -> dict[str, float]:
        return {}

    @torch.no_grad()
    def _set(self, entries: Tensor) -> None:
        self.entries.copy_(entries)


class LowerTriangularFactor(_Trained):
    """The paper's A: lower-triangular, D(D+1)/2 free entries, the identity at the start (section 3).

    Represents every prior. A training step costs O(D³), with one Cholesky decomposition and a gradient
    in closed form.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.entries = nn.Parameter(torch.eye(features))

    def matrix(self, spread_variance: Tensor) -> Tensor:
        return self.entries.tril()

    def log_prob(self, z: Tensor, spread_variance: Tensor) -> Tensor:
        return spread_log_prob(z, self.entries, spread_variance)

    @torch.no_grad()
    def eigh(self, spread_variance: Tensor) -> tuple[Tensor, Tensor]:
        return cached_eigh(self, lambda: factor_eigh(self.matrix(spread_variance)), self.entries)

    @torch.no_grad()
    def eigenvalues(self, spread_variance: Tensor) -> Tensor:
        a = self.matrix(spread_variance).double()
        return eigenvalues_descending(a @ a.mT)

    def assign(self, root: Tensor, spread_variance: Tensor) -> None:
        self._set(lower_factor_of(root.detach()))


class SpreadCholeskyFactor(_Trained):
    """The Cholesky factor L of the spread covariance Σ = AAᵀ + σ_Z² I itself, for many features.

    A training step costs O(D² n) and has no decomposition. The entries B are those of L below the
    diagonal, and L_ii = √(B_ii² + σ_Z²), so that the conditional variances L_ii² of the latents keep
    the floor σ_Z² that they have under every spread prior; B = I at the start. This bounds the density,
    but it does not force all of Σ ≥ σ_Z² I. AAᵀ is read off as (Σ − σ_Z² I)₊, negative eigenvalues set
    to 0, at O(D³); where some were set to 0, ``log_prob`` is the density of Σ and not that of the
    clipped AAᵀ + σ_Z² I. What is read off carries no gradient.

    When ``spread_variance`` changes, B stays and L follows: the diagonal of Σ moves by exactly the
    change, as that of AAᵀ + σ_Z² I does, so the variances in AAᵀ stay (where nothing is clipped); its
    covariances move a little. To carry AAᵀ over exactly, once and at O(D³), take
    ``factor.matrix`` before the change and give it to ``factor.assign`` after it.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.entries = nn.Parameter(torch.eye(features))

    @torch.no_grad()
    def matrix(self, spread_variance: Tensor) -> Tensor:
        values, vectors = self.eigh(spread_variance)
        return (vectors * values.sqrt()).to(self.entries.dtype)

    def log_prob(self, z: Tensor, spread_variance: Tensor) -> Tensor:
        return cholesky_log_prob(z, self.entries, spread_variance)

    @torch.no_grad()
    def eigh(self, spread_variance: Tensor) -> tuple[Tensor, Tensor]:
        def compute() -> tuple[Tensor, Tensor]:
            return eigh_descending(covariance_from_cholesky(self.entries, spread_variance))

        return cached_eigh(self, compute, self.entries, spread_variance)

    @torch.no_grad()
    def eigenvalues(self, spread_variance: Tensor) -> Tensor:
        return eigenvalues_descending(covariance_from_cholesky(self.entries, spread_variance))

    def assign(self, root: Tensor, spread_variance: Tensor) -> None:
        self._set(cholesky_entries_of(root.detach(), spread_variance))


class LowRankFactor(_Trained):
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

    def __init__(self, features: int, rank: int) -> None:
        super().__init__()
        # by columns in memory, as its products want it
        self.entries = nn.Parameter(torch.eye(validation.rank_within(rank, features), features).mT)

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
