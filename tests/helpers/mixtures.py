"""Mixtures of every kind of factor with pieces that are known."""

import pytest
import torch

from nflows_spread import DegenerateGaussianMixture
from nflows_spread.factors import LowerTriangularFactor, LowRankFactor, SpreadCholeskyFactor

FACTORS = {
    "LowerTriangularFactor": LowerTriangularFactor,
    "SpreadCholeskyFactor": SpreadCholeskyFactor,
    "LowRankFactor": LowRankFactor.of_rank(3),
}

every_kind = pytest.mark.parametrize("kind", FACTORS)
tied_or_not = pytest.mark.parametrize("tied", [False, True], ids=["separate", "tied"])


def mixture_of(kind, *, features=5, pieces=3, tied=False, rank=2, largest=4.0, dtype=torch.float64, seed=0, **options):
    """A mixture of random pieces whose factors have eigenvalues from the largest down to a tenth of it."""
    generator = torch.Generator().manual_seed(seed)
    base = DegenerateGaussianMixture([features], pieces, factor=FACTORS[kind], tied=tied, **options).to(dtype)
    drawn = torch.randn(pieces, features, rank, generator=generator, dtype=torch.float64)
    values = torch.linspace(largest, largest / 10, rank, dtype=torch.float64).sqrt()
    roots = [torch.linalg.qr(each).Q * values * 2.0 ** (m / pieces) for m, each in enumerate(drawn)]
    if tied:
        roots = [roots[0] * 2.0 ** (m / pieces) for m in range(pieces)]
    means = torch.randn(pieces, features, generator=generator, dtype=torch.float64)
    base.assign(torch.linspace(1.0, 2.0, pieces), means if options.get("learn_mean", True) else 0.0 * means, roots)
    return base


def covariances_of(base):
    """A_m A_mᵀ of all pieces, (M, D, D), float64."""
    with torch.no_grad():
        return torch.stack([base.piece(m).covariance for m in range(base.pieces)]).double()


def means_of(base):
    return torch.stack([base.piece(m).mean().detach().flatten() for m in range(base.pieces)]).double()
