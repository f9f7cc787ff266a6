"""Tangent spaces: subspaces that two halves of a neighbourhood share, and the dimension that they say."""

import math

import pytest
import scipy.linalg
import torch

from nflows_spread.dimension import StableSubspace, TangentSpaces, tangent_spaces
from nflows_spread.dimension.stable_subspaces import stable_subspaces
from nflows_spread.dimension.tangent_spaces import _agreement_of
from support import refused


def rotated(points, features, *, seed=0):
    """Points in the first directions of a random orthonormal basis of more."""
    generator = torch.Generator().manual_seed(seed)
    basis = torch.linalg.qr(torch.randn(features, features, generator=generator, dtype=torch.float64)).Q
    return points @ basis[: points.shape[1]]


def normal(n, features, *, seed=1):
    return torch.randn(n, features, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def sphere(n, dimension):
    return torch.nn.functional.normalize(normal(n, dimension + 1), dim=1)


def found(x):
    return tangent_spaces(x, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("features", [3, 7, 40])
def test_the_agreement_is_the_mean_squared_cosine_of_principal_angles(features):
    one, other = normal(20, features, seed=2).unsqueeze(0), normal(20, features, seed=3).unsqueeze(0)
    shared, variances = _agreement_of(one, other)
    axes = [torch.linalg.svd(half[0] - half[0].mean(0)).Vh for half in (one, other)]
    for k in range(1, min(features, 19) + 1):
        angles = scipy.linalg.subspace_angles(axes[0][:k].T.numpy(), axes[1][:k].T.numpy())
        expected = sum(math.cos(angle) ** 2 for angle in angles) / k
        assert float(shared[0, k - 1]) == pytest.approx(expected, abs=1e-9)
    by_halves = [torch.linalg.svdvals(half[0] - half[0].mean(0)).square() / 19 for half in (one, other)]
    torch.testing.assert_close(variances[0], (0.5 * (by_halves[0] + by_halves[1]))[: variances.shape[1]])


@pytest.mark.parametrize(("dimension", "features"), [(1, 2), (3, 8), (12, 30), (5, 300)])
def test_a_linear_subspace_is_the_one_that_is_stable(dimension, features):
    said = found(rotated(normal(1000, dimension), features))
    assert said.stable[0].dimension == dimension
    assert said.stable[0].agreement == pytest.approx(1.0, abs=1e-9)
    assert said.dimension == dimension


@pytest.mark.parametrize("features", [1, 2, 5, 20])
def test_data_of_full_dimension_has_no_stable_subspace(features):
    said = found(normal(1000, features))
    assert all(stable.agreement < 0.5 for stable in said.stable)
    assert said.dimension == features


def test_noise_hides_no_curve_whose_neighbours_are_wider_than_it():
    angle = 2.0 * math.pi * torch.rand(1000, 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    curve = torch.cat([angle.cos(), angle.sin(), (2.0 * angle).cos(), (2.0 * angle).sin()], dim=1)
    noisy = rotated(curve, 15) + 0.05 * normal(1000, 15, seed=4)
    assert found(noisy).dimension == 1
    assert found(noisy).residual_variance(1) == pytest.approx(0.05**2, rel=0.5)
    assert found(noisy).noise_variance == found(noisy).residual_variance(1)
    assert found(normal(1000, 5)).noise_variance == 0.0
    assert found(normal(1000, 5) * torch.tensor([1.0, 1.0, 1.0, 1.0, 0.1])).noise_variance == 0.0


def test_of_many_points_more_neighbours_see_through_noise_that_hides_the_nearest():
    angle = 2.0 * math.pi * torch.rand(5000, 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    circle = rotated(torch.cat([angle.cos(), angle.sin()], dim=1), 20)
    said = found(circle + 0.03 * normal(5000, 20, seed=4))
    assert said.neighbours[-1] > 60
    assert said.stable[-1].agreement > 0.65
    assert said.dimension == 1


def test_a_closed_surface_shows_its_own_dimension_and_that_of_its_span():
    said = found(rotated(sphere(2000, 4), 12))
    assert [stable.dimension for stable in said.stable[:2]] == [5, 4]
    assert min(stable.agreement for stable in said.stable[:2]) > 0.9
    assert said.dimension == 4


def test_many_dimensions_are_asked_with_more_neighbours():
    few, many = found(rotated(normal(2000, 4), 40)), found(rotated(normal(2000, 25), 40))
    assert (few.neighbours, many.neighbours[-1]) == ((40,), 240)


def test_columns_that_do_not_vary_are_no_subspace_that_halves_share():
    said = found(torch.cat([normal(500, 4), torch.zeros(500, 3)], dim=1))
    assert [stable.dimension for stable in said.stable if stable.agreement > 0.9] == [4]


def test_of_more_dimensions_than_half_the_neighbours_show_nothing_is_said():
    said = found(normal(1000, 150))
    assert said.neighbours == (40, 240)
    assert said.log_evidence[60:] == [0.0] * 90
    assert max(said.log_evidence[:60]) < -1.9
    assert said.dimension == 150


def test_a_stable_subspace_of_many_dimensions_counts_all_the_same():
    said = found(rotated(normal(1000, 80), 120))
    assert said.stable[0].dimension == said.dimension == 80
    assert said.log_evidence[79] == 0.0
    assert max(said.log_evidence[80:]) < -1.9


def test_it_is_the_same_in_any_order_and_unit_and_for_repeated_rows():
    x = rotated(sphere(500, 2), 6)
    said = found(x)
    assert found(torch.cat([x.flip(0), x[:100]])) == said
    larger = found(8.0 * x)  # a power of two rounds nothing
    assert larger.agreement == said.agreement
    torch.testing.assert_close(torch.tensor(larger.variances[0]), 64.0 * torch.tensor(said.variances[0]))
    assert said.in_units_of(8.0).squares == pytest.approx(larger.squares, rel=1e-12)
    assert said.in_units_of(8.0).variances[0] == pytest.approx(larger.variances[0], rel=1e-9)


def agreeing(features, within):
    """An agreement whose corrected values are ``within``, in D dimensions, at K = 1 … D − 1."""
    return (*(k / features + value * (1.0 - k / features) for k, value in enumerate(within, start=1)), 1.0)


def test_within_a_stable_subspace_the_next_is_sought():
    corrected = [0.1, 0.9, 0.2, 0.3, 1.0, 0.3, 0.1]
    first, second = stable_subspaces(agreeing(8, corrected), 8)
    assert (first.dimension, first.agreement) == (5, pytest.approx(1.0))
    assert second.dimension == 2
    shared = agreeing(8, corrected)[1]
    assert second.agreement == pytest.approx((shared - 2 / 5) / (1 - 2 / 5))


def test_of_subspaces_that_are_almost_as_stable_the_largest_comes_first():
    found_to_be = stable_subspaces(agreeing(8, [0.6, 0.1, 0.1, 0.1, 0.5, 0.1, 0.1]), 8)
    assert [stable.dimension for stable in found_to_be][:2] == [5, 1]


def spaces(features, *within):
    agreement = agreeing(features, within)
    return TangentSpaces(features, (60,), (agreement,), ((1.0,) * features,), (1.0,))  # 60 show up to 15


def test_the_evidence_is_the_probability_that_a_step_is_real_and_the_next_is_not():
    agreement = 0.75  # log-odds 12 · (0.75 − 0.65) = 1.2
    real = 1.0 / (1.0 + math.exp(-1.2))
    nats = spaces(5, 0.0, 0.0, agreement, 0.0).log_evidence
    of_all, of_three = math.log(1.0 - real), math.log(real)
    expected = [of_three - 2.0, of_three - 2.0, of_three, of_all - 2.0, of_all]
    assert nats == pytest.approx([max(value - of_three, -4.0) for value in expected])


def test_a_subspace_that_is_almost_as_stable_is_almost_as_likely():
    """Five of seven dimensions are as stable as four within rounding, as where neighbours are too few to tell."""
    nats = spaces(7, 0.0, 0.0, 0.0, 0.9, 0.895, 0.0).log_evidence
    without = spaces(7, 0.0, 0.0, 0.0, 0.9, 0.5, 0.0).log_evidence
    assert max(nats) == nats[3] == 0.0
    assert nats[4] == pytest.approx(-1.0)
    assert without[4] < -3.0


def test_what_two_halves_do_not_share_is_not_ruled_out():
    assert spaces(4, 0.0, 0.1, 0.0).log_evidence == pytest.approx([-2.0, -2.0, -2.0, 0.0])


def test_stable_subspaces_of_one_feature_are_none():
    assert stable_subspaces((1.0,), 1) == ()
    assert StableSubspace(1, 0.5) == StableSubspace(dimension=1, agreement=0.5)


@pytest.mark.parametrize(("clusters", "each", "features"), [(4, 30, 4), (50, 30, 5)])
def test_of_clusters_of_fewer_points_than_neighbours_nothing_is_said(clusters, each, features):
    generator = torch.Generator().manual_seed(0)
    centers = 10.0 * torch.randn(clusters, features, generator=generator, dtype=torch.float64)
    x = centers.repeat(each, 1) + normal(clusters * each, features)
    said = found(x)
    assert said.stable == ()
    assert said.log_evidence == [0.0] * features
    assert said.residual_variance(1) == 0.0


def test_what_the_rows_of_a_half_span_is_no_subspace_that_they_share():
    cube = torch.rand(100, 15, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert all(stable.dimension < 14 for stable in found(rotated(cube, 40)).stable)


def test_it_takes_tensors_with_gradients_and_leaves_the_global_generator_alone():
    x = normal(100, 3).requires_grad_()
    before = torch.random.get_rng_state()
    assert tangent_spaces(x) == tangent_spaces(x)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_bad_points_are_refused():
    with refused(ValueError, "at least 50 distinct points", "got 49"):
        tangent_spaces(normal(49, 3))
    with refused(ValueError, "finite"):
        tangent_spaces(torch.full((100, 2), math.nan))
    with refused(ValueError, "at least one feature", "(100, 0)"):
        tangent_spaces(torch.zeros(100, 0))
    with refused(TypeError, "floating"):
        tangent_spaces(torch.arange(200).reshape(100, 2))
