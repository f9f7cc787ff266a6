"""Distances between neighbours, the estimate they give, and the dimension at which sets of known dimension give it."""

import math

import numpy as np
import pytest
import scipy.spatial
import torch

from nflows_spread.dimension.calibration import (
    NEIGHBOURS,
    SHAPES,
    calibrated,
    inverse_dimensions,
    levels_of,
    log_distances,
    maximum_likelihood,
    trimmed_estimates,
)

pytestmark = pytest.mark.usefixtures("float64")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_distances_are_those_of_a_tree_and_a_point_is_no_neighbour_of_itself():
    x = torch.randn(2100, 3, generator=seeded())
    expected = scipy.spatial.cKDTree(x).query(x[:2000], 41)[0][:, 1:]
    np.testing.assert_allclose(log_distances(x).exp(), expected, rtol=1e-6)


def test_the_estimate_is_levina_and_bickels_averaged_as_mackay_and_ghahramani_do():
    logs = torch.rand(70, 40, generator=seeded()).cumsum(1)
    estimates, _ = maximum_likelihood(logs)
    for k, estimate in zip(NEIGHBOURS, estimates, strict=True):
        inverse = [sum(float(row[k - 1] - row[j]) for j in range(k - 1)) / (k - 2) for row in logs]
        np.testing.assert_allclose(inverse_dimensions(logs, k), inverse, rtol=1e-12)
        assert estimate == pytest.approx(1.0 / np.mean(inverse), rel=1e-12)


@pytest.mark.parametrize("dimension", [2, 4])
def test_the_error_of_an_estimate_is_what_it_varies_by_from_sample_to_sample(dimension):
    samples = [torch.rand(400, dimension, generator=seeded(seed)) for seed in range(100)]
    estimates, errors = zip(*(maximum_likelihood(log_distances(x)) for x in samples), strict=True)
    varies = torch.tensor(estimates)[:, :2].log().std(0)  # of the 3rd and the 5th neighbour, which decide
    torch.testing.assert_close(torch.tensor(errors)[:, :2].mean(0), varies, rtol=0.3, atol=0.0)


def test_the_relative_error_is_13_tenths_of_that_of_independent_points():
    logs = torch.rand(70, 40, generator=seeded()).cumsum(1)
    inverse = inverse_dimensions(logs, 5).numpy()
    expected = 1.3 * inverse.std(ddof=1) / inverse.mean() / math.sqrt(70)
    assert maximum_likelihood(logs)[1][1] == pytest.approx(expected, rel=1e-12)


def levels(dimension):
    """As of a shape whose estimates are a tenth too low."""
    return (dimension - 0.1, dimension**0.9)


@pytest.mark.parametrize("dimension", [1, 2, 6, 13, 17, 35])
def test_a_set_like_a_shape_has_its_dimension(dimension):
    assert calibrated(levels, list(levels(dimension)), 100) == pytest.approx([dimension] * 2, rel=1e-12)


def test_between_two_sizes_of_a_shape_the_dimension_is_on_a_straight_line():
    middle = 0.5 * (np.array(levels(13)) + np.array(levels(17)))
    assert calibrated(levels, list(middle), 100) == pytest.approx([15.0, 15.0], rel=1e-12)
    assert calibrated(levels, [0.45, 0.5], 100) == pytest.approx([0.5, 0.5], rel=1e-12)  # and below 1 to nothing


@pytest.mark.parametrize(("features", "dimension"), [(3, 5), (3, 6), (20, 35)])
def test_a_dimension_up_to_twice_that_of_the_space_is_found(features, dimension):
    assert calibrated(levels, list(levels(dimension)), features) == pytest.approx([dimension] * 2, rel=1e-12)


def test_no_dimension_is_above_twice_that_of_the_space_or_below_a_tenth():
    assert calibrated(levels, [50.0, 50.0], 4) == (8.0, 8.0)
    assert calibrated(levels, [0.05, 0.05], 4) == (0.1, 0.1)


def test_shapes_have_the_dimension_that_they_are_asked_for():
    sphere, cube, normal = (SHAPES[name](4000, 3, seeded()) for name in ("sphere", "cube", "normal"))
    assert sphere.shape == (4000, 4)
    torch.testing.assert_close(sphere.norm(dim=1), torch.ones(4000))
    assert cube.shape == normal.shape == (4000, 3)
    # the moments of a uniform and of a normal distribution, to five standard errors
    torch.testing.assert_close(cube.mean(0), torch.full((3,), 0.5), rtol=0.0, atol=5.0 / math.sqrt(12 * 4000))
    torch.testing.assert_close(cube.var(0), torch.full((3,), 1 / 12), rtol=0.0, atol=5.0 / math.sqrt(180 * 4000))
    torch.testing.assert_close(normal.mT.cov(), torch.eye(3), rtol=0.0, atol=5.0 * math.sqrt(2 / 4000))


def test_levels_are_the_estimates_of_a_sample_of_the_shape_and_the_same_each_time():
    found = levels_of("cube", 300)(2)
    assert found == levels_of("cube", 300)(2)
    samples = [log_distances(torch.rand(300, 2, generator=seeded(seed))) for seed in range(20)]
    others = [[*maximum_likelihood(logs)[0], *trimmed_estimates(logs)] for logs in samples]
    np.testing.assert_allclose(found, np.mean(others, axis=0), rtol=0.2)


def test_trimmed_estimates_leave_out_the_quarter_of_points_where_they_are_lowest():
    logs = log_distances(torch.rand(200, 3, generator=seeded()))
    for k, found in zip((3, 5), trimmed_estimates(logs), strict=True):
        inverse = np.sort([sum(float(row[k - 1] - row[j]) for j in range(k - 1)) / (k - 2) for row in logs])
        assert found == pytest.approx(1.0 / inverse[:150].mean(), rel=1e-9)
