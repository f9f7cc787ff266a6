"""EM for Gaussian mixtures against scikit-learn's, with few rows, equal rows and pieces that die."""

import math

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.mixture import GaussianMixture

from clusters import three_clusters
from nflows_spread.linalg.expectation_maximization import expectation_maximization, k_means, weighted_moments
from nflows_spread.linalg.gaussian_mixture import log_prob_of_mixture, responsibilities_of_mixture
from support import refused


def scikit_learns(z, pieces, **options):
    return GaussianMixture(pieces, reg_covar=0.0, tol=1e-12, max_iter=1000, random_state=0, **options).fit(z.numpy())


def test_the_maximum_is_scikit_learns():
    z = three_clusters()
    found = expectation_maximization(
        z, 3, pseudo_counts=0.0, variance_floor=1e-12, tolerance=1e-12, generator=torch.Generator().manual_seed(1)
    )
    oracle = scikit_learns(z, 3)
    order, its = found.means.sum(1).argsort(), oracle.means_.sum(1).argsort()
    for ours, theirs in ((found.weights, oracle.weights_), (found.means, oracle.means_)):
        np.testing.assert_allclose(ours[order].numpy(), theirs[its], atol=1e-5)
    np.testing.assert_allclose(found.covariances[order].numpy(), oracle.covariances_[its], atol=1e-5)
    assert found.log_likelihood == pytest.approx(oracle.score(z.numpy()), abs=1e-9)


