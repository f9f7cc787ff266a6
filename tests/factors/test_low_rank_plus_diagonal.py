"""A factor of low rank with a diagonal, alone and as the pieces of a mixture, with W over all features or the first."""

import copy

import pytest
import torch

from nflows_spread import DegenerateGaussian, DegenerateGaussianMixture
from nflows_spread.factors import LowerTriangularFactor, LowRankPlusDiagonalFactor
from support import refused, scipy_log_prob

FEATURES = 6

every_reach = pytest.mark.parametrize("leading", [None, 4])


def base_with(leading, **options):
    factor = LowRankPlusDiagonalFactor.of_rank(2, leading=leading)
    base = DegenerateGaussian([FEATURES], factor=factor, **options).double()
    with torch.no_grad():
        for parameter in base.parameters():
            parameter.normal_()
    return base


@every_reach
def test_its_density_and_gradients_are_those_of_the_dense_kind(leading):
    base = base_with(leading, spread_variance=1e-2)
    z = torch.randn(5, FEATURES, dtype=torch.float64, requires_grad=True)
    matrix = base.factor.matrix(base.spread_variance)
    assert matrix.shape == (FEATURES, FEATURES + 2)
    expected = torch.from_numpy(scipy_log_prob(z, matrix, 1e-2))
    torch.testing.assert_close(base.log_prob(z).detach(), expected, rtol=1e-10, atol=0)
    dense = base.with_factor(LowerTriangularFactor)
    mine, other = (torch.autograd.grad(each.log_prob(z).sum(), z)[0] for each in (base, dense))
    torch.testing.assert_close(mine, other, rtol=1e-8, atol=1e-10)


@every_reach
def test_a_mixture_of_them_has_the_densities_of_its_pieces(leading, generator):
    factor = LowRankPlusDiagonalFactor.of_rank(2, leading=leading)
    base = DegenerateGaussianMixture([FEATURES], 3, factor=factor, spread_variance=1e-3).double()
    with torch.no_grad():
        for parameter in base.parameters():
            parameter.normal_(generator=generator)
    z = torch.randn(7, FEATURES, dtype=torch.float64)
    joint = torch.stack([base.piece(m).log_prob(z) for m in range(3)], 1) + base.weights.log()
    torch.testing.assert_close(base.log_prob(z), joint.logsumexp(1), rtol=1e-10, atol=1e-10)
    base.log_prob(z).sum().backward()
    assert all((parameter.grad != 0.0).any() for parameter in base.parameters())


@every_reach
def test_the_pieces_of_latents_keep_their_moments_as_far_as_the_kind_goes(leading, generator):
    factor = LowRankPlusDiagonalFactor.of_rank(2, leading=leading)
    base = DegenerateGaussianMixture([FEATURES], 2, factor=factor).double()
    dense = DegenerateGaussianMixture([FEATURES], 2).double()
    z = torch.randn(600, FEATURES, dtype=torch.float64, generator=generator)
    z[:200, 0] += 8.0
    for each in (base, dense):
        each.fit_pieces(z, generator=copy.deepcopy(generator))
    torch.testing.assert_close(base.locs, dense.locs)
    torch.testing.assert_close(base.covariance.diagonal(), dense.covariance.diagonal())


def test_it_comes_back_from_its_options():
    for options in ({"rank": 2}, {"rank": 2, "leading": 4}):
        base = DegenerateGaussian([FEATURES], factor=LowRankPlusDiagonalFactor.of_rank(**options))
        assert base.factor.options() == options
        torch.testing.assert_close(base.covariance, torch.eye(FEATURES))


def test_what_it_cannot_be_is_refused():
    with refused(ValueError, "rank must be between 1 and 4", "got 5"):
        LowRankPlusDiagonalFactor(FEATURES, rank=5, leading=4)
    with refused(ValueError, "between 1 and 6", "got 7"):
        LowRankPlusDiagonalFactor(FEATURES, rank=2, leading=7)
