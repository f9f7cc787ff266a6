"""Pieces of one unit triangle with conditional variances of their own, and gradients that are asked for alone."""

import pytest
import torch

from nflows_spread.linalg.cholesky_pieces import (
    cholesky_log_probs_of_scales,
    log_probs_of_conditionals,
    log_probs_of_whitened,
    lower_solve,
    root_of_conditionals,
    variances_of_scale,
    whitened_by,
)
from nflows_spread.linalg.pieces import log_probs_of_pieces
from nflows_spread.linalg.scaled import log_probs_of_scales

FEATURES, PIECES, ROWS = 6, 3, 8
NOISE = torch.tensor(1e-2, dtype=torch.float64)


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def cholesky_of_anything():
    """A lower triangle whose diagonal is far from 1, positive."""
    lower = drawn(FEATURES, FEATURES).tril(-1)
    return lower + torch.diag(torch.linspace(0.2, 5.0, FEATURES, dtype=torch.float64))


def triangle_and_variances():
    cholesky = cholesky_of_anything()
    return cholesky, cholesky / cholesky.diagonal(), 0.1 + drawn(PIECES, FEATURES, seed=1).square()


def test_densities_of_conditional_variances_are_those_of_torch():
    cholesky, triangle, variances = triangle_and_variances()
    z, means = drawn(ROWS, FEATURES, seed=2), drawn(PIECES, FEATURES, seed=3)
    roots = triangle * variances.sqrt().unsqueeze(1)
    expected = torch.distributions.MultivariateNormal(means, scale_tril=roots).log_prob(z.unsqueeze(1))
    for points, centres in ((z, means), (z.float(), means.float())):
        found = log_probs_of_conditionals(points, centres, cholesky, variances)
        assert found.dtype == torch.float64
        torch.testing.assert_close(found, expected, rtol=1e-10 if points is z else 1e-4, atol=0)
    whitened = whitened_by(cholesky, z, means)
    torch.testing.assert_close(log_probs_of_whitened(*whitened, cholesky, variances), expected, rtol=1e-10, atol=0)
    for mine, other in zip(whitened, (z, means), strict=True):
        torch.testing.assert_close(mine @ cholesky.mT, other)


def test_the_root_of_conditional_variances_is_the_cholesky_factor():
    cholesky, triangle, variances = triangle_and_variances()
    covariance = triangle @ variances[0].diag() @ triangle.mT
    torch.testing.assert_close(root_of_conditionals(cholesky, variances[0]), torch.linalg.cholesky(covariance))


def test_a_scale_changes_conditional_variances_above_the_noise_and_1_changes_none():
    cholesky = cholesky_of_anything()
    cholesky.diagonal()[0] = 0.05  # below the noise, from which nothing is left to be scaled
    one, three = (torch.tensor(scale, dtype=torch.float64) for scale in (1.0, 3.0))
    squares = cholesky.diagonal().square()
    torch.testing.assert_close(variances_of_scale(cholesky, one, NOISE)[1:], squares[1:])
    torch.testing.assert_close(variances_of_scale(cholesky, three, NOISE)[1:] - NOISE, 9.0 * (squares[1:] - NOISE))
    assert variances_of_scale(cholesky, three, NOISE)[0] == NOISE
    together = variances_of_scale(cholesky, torch.stack([one, three]).unsqueeze(1), NOISE)
    assert torch.equal(together[1], variances_of_scale(cholesky, three, NOISE))


SCALES = torch.tensor([0.5, 1.0, 3.0], dtype=torch.float64)
DENSITIES = {
    "separate lower": (lambda z, m, a: log_probs_of_pieces(z, m, a, NOISE, lower=True), (PIECES, FEATURES, FEATURES)),
    "separate low rank": (lambda z, m, a: log_probs_of_pieces(z, m, a, NOISE, lower=False), (PIECES, FEATURES, 2)),
    "tied lower": (lambda z, m, a: log_probs_of_scales(z, m, a, SCALES, NOISE, lower=True), (FEATURES, FEATURES)),
    "tied low rank": (lambda z, m, a: log_probs_of_scales(z, m, a, SCALES, NOISE, lower=False), (FEATURES, 2)),
    "tied Cholesky": (lambda z, m, a: cholesky_log_probs_of_scales(z, m, a, SCALES, NOISE), (FEATURES, FEATURES)),
    "substitution": (lambda z, m, a: lower_solve(torch.cat([z, m]).mT, a, NOISE), (FEATURES, FEATURES)),
}


@pytest.mark.parametrize("name", DENSITIES)
def test_a_gradient_that_is_asked_for_alone_is_the_one_beside_the_others(name):
    density, shape = DENSITIES[name]
    inputs = [drawn(ROWS, FEATURES, seed=4), drawn(PIECES, FEATURES, seed=5), drawn(*shape, seed=6)]
    together = [x.clone().requires_grad_() for x in inputs]
    weights = drawn(*density(*inputs).shape, seed=7)
    expected = torch.autograd.grad((density(*together) * weights).sum(), together)
    for place, gradient in enumerate(expected):
        alone = [x.clone().requires_grad_(i == place) for i, x in enumerate(inputs)]
        found = torch.autograd.grad((density(*alone) * weights).sum(), alone[place])[0]
        torch.testing.assert_close(found, gradient, rtol=1e-10, atol=1e-12)