def test_a_step_is_scikit_learns():
    z = torch.randn(60, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    weights, means = torch.tensor([0.3, 0.7], dtype=torch.float64), z[:2]
    covariances = torch.stack([torch.eye(3), 2.0 * torch.eye(3)]).double()
    responsibilities = responsibilities_of_mixture(z, weights, means, covariances)
    found = weighted_moments(z, responsibilities, shrinkage=0.0, floor=1e-12)
    oracle = GaussianMixture(
        2, reg_covar=0.0, max_iter=1, weights_init=weights.numpy(), means_init=means.numpy(),
        precisions_init=np.linalg.inv(covariances.numpy()),
    )  # fmt: skip
    with pytest.warns(UserWarning, match="did not converge"):
        oracle.fit(z.numpy())
    for ours, theirs in zip(found, (oracle.weights_, oracle.means_, oracle.covariances_), strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs, rtol=1e-10, atol=1e-12)


def test_shrinkage_is_towards_one_shape_at_a_scale_of_each_piece():
    """S_m = (N_m C_m + ν s_m C̄) / (N_m + ν): with many more rows of the shape than of data all are multiples of it."""
    z = three_clusters()
    z[::3] *= 10.0  # the first cluster, about the origin, is ten times as wide
    labels = torch.nn.functional.one_hot(torch.arange(len(z)) % 3).double()
    shrunk = weighted_moments(z, labels, shrinkage=1e9, floor=1e-12)[2]
    scales = shrunk[:, 0, 0] / shrunk[1, 0, 0]
    torch.testing.assert_close(shrunk, scales.view(-1, 1, 1) * shrunk[1])
    assert 50.0 < float(scales[0]) < 200.0
    assert 0.5 < float(scales[2]) < 2.0
    own = weighted_moments(z, labels, shrinkage=0.0, floor=1e-12)[2]
    some = weighted_moments(z, labels, shrinkage=7.0, floor=1e-12)[2]
    torch.testing.assert_close(some, (100.0 * own + 7.0 * shrunk) / 107.0)


def test_no_choice_of_coordinates_changes_the_moments():
    z = three_clusters()
    turn = torch.tensor([[2.0, 0.5], [-1.0, 3.0]], dtype=torch.float64)
    responsibilities = torch.rand(len(z), 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    _, means, covariances = weighted_moments(z, responsibilities, shrinkage=5.0, floor=1e-12)
    _, turned_means, turned = weighted_moments(z @ turn, responsibilities, shrinkage=5.0, floor=1e-12)
    torch.testing.assert_close(turned_means, means @ turn)
    torch.testing.assert_close(turned, turn.mT @ covariances @ turn)


def test_pieces_of_different_scale_are_found_in_few_rows():
    """A Gaussian at two scales, a hundred rows of each in 12 features: without shrinkage it is not seen."""
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(2200, 12, generator=generator, dtype=torch.float64)
    z[::2] *= 0.02
    scales = torch.tensor([1.0, 4e-4], dtype=torch.float64).view(2, 1, 1)
    truth = torch.tensor([0.5, 0.5]), torch.zeros(2, 12), scales * torch.eye(12, dtype=torch.float64)

    def behind(pseudo_counts):
        found = expectation_maximization(
            z[:200], 2, pseudo_counts=pseudo_counts, generator=torch.Generator().manual_seed(1)
        )
        return float((log_prob_of_mixture(z[200:], *truth) - log_prob_of_mixture(z[200:], *found[:3])).mean())

    assert behind(None) < 0.8
    assert behind(0.0) > 10.0


def test_tied_pieces_have_one_shape_and_their_scales_are_found():
    generator = torch.Generator().manual_seed(0)
    scales = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
    noise = torch.randn(3_000, 2, generator=generator, dtype=torch.float64) * torch.tensor([1.0, 0.3])
    z = torch.tensor([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0]]).double()[torch.arange(3_000) % 3]
    z = z + noise * scales[torch.arange(3_000) % 3].unsqueeze(1)
    found = expectation_maximization(z, 3, tied=True, generator=generator)
    squares = found.covariances.diagonal(dim1=1, dim2=2)
    ratios = squares / squares[:1]
    torch.testing.assert_close(ratios[:, 0], ratios[:, 1], rtol=1e-8, atol=0.0)
    torch.testing.assert_close(squares.sum(1).sqrt().sort().values / (1.09**0.5), scales, rtol=0.05, atol=0.0)
    free = expectation_maximization(z, 3, generator=torch.Generator().manual_seed(0))
    assert found.log_likelihood == pytest.approx(free.log_likelihood, abs=0.01)


@pytest.mark.parametrize(("rows", "features", "pieces"), [(100, 64, 1), (100, 64, 8), (20, 30, 20), (100, 1, 16)])
def test_few_rows_give_positive_definite_pieces_and_the_likelihood_that_is_told(rows, features, pieces):
    z = torch.randn(rows, features, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = expectation_maximization(z, pieces, generator=torch.Generator().manual_seed(1))
    assert float(found.weights.sum()) == pytest.approx(1.0)
    assert (torch.linalg.eigvalsh(found.covariances) >= 0.99e-6 * float(z.var(0, correction=0).mean())).all()
    told = log_prob_of_mixture(z, *found[:3]).mean()
    assert found.log_likelihood == pytest.approx(float(told), rel=1e-10)


def test_it_keeps_flat_pieces_at_the_floor():
    z = three_clusters()
    z[:, 1] = z[:, 0]
    found = expectation_maximization(z, 2, generator=torch.Generator().manual_seed(1))
    least = torch.linalg.eigvalsh(found.covariances)[:, 0]
    torch.testing.assert_close(
        least / z.var(0, correction=0).mean(), torch.full((2,), 1e-6).double(), rtol=1e-3, atol=0
    )


def test_a_piece_that_dies_is_started_again(monkeypatch):
    """Whatever k-means says: here all rows are of one piece."""
    z = three_clusters()
    module = expectation_maximization.__module__
    monkeypatch.setattr(f"{module}.k_means", lambda points, pieces, generator: torch.zeros(len(points)).long())
    found = expectation_maximization(z, 3, tolerance=1e-8, pseudo_counts=0.0)
    assert found.log_likelihood == pytest.approx(scikit_learns(z, 3).score(z.numpy()), abs=1e-3)


def test_more_pieces_than_distinct_rows_leave_pieces_of_weight_0():
    z = torch.randn(3, 2, generator=torch.Generator().manual_seed(0)).repeat(10, 1)
    found = expectation_maximization(z, 5, generator=torch.Generator().manual_seed(1))
    assert torch.isfinite(found.means).all()
    assert sorted(found.weights.tolist()) == pytest.approx([0.0, 0.0, 1 / 3, 1 / 3, 1 / 3], abs=1e-6)


def test_the_centres_are_about_as_good_as_scikit_learns():
    z = torch.randn(1000, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    labels = k_means(z, 20, generator=torch.Generator().manual_seed(1))
    inertia = sum(float((z[labels == k] - z[labels == k].mean(0)).square().sum()) for k in labels.unique())
    assert inertia <= 1.1 * KMeans(20, n_init=1, random_state=0).fit(z.numpy()).inertia_


def test_what_cannot_be_fitted_is_refused():
    z = three_clusters(10)
    for pieces in (0, 11):
        with refused(ValueError, "pieces must be between 1 and 10, the number of rows", f"got {pieces}"):
            expectation_maximization(z, pieces)
    with refused(ValueError, "z must be a matrix (n, K), got shape (10,)"):
        expectation_maximization(z[:, 0], 2)
    with refused(ValueError, "rows must not all be equal", "got 4", "pass rows that differ"):
        expectation_maximization(torch.ones(4, 2), 2)
    for bad in (math.nan, math.inf, 1e200):
        with refused(ValueError, "rows must be finite, and their squares too", "got a variance of", "rescale them"):
            expectation_maximization(torch.cat([z.double(), torch.full_like(z[:1], bad, dtype=torch.float64)]), 2)
    with refused(ValueError, "variance_floor must be at least 1e-12", "got 0.0"):
        expectation_maximization(z, 2, variance_floor=0.0)
    with refused(ValueError, "pseudo_counts must be a finite number of at least 0", "got -5.0"):
        expectation_maximization(z, 2, pseudo_counts=-5.0)
    for begun in (torch.ones(len(z), 3), torch.zeros(len(z), 2)):
        with refused(ValueError, "begun must be responsibilities of shape", "not all 0"):
            expectation_maximization(z, 2, begun=begun)
    with refused(ValueError, "starts must be at least 1", "got 0"):
        expectation_maximization(z, 2, starts=0)


def test_clusters_as_far_apart_as_a_million_of_their_widths_have_their_own_covariances():
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(900, 2, generator=generator, dtype=torch.float64)
    z[300:600, 0] += 1e4
    z[600:, 0] += 1e6
    found = expectation_maximization(
        z, 3, variance_floor=1e-12, pseudo_counts=0.1, generator=torch.Generator().manual_seed(0)
    )
    order = found.means[:, 0].argsort()
    for piece, rows in zip(order.tolist(), z.split(300)):
        torch.testing.assert_close(found.covariances[piece], rows.mT.cov(correction=0), rtol=0.05, atol=0.05)
    assert found.log_likelihood == pytest.approx(float(log_prob_of_mixture(z, *found[:3]).mean()), rel=1e-10)
