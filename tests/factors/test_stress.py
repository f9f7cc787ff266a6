"""Densities at the ends of what numbers can be: conditions to 1e12, eigenvalues 1e-12 to 1e6, ranks 0 to D, D to 4 096.

In float64 they are right to 1e-6, or 1e-4, up to a condition of 1e12. Beyond, and in float32, where the points
themselves are rounded by more than σ_Z, they and their gradients are finite.
"""

import math

import pytest
import torch

from factor_kinds import FACTORS, every_kind
from nflows_spread import DegenerateGaussian
from nflows_spread.factors import KINDS, LowRankFactor

ENDS = {"wide": (1e-12, 1e6), "tiny": (1e-12, 1e-8), "huge": (1e2, 1e6), "usual": (1e-3, 1.0)}
CONDITION, ERROR = 1e12, 1e-6
OF_SUMS = {"RunningAverageFactor": 1e-4, "LowRankPlusDiagonalFactor": 1e-4}
"""Where the kind holds the covariance as a sum, which rounds small eigenvalues beside large ones."""


def case(kind, features, rank, ends, spread_variance):
    """A prior in float64, points of it spread, and their true log-density by its eigenvalues."""
    generator = torch.Generator().manual_seed(features + rank)
    axes = torch.linalg.qr(torch.randn(features, features, dtype=torch.float64, generator=generator)).Q
    values = torch.zeros(features, dtype=torch.float64)
    low, high = (math.log10(end) for end in ENDS[ends])
    values[:rank] = torch.logspace(high, low, rank, dtype=torch.float64)
    columns = max(1, rank) if "LowRank" in kind else features
    factor = KINDS[kind].of_rank(columns) if "LowRank" in kind else FACTORS[kind]
    base = DegenerateGaussian([features], factor=factor, spread_variance=spread_variance).double()
    base.factor.assign((axes * values.sqrt())[:, :columns], base.spread_variance)
    variances = values + float(base.spread_variance)
    along = torch.randn(5, features, dtype=torch.float64, generator=generator) * variances.sqrt()
    log_det = variances.log().sum() + features * math.log(2.0 * math.pi)
    return base, along @ axes.mT, -0.5 * ((along.square() / variances).sum(1) + log_det), variances


def value_and_gradients(base, z):
    z = z.clone().requires_grad_()
    trained = [parameter for parameter in base.parameters() if parameter.requires_grad]
    value = base.log_prob(z)
    return value.detach(), torch.autograd.grad(value.sum(), [z, *trained], allow_unused=True)


def assert_right_or_finite(kind, features, rank, ends, spread_variance):
    base, z, truth, variances = case(kind, features, rank, ends, spread_variance)
    value, gradients = value_and_gradients(base, z)
    if float(variances[0] / variances[-1]) <= CONDITION:
        assert ((value - truth).abs() <= OF_SUMS.get(kind, ERROR) * truth.abs().clamp_min(1.0)).all()
    value32, gradients32 = value_and_gradients(base.float(), z.float())
    for each in (value, value32, *gradients, *gradients32):
        assert each is None or torch.isfinite(each).all()


@every_kind
@pytest.mark.parametrize("ends", ENDS)
@pytest.mark.parametrize("spread_variance", [1e-10, 1e-4, 1.0])
@pytest.mark.parametrize("features", [1, 2, 7, 64])
def test_densities_are_right_or_finite(kind, features, ends, spread_variance):
    for rank in sorted({0, 1, features // 2, features}):
        assert_right_or_finite(kind, features, rank, ends, spread_variance)


@pytest.mark.slow
@every_kind
@pytest.mark.parametrize("spread_variance", [1e-10, 1e-4, 1.0])
def test_densities_of_many_features_are_right_or_finite(kind, spread_variance):
    for rank in (0, 1, 256, 512):
        assert_right_or_finite(kind, 512, rank, "wide", spread_variance)


@pytest.mark.slow
@pytest.mark.parametrize("rank", [1, 64])
def test_low_ranks_of_4096_features_are_right(rank):
    assert_right_or_finite(LowRankFactor.__name__, 4096, rank, "usual", 1e-4)


@every_kind
def test_denormal_numbers_and_zeros_have_a_density(kind):
    base, *_ = case(kind, 7, 3, "usual", 1e-4)
    for dtype in (torch.float32, torch.float64):
        smallest = torch.full((2, 7), torch.finfo(dtype).smallest_normal / 8.0, dtype=dtype)
        zeros, near = base.to(dtype).log_prob(torch.zeros_like(smallest)), base.log_prob(smallest)
        torch.testing.assert_close(near, zeros)
        assert torch.isfinite(near).all()
