"""Polynomials of (AᵀA)⁻¹ for pieces of one A at several scales against ``torch.distributions``, autograd and mpmath."""

import pytest
import torch
from torch.distributions import MultivariateNormal

from nflows_spread.linalg import scaled
from nflows_spread.linalg.lanczos import largest_eigenvalue
from nflows_spread.linalg.pieces import plain_log_probs_of_scales
from nflows_spread.linalg.resolvent_series import series_of
from nflows_spread.linalg.scaled import log_probs_of_scales
from nflows_spread.linalg.scaled_series import series_log_probs

NOISE = torch.tensor(1e-4, dtype=torch.float64)


def inputs_of(features, least, *, pieces=3, n=12, dtype=torch.float64, seed=0):
    """Points, means, A of about this least singular value and another sign on its diagonal here and there, scales."""
    generator = torch.Generator().manual_seed(seed)

    def drawn(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    diagonal = torch.linspace(least, 1.0, features, dtype=torch.float64)
    a = (0.1 / features**0.5 * drawn(features, features) * diagonal.unsqueeze(1)).tril(-1)
    a += torch.diag(diagonal * torch.where(torch.arange(features) % 5 == 0, -1.0, 1.0))
    above = drawn(features, features).triu(1)  # is not read
    scales = torch.linspace(-0.5, 0.5, pieces, dtype=torch.float64).exp()
    means, noise = 0.3 * drawn(pieces, features) @ a.mT + 5.0, 0.01 * drawn(n, features)
    z = means[torch.arange(n) % pieces] + drawn(n, features) @ a.mT + noise
    return [value.to(dtype).requires_grad_() for value in (z, means, a + above, scales)]


def oracle(z, means, factor, scales):
    a = factor.double().tril()
    covariances = scales.double().square().view(-1, 1, 1) * (a @ a.mT) + NOISE * torch.eye(len(a)).double()
    return MultivariateNormal(means.double(), covariances).log_prob(z.double().unsqueeze(1))


@pytest.mark.parametrize(
    ("features", "least", "degree"),
    [(20, 1.0, 3), (20, 0.3, 4), (20, 0.15, 5), (20, 0.095, 6), (150, 1.0, 3), (300, 0.3, 4)],
)
def test_densities_and_all_gradients_are_those_of_torch_distributions_to_ten_digits(features, least, degree):
    inputs = inputs_of(features, least)
    assert series_of(*(value.detach() for value in inputs), NOISE).resolvents.shape[1] == degree + 1
    found, expected = series_log_probs(*inputs, NOISE), oracle(*inputs)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=0.0)
    weights = torch.randn(found.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for mine, other in zip(*(torch.autograd.grad(value, inputs, weights) for value in (found, expected)), strict=True):
        assert (mine - other).norm() <= 1e-10 * other.norm()


@pytest.mark.parametrize(("least", "degree"), [(1.0, 1), (0.2, 2), (0.1, 3), (0.055, 4), (0.038, 5), (0.029, 6)])
def test_in_float32_value_and_gradient_have_an_error_below_a_millionth(least, degree):
    inputs = inputs_of(200, least, dtype=torch.float32)
    assert series_of(*(value.detach() for value in inputs), NOISE).resolvents.shape[1] == degree + 1
    exact = [value.detach().double().requires_grad_() for value in inputs]
    found, expected = series_log_probs(*inputs, NOISE), oracle(*exact)
    assert (found - expected).abs().max() <= 1e-6 * expected.abs().max()
    mine = torch.autograd.grad(found, inputs, expected.softmax(1))
    for value, other in zip(mine, torch.autograd.grad(expected, exact, expected.softmax(1).detach()), strict=True):
        assert value.dtype == torch.float32
        assert (value - other).norm() <= 1e-6 * other.norm()


def test_gradients_and_their_gradients_are_those_of_finite_differences():
    inputs = inputs_of(4, 1.0, pieces=2, n=3)
    assert torch.autograd.gradcheck(lambda *given: series_log_probs(*given, NOISE), inputs)
    assert torch.autograd.gradgradcheck(lambda *given: series_log_probs(*given, NOISE), inputs)


def test_densities_are_those_of_mpmath_to_twelve_digits():
    mpmath = pytest.importorskip("mpmath", reason="needs mpmath")
    z, means, factor, scales = (value.detach() for value in inputs_of(5, 0.4))
    found = series_log_probs(z, means, factor, scales, NOISE)
    with mpmath.workdps(50):
        a = mpmath.matrix(factor.tril().tolist())
        for m in range(3):
            covariance = mpmath.mpf(float(scales[m])) ** 2 * a * a.T + mpmath.mpf(float(NOISE)) * mpmath.eye(5)
            log_det = mpmath.log(mpmath.det(covariance)) + 5 * mpmath.log(2 * mpmath.pi)
            for row, value in zip(z, found[:, m], strict=True):
                centred = mpmath.matrix(row.tolist()) - mpmath.matrix(means[m].tolist())
                expected = -((centred.T * mpmath.lu_solve(covariance, centred))[0] + log_det) / 2
                assert float(value) == pytest.approx(float(expected), rel=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_factor_that_is_near_singular_or_points_that_are_far_are_left_to_the_decomposition(dtype):
    z, means, factor, scales = (value.detach() for value in inputs_of(200, 0.5, dtype=dtype))
    assert series_log_probs(z, means, factor, scales, NOISE) is not None
    assert series_log_probs(1e3 * z, means, factor, scales, NOISE) is None
    assert series_log_probs(z, means, factor, 1e-3 * scales, NOISE) is None
    for bad in (0.0, 1e-3, float("nan")):
        spoiled = factor.clone()
        spoiled[7, 7] = bad
        assert series_log_probs(z, means, spoiled, scales, NOISE) is None
    bent = factor.clone()
    bent[1:, 0] = 300.0  # its diagonal is that of a regular one
    assert series_log_probs(z, means, bent, scales, NOISE) is None


@pytest.mark.parametrize("least", [0.5, 0.0])
def test_both_ways_are_taken_and_give_the_same(least, monkeypatch):
    """Of a regular A and of one of low rank."""
    inputs = inputs_of(200, 0.5)
    if least == 0.0:
        with torch.no_grad():
            z, means, factor, _ = inputs
            factor[:, 5:] = 0.0
            z.copy_(
                means[torch.arange(12) % 3]
                + torch.randn(12, 200, generator=torch.Generator().manual_seed(3)).double() @ factor.tril().mT
            )
            z.add_(0.01 * torch.randn(12, 200, generator=torch.Generator().manual_seed(2)))
    weights = torch.randn(12, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64).softmax(1)

    def outcome():
        found = log_probs_of_scales(*inputs, NOISE, lower=True)
        return found, torch.autograd.grad(found, inputs, weights)

    taken = []
    monkeypatch.setattr(scaled, "series_log_probs", lambda *given: taken.append(series_log_probs(*given)) or taken[-1])
    values, gradients = outcome()
    assert len(taken) == 1
    assert (taken[0] is None) == (least == 0.0)
    expected = plain_log_probs_of_scales(*inputs, NOISE)
    torch.testing.assert_close(values, expected, rtol=1e-10, atol=1e-8)
    for mine, other in zip(gradients, torch.autograd.grad(expected, inputs, weights), strict=True):
        assert (mine - other).norm() <= 1e-9 * other.norm()


@pytest.mark.parametrize("features", [3, 200])
def test_the_largest_eigenvalue_is_found_from_below(features):
    generator = torch.Generator().manual_seed(0)
    basis = torch.linalg.qr(torch.randn(features, features, generator=generator, dtype=torch.float64)).Q
    for values in (torch.ones(features), torch.linspace(0.0, 2.0, features), torch.logspace(-6, 1, features)):
        matrix = basis * values.double() @ basis.mT
        found, largest = largest_eigenvalue(matrix), float(values.max())
        assert 0.9 * largest <= found <= largest * (1 + 1e-12)
        assert found == largest_eigenvalue(matrix)
        assert largest_eigenvalue(matrix.float()) == pytest.approx(found, rel=1e-5)
