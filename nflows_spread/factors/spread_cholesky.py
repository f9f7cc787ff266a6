"""The Cholesky factor of the spread covariance AAᵀ + σ_Z² I itself, trained at O(D² n) a step, for many features."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nflows_spread import validation
from nflows_spread.argument_types import typed
from nflows_spread.factors.cache import cached_eigh
from nflows_spread.factors.interface import TrainedFactor
from nflows_spread.linalg.cholesky import cholesky_entries_of, cholesky_log_prob, covariance_from_cholesky
from nflows_spread.linalg.eigen import eigenvalues_descending, eigh_descending


class SpreadCholeskyFactor(TrainedFactor):
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

    matrix_has_gradient = False

    @typed
    def __init__(self, features: int) -> None:
        super().__init__()
        self.entries = nn.Parameter(torch.eye(validation.positive_int("features", features)))

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
