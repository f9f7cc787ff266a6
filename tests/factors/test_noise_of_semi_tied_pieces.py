"""What semi-tied pieces add for the spread noise of latents is that of the decomposition that is in use."""

import torch

from nflows_spread import DegenerateGaussianMixture
from nflows_spread.factors import RunningAverageFactor

FEATURES, NOISE = 5, 0.1


def mixture(lag):
    kind = RunningAverageFactor.of_decay(0.7, lag=lag)
    return DegenerateGaussianMixture([FEATURES], 2, factor=kind, tied="semi", spread_variance=NOISE).double()


def batches(number):
    generator = torch.Generator().manual_seed(4)
    turn = torch.linspace(0.1, 3.0, FEATURES).double()
    return [turn * torch.randn(60, FEATURES, generator=generator).double() for _ in range(number)]


def test_with_a_lag_it_is_that_of_the_last_decomposition():
    """σ_Z² diag(L⁻¹L⁻ᵀ) of the L that the density has in training."""
    base, seen = mixture(0.4), []
    for z in batches(12):
        base.observe(z)
        inverse = torch.linalg.inv(base.factors.factor.cholesky)
        torch.testing.assert_close(base.factors.noise, inverse.square().sum(1).to(base.factors.noise))
        seen.append(base.factors.factor.cholesky)
    assert 1 < len({id(each) for each in seen}) < 12


def test_without_a_lag_nothing_is_kept():
    base, other = mixture(0.0), mixture(0.0)
    other.factors.noise.fill_(torch.nan)
    for z in batches(3):
        base.observe(z)
        other.observe(z)
    assert torch.equal(base.log_prob(z), other.log_prob(z))
    assert base.log_prob(z).isfinite().all()
