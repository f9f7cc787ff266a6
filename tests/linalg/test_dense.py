"""The density of the spread prior for a lower-triangular A and for a covariance, against scipy and autograd."""

import numpy as np
import pytest
import scipy.stats
import torch

from nflows_spread.linalg.dense import covariance_cholesky, diagonal_log_prob, log_prob_from_cholesky, spread_log_prob
from nflows_spread.linalg.signal_to_noise import generalised_eigh
from support import log_prob_by_autograd, lower_triangular, scipy_log_prob

SPREAD = torch.tensor(1e-4, dtype=torch.float64)
FEATURES = 16
RANKS = {"full rank": FEATURES, "rank 0": 0, "rank 1": 1, "rank D/4": FEATURES // 4}
SCALES = [1e-3, 0.1, 1.0, 30.0]

both_ways = pytest.mark.usefixtures("size_of_small_priors")


def points_of_the_spread_prior(factor, n=8):
    factor = factor.double()
    z = torch.randn(n, len(factor), dtype=torch.float64) @ factor.T
    return z + SPREAD.sqrt() * torch.randn_like(z)


@both_ways
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("rank", RANKS.values(), ids=RANKS.keys())
def test_log_prob_is_scipys_to_1e_10_in_float64(rank, scale):
    factor = lower_triangular(FEATURES, rank, scale)
    z = points_of_the_spread_prior(factor)
    ours = spread_log_prob(z, factor, SPREAD).numpy()
    np.testing.assert_allclose(ours, scipy_log_prob(z, factor, float(SPREAD)), rtol=1e-10, atol=0)


@both_ways
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("rank", RANKS.values(), ids=RANKS.keys())
def test_log_prob_is_scipys_to_1e_5_in_float32(rank, scale):
    factor = lower_triangular(FEATURES, rank, scale, torch.float32)
    z = points_of_the_spread_prior(factor).float()
    ours = spread_log_prob(z, factor, SPREAD)
    assert ours.dtype == torch.float32
    np.testing.assert_allclose(ours.numpy(), scipy_log_prob(z, factor, float(SPREAD)), rtol=1e-5, atol=0)


def test_log_prob_is_that_of_scipys_plain_call_where_the_sum_can_be_formed():
    factor = lower_triangular(6, 6, 1.0)
    z = points_of_the_spread_prior(factor)
    covariance = (factor @ factor.T + SPREAD * torch.eye(6)).numpy()
    expected = scipy.stats.multivariate_normal(np.zeros(6), covariance).logpdf(z.numpy())
    np.testing.assert_allclose(spread_log_prob(z, factor, SPREAD).numpy(), expected, rtol=1e-9)


@both_ways
@pytest.mark.parametrize("rank", [4, 2, 1])
def test_gradients_and_their_gradients_are_those_of_finite_differences(rank):
    factor = lower_triangular(4, rank, 1.0).requires_grad_()
    z = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    spread = torch.tensor(0.3, dtype=torch.float64)

    def log_prob(z, factor):
        return spread_log_prob(z, factor, spread)

    assert torch.autograd.gradcheck(log_prob, (z, factor))
    assert torch.autograd.gradgradcheck(log_prob, (z, factor))


def log_prob_by_qr(z, factor, spread_variance):
    """The same density through autograd and [A, σI]ᵀ = QR, in which no flat direction is lost."""
    stacked = torch.cat([factor, spread_variance.sqrt() * torch.eye(len(factor), dtype=factor.dtype)], dim=1)
    return log_prob_by_autograd(z, torch.linalg.qr(stacked.mT).R.mT)


@pytest.mark.parametrize(("features", "tolerance"), [(64, 1e-4), (1024, 1e-3)])
def test_large_rank_deficient_factors_neither_fail_nor_lose_their_gradient_in_float32(features, tolerance):
    factor = lower_triangular(features, features // 4, 30.0, torch.float32).requires_grad_()
    z = points_of_the_spread_prior(factor.detach(), n=32).float().requires_grad_()
    values = spread_log_prob(z, factor, SPREAD)
    gradients = torch.autograd.grad(values.mean(), (z, factor))

    reference_factor, reference_z = (t.detach().double().requires_grad_() for t in (factor, z))
    reference = log_prob_by_qr(reference_z, reference_factor.tril(), SPREAD)
    expected = torch.autograd.grad(reference.mean(), (reference_z, reference_factor))
    torch.testing.assert_close(values.double(), reference, rtol=tolerance, atol=0)
    for gradient, truth in zip(gradients, expected):
        assert gradient.dtype == torch.float32
        assert (gradient.double() - truth).norm() <= tolerance * truth.norm()


def test_scales_beyond_the_resolution_of_the_sum_do_not_fail():
    factor = lower_triangular(12, 3, 1e8)
    z = points_of_the_spread_prior(factor).requires_grad_()
    log_prob = spread_log_prob(z, factor.requires_grad_(), SPREAD)
    log_prob.sum().backward()
    assert torch.isfinite(log_prob).all()
    assert torch.isfinite(factor.grad).all()


@both_ways
@pytest.mark.parametrize("scale", [1e7, 1e8, 1e9])
def test_float32_factors_whose_sum_is_indefinite_have_the_density_of_the_qr_decomposition(scale):
    factor = lower_triangular(12, 3, scale, torch.float32)
    z = 0.01 * torch.randn(5, 12)
    expected = log_prob_by_qr(z.double(), factor.double(), SPREAD)
    torch.testing.assert_close(spread_log_prob(z, factor, SPREAD).double(), expected, rtol=1e-5, atol=0.0)


def test_diagonal_log_prob_is_that_of_independent_normals():
    z, variances = torch.randn(7, 3, dtype=torch.float64), torch.tensor([2.0, 0.3, 1e-4], dtype=torch.float64)
    expected = torch.distributions.Normal(torch.zeros(3), variances.sqrt()).log_prob(z).sum(1)
    torch.testing.assert_close(diagonal_log_prob(z, variances), expected)


def covariance_log_prob(z, covariance, spread_variance):
    return log_prob_from_cholesky(z, covariance_cholesky(covariance, spread_variance))


@pytest.mark.parametrize("features", [5, 80])
@pytest.mark.parametrize("lowest", [-1e-3, -0.3])
def test_an_indefinite_second_moment_counts_without_its_negative_eigenvalues(features, lowest):
    """Rounding can leave eigenvalues below −σ_Z², and then no Cholesky factor; AAᵀ has none below 0."""
    vectors = torch.linalg.qr(torch.randn(features, features, dtype=torch.float64)).Q
    values = torch.linspace(lowest, 4.0, features, dtype=torch.float64)
    covariance = vectors * values @ vectors.T
    covariance = 0.5 * (covariance + covariance.T)
    clipped = scipy.stats.Covariance.from_eigendecomposition(
        ((values.clamp_min(0.0) + SPREAD).numpy(), vectors.numpy())
    )
    z = (torch.randn(6, features, dtype=torch.float64) * 0.1).requires_grad_()
    found = covariance_log_prob(z, covariance, SPREAD)
    expected = scipy.stats.multivariate_normal(np.zeros(features), clipped).logpdf(z.detach().numpy())
    np.testing.assert_allclose(found.detach().numpy(), expected, rtol=1e-9)
    precision = vectors / (values.clamp_min(0.0) + SPREAD) @ vectors.T
    torch.testing.assert_close(torch.autograd.grad(found.sum(), z)[0], -z.detach() @ precision, rtol=1e-7, atol=1e-9)
    mapped = torch.func.vmap(lambda row: covariance_log_prob(row[None], covariance, SPREAD)[0])(z.detach())
    np.testing.assert_allclose(mapped.numpy(), expected, rtol=1e-9)


def test_densities_leave_the_covariance_they_are_given_alone():
    root = torch.randn(40, 40, dtype=torch.float64)
    for covariance in (root @ root.mT, (root @ root.mT).mT):
        before = covariance.clone()
        covariance_log_prob(torch.randn(3, 40), covariance, SPREAD)
        generalised_eigh(covariance, covariance)
        assert torch.equal(covariance, before)
