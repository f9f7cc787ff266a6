"""The paper's lower-triangular A, with a log-density in closed form at O(D³) a step."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nflows_spread import validation
from nflows_spread.argument_types import typed
from nflows_spread.factors.cache import cached_eigh
from nflows_spread.factors.interface import TrainedFactor
from nflows_spread.linalg.dense import spread_log_prob
from nflows_spread.linalg.eigen import eigenvalues_descending, factor_eigh
from nflows_spread.linalg.spread_covariance import lower_factor_of


class LowerTriangularFactor(TrainedFactor):
    """The paper's A: lower-triangular, D(D+1)/2 free entries, the identity at the start (section 3).

    Represents every prior. A training step costs O(D³), with one Cholesky decomposition and a gradient
    in closed form.
    """

    @typed
    def __init__(self, features: int) -> None:
        super().__init__()
        self.entries = nn.Parameter(torch.eye(validation.positive_int("features", features)))

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
