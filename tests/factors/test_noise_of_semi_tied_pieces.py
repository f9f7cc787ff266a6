"""What semi-tied pieces add for the spread noise of latents is that of the decomposition that is in use."""

import numpy as np
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


def test_the_root_of_a_piece_that_is_flatter_than_the_noise_is_that_of_what_is_left_of_it():
    """T diag(v) Tᵀ − σ_Z² I has negative eigenvalues, which no covariance has."""
    base = mixture(0.0)
    for z in batches(4):
        base.observe(z @ (torch.eye(FEATURES).double() + 0.5 * torch.ones(FEATURES, FEATURES).double().tril(-1)))
    base.factors.excess[0, 1:] = 0.0
    cholesky = base.factors._cholesky(base.factors.excess, base.spread_variance)
    unit = cholesky / cholesky.diagonal()
    covariance = unit @ (base.factors.excess[0] + NOISE).diag() @ unit.mT - NOISE * torch.eye(FEATURES)
    values, vectors = np.linalg.eigh(covariance.numpy())
    assert values[0] < -1e-3
    root = base.factors.root_of(0, None, base.spread_variance).numpy()
    np.testing.assert_allclose(root @ root.T, vectors * values.clip(0) @ vectors.T, atol=1e-10)
