"""Soft-thresholded Cholesky factors: what is left of a covariance, and what it is worth on points of another draw."""

import math

import pytest
import torch
from torch.distributions import MultivariateNormal

from nflows_spread.linalg.shrinkage import root_of_moment, shrunk_cholesky

FEATURES, ROWS = 120, 300


def banded(near=0.5, far=0.3):
    """The Cholesky factor of a covariance of features of which each depends on two others."""
    ones = torch.ones(FEATURES).double()
    return torch.diag(ones) + torch.diag(near * ones[1:], -1) + torch.diag(far * ones[5:], -5)


def points(rows, seed, root):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, FEATURES, generator=generator).double() @ root.mT


def sample_cholesky(root):
    return torch.linalg.cholesky(points(ROWS, 0, root).mT.cov())


def held_out(cholesky, root):
    normal = MultivariateNormal(torch.zeros(FEATURES).double(), scale_tril=cholesky)
    return float(normal.log_prob(points(4000, 1, root)).mean())


def test_variances_are_the_likeliest_with_the_triangle():
    sample = sample_cholesky(banded())
    shrunk = shrunk_cholesky(sample, 0.05)
    inverse = torch.linalg.inv(shrunk / shrunk.diagonal())
    moments = (inverse @ sample @ sample.mT @ inverse.mT).diagonal()
    torch.testing.assert_close(shrunk.diagonal().square(), moments, rtol=1e-10, atol=0.0)


def test_a_threshold_of_0_leaves_it_and_a_large_one_leaves_the_variances():
    sample = sample_cholesky(banded())
    torch.testing.assert_close(shrunk_cholesky(sample, 0.0), sample, rtol=1e-12, atol=1e-12)
    alone = shrunk_cholesky(sample, 1e6)
    torch.testing.assert_close(alone, torch.diag((sample @ sample.mT).diagonal().sqrt()))


@pytest.mark.parametrize("errors", [1.0, 1.5])
def test_one_standard_error_wins_back_a_third_of_what_sampling_loses_and_more(errors):
    sample = sample_cholesky(banded())
    best, raw = held_out(banded(), banded()), held_out(sample, banded())
    found = held_out(shrunk_cholesky(sample, errors / math.sqrt(ROWS)), banded())
    assert (found - raw) / (best - raw) > 1 / 3


def test_where_weak_dependences_add_up_it_is_left_as_it_is():
    """With these a small error of one feature doubles every few features, as T⁻¹ has entries of thousands."""
    sample = sample_cholesky(banded(near=0.8, far=0.5))
    assert torch.equal(shrunk_cholesky(sample, 1.0 / math.sqrt(ROWS)), sample)


def steep_moment():
    """Of curves at 12 points, with an eigenvalue of 1e-6."""
    t = torch.arange(12.0, dtype=torch.float64)
    return torch.exp(-0.01 * (t - t.unsqueeze(1)) ** 2) + 1e-6 * torch.eye(12, dtype=torch.float64)


@pytest.mark.parametrize("known", [False, True])
def test_correlations_are_shrunk_where_nothing_is_known_or_rows_are_few(known):
    moment = steep_moment()
    for rows, kept in ((12, False), (13, known)):
        root = root_of_moment(moment.clone(), rows, 1e-8, known=known)
        expected = (
            moment
            if kept
            else moment * rows / (rows + 12) + torch.eye(12, dtype=torch.float64) * (12 * 1.000001 / (rows + 12) + 1e-8)
        )
        torch.testing.assert_close(root @ root.mT, expected, rtol=1e-12, atol=1e-13)


def test_a_known_moment_that_cannot_be_decomposed_gets_the_spread_variance():
    moment = steep_moment()
    moment[3], moment[:, 3] = 0.0, 0.0
    root = root_of_moment(moment.clone(), 100, 1e-8, known=True)
    torch.testing.assert_close(
        root @ root.mT, moment + 1e-8 * torch.eye(12, dtype=torch.float64), rtol=1e-12, atol=1e-13
    )
