"""Pieces that take on covariances one by one, or those of another kind, where the spread noise is not small."""

import pytest
import torch

from factor_kinds import FACTORS as SINGLE
from mixtures import FACTORS, covariances_of, every_kind, means_of, mixture_of, tied_or_not
from nflows_spread import DegenerateGaussian, DegenerateGaussianMixture
from nflows_spread.factors import LowRankFactor, LowRankPlusDiagonalFactor, RunningAverageFactor
from support import refused

NOISE = 0.3


def random_root(features=5, seed=3):
    return torch.randn(features, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@every_kind
def test_a_separate_piece_takes_on_a_covariance_and_the_others_stay(kind):
    base, root = mixture_of(kind, spread_variance=NOISE), random_root()
    before = covariances_of(base)
    base.factors.assign_piece(1, root, base.spread_variance)
    after = covariances_of(base)
    torch.testing.assert_close(after[1], root @ root.mT)
    assert torch.equal(after[::2], before[::2])


@every_kind
def test_a_tied_piece_takes_on_the_scale_that_has_the_trace_in_units_of_the_spread_covariance(kind):
    base, root = mixture_of(kind, tied=True, spread_variance=NOISE), random_root()
    before = covariances_of(base)
    a = base.factors.kind.matrix(base.spread_variance).detach()
    shape = a @ a.mT
    precision = torch.linalg.inv(shape + NOISE * torch.eye(5))
    expected = torch.trace(precision @ root @ root.mT) / torch.trace(precision @ shape)
    base.factors.assign_piece(1, root, base.spread_variance)
    torch.testing.assert_close(base.factors.squares[1].double(), expected)
    assert torch.equal(covariances_of(base)[::2], before[::2])
    for factor in (0.1, 7.0):  # of its own shape it takes on all
        base.factors.assign_piece(1, factor**0.5 * a, base.spread_variance)
        torch.testing.assert_close(base.factors.squares[1].double(), torch.tensor(factor, dtype=torch.float64))


@every_kind
@pytest.mark.parametrize("other", FACTORS)
@tied_or_not
def test_pieces_of_another_kind_are_taken_over_as_they_are(kind, other, tied):
    base = mixture_of(kind, tied=tied, spread_variance=NOISE, rank=3)
    taken = base.with_factor(FACTORS[other])
    if not tied or kind == other or "SpreadCholeskyFactor" not in (kind, other):  # whose scales are of another thing
        torch.testing.assert_close(covariances_of(taken), covariances_of(base), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(means_of(taken), means_of(base))
    torch.testing.assert_close(taken.weights, base.weights)


def test_what_does_not_fit_is_refused_by_name():
    with refused(TypeError, "tied must be"):
        DegenerateGaussianMixture([3], 2, tied=1.5)
    with refused(ValueError, 'tied must be True, False or "semi"', 'got "some"'):
        DegenerateGaussianMixture([3], 2, tied="some")
    for kind in SINGLE.values():
        with refused(ValueError, "features must be", "got 0"):
            kind(0)
    for kind in (LowRankFactor, LowRankPlusDiagonalFactor):
        with refused(ValueError, "rank must be", "got 0"):
            kind.of_rank(0)(3)


def test_options_are_recorded_where_they_are_not_the_usual_ones():
    assert RunningAverageFactor(3).options() == {"decay": 0.99}
    assert RunningAverageFactor(3, 0.9, lag=0.1, shrinkage=0.2).options() == {
        "decay": 0.9,
        "lag": 0.1,
        "shrinkage": 0.2,
    }
    assert DegenerateGaussian([3], factor=RunningAverageFactor).factor.lag == 0.0
