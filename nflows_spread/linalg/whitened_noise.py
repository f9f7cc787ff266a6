"""The variances of white noise in coordinates in which a covariance is the identity, diag(L⁻¹L⁻ᵀ)."""

from __future__ import annotations

import torch
from torch import Tensor

from nflows_spread.linalg.triangular import invert_lower

_PROBES = 64
"""Random signs by which they are estimated: a choice, by which an estimate is off by less than 18 % of itself."""

_NEGLIGIBLE = 0.05
"""The largest variance up to which that is enough, over the 1 of the covariance: a choice. An error of 0.9 % in a
variance costs 2e-5 nats of likelihood."""


def whitened_noise(cholesky: Tensor, spread_variance: Tensor) -> Tensor:
    """σ_Z² diag(L⁻¹L⁻ᵀ), (D,), of a lower-triangular L (D, D) in float64: the variances of L⁻¹ε for ε ~ N(0, σ_Z² I).

    They are means over signs ε, at O(D²), where all are so small beside 1 that nothing depends on their digits, and
    else exact, at the price of a decomposition.
    """
    variance, features = spread_variance.double(), len(cholesky)
    if features > _PROBES:
        generator = torch.Generator().manual_seed(0)
        signs = torch.randint(2, (_PROBES, features), generator=generator).to(cholesky) * 2.0 - 1.0
        solved = torch.linalg.solve_triangular(cholesky, signs.mT, upper=False)
        found = variance * solved.square().mean(1)
        if float(found.max()) <= _NEGLIGIBLE:
            return found
    inverse = cholesky.tril()
    invert_lower(inverse)
    return variance * inverse.square().sum(1)
