"""Quadratic features: log-densities and moments of all pieces are those that are found piece by piece."""

import pytest
import torch

from nflows_spread.linalg.gaussian_mixture import log_joint_of_mixture
from nflows_spread.linalg.quadratic_features import QuadraticFeatures


def drawn(rows: int, features: int, pieces: int):
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(rows, features, generator=generator, dtype=torch.float64) + 5.0
    responsibilities = torch.rand(rows, pieces, generator=generator, dtype=torch.float64)
    return z, responsibilities / responsibilities.sum(1, keepdim=True)


@pytest.mark.parametrize(("rows", "features", "pieces"), [(50, 1, 1), (200, 3, 4), (300, 20, 5)])
def test_moments_are_those_of_each_piece(rows, features, pieces):
    z, responsibilities = drawn(rows, features, pieces)
    counts, means, scatter = QuadraticFeatures(z).moments(responsibilities)
    for piece, r in enumerate(responsibilities.mT):
        mean = (r.unsqueeze(1) * z).sum(0) / r.sum()
        torch.testing.assert_close(counts[piece], r.sum(), rtol=1e-12, atol=0.0)
        torch.testing.assert_close(means[piece], mean, rtol=1e-12, atol=0.0)
        torch.testing.assert_close(
            scatter[piece], ((z - mean) * r.unsqueeze(1)).mT @ (z - mean), rtol=1e-11, atol=1e-11
        )


@pytest.mark.parametrize(("rows", "features", "pieces"), [(50, 1, 1), (200, 3, 4), (300, 20, 5)])
def test_log_densities_are_those_of_each_piece(rows, features, pieces):
    z, responsibilities = drawn(rows, features, pieces)
    factors = QuadraticFeatures(z)
    counts, means, scatter = factors.moments(responsibilities)
    mixture = counts / counts.sum(), means, scatter / counts.view(-1, 1, 1)
    torch.testing.assert_close(factors.log_joint(*mixture), log_joint_of_mixture(z, *mixture), rtol=1e-11, atol=1e-11)


def test_a_piece_without_rows_has_the_mean_of_all_and_no_density():
    z, responsibilities = drawn(40, 2, 3)
    responsibilities[:, 1] = 0.0
    features = QuadraticFeatures(z)
    counts, means, scatter = features.moments(responsibilities)
    assert counts[1] == 0.0
    assert bool((scatter[1] == 0.0).all())
    torch.testing.assert_close(means[1], z.mean(0))
    log_joint = features.log_joint(counts / counts.sum(), means, scatter + torch.eye(2, dtype=torch.float64))
    assert bool((log_joint[:, 1] == -torch.inf).all())
    assert bool(log_joint[:, [0, 2]].isfinite().all())


def test_they_are_not_used_where_a_far_row_or_a_low_floor_would_cost_digits():
    z, _ = drawn(400, 3, 1)
    assert QuadraticFeatures.where_they_pay(z, 1e-6) is not None
    assert QuadraticFeatures.where_they_pay(z, 1e-12) is None
    z[0] = 1e6
    assert QuadraticFeatures.where_they_pay(z, 1e-6) is None


@pytest.mark.parametrize(("shape", "pay"), [((1_000, 20), True), ((1_000, 64), False), ((100_000, 20), False)])
def test_they_are_for_few_features_and_rows_that_memory_holds(shape, pay):
    assert (QuadraticFeatures.where_they_pay(torch.zeros(shape, dtype=torch.float64), 1e-6) is not None) == pay
