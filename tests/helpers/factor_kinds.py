"""Every kind of factor, and bases of each with a covariance that is known."""

import pytest
import torch

from nflows_spread import DegenerateGaussian
from nflows_spread.factors import (
    KINDS,
    LowerTriangularFactor,
    LowRankFactor,
    LowRankPlusDiagonalFactor,
    RunningAverageFactor,
    SpreadCholeskyFactor,
)

FEATURES = 6
RANK = 3
FACTORS = {
    "LowerTriangularFactor": LowerTriangularFactor,
    "SpreadCholeskyFactor": SpreadCholeskyFactor,
    "LowRankFactor": LowRankFactor.of_rank(RANK),
    "LowRankPlusDiagonalFactor": LowRankPlusDiagonalFactor.of_rank(RANK),
    "RunningAverageFactor": RunningAverageFactor,
}

every_kind = pytest.mark.parametrize("kind", FACTORS)


def random_root(features=FEATURES, rank=RANK, largest=4.0, dtype=torch.float64):
    """R, (D, rank), whose RRᵀ has eigenvalues from the largest down to a tenth of it, along random directions."""
    basis = torch.linalg.qr(torch.randn(features, rank, dtype=torch.float64)).Q
    return (basis * torch.linspace(largest, largest / 10, rank, dtype=torch.float64).sqrt()).to(dtype)


def base_of_kind(kind, root=None, dtype=torch.float64, **options):
    """A base of the kind with covariance RRᵀ."""
    root = random_root() if root is None else root
    factor = KINDS[kind].of_rank(root.shape[1]) if "LowRank" in kind else FACTORS[kind]
    base = DegenerateGaussian([len(root)], factor=factor, **options).to(dtype)
    base.factor.assign(root, base.spread_variance)
    return base


def points_of(base, n=8):
    with torch.no_grad():
        return base.spread(base.sample(n)).requires_grad_()
