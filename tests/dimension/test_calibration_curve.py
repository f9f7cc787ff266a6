"""Calibration curves: the dimension at which sets of known dimension give the estimates of others."""

import math

import numpy as np
import pytest
import torch

from nflows_spread.dimension.calibration_curve import (
    GRID,
    SHAPES,
    SIZES,
    calibrated,
    calibration_curve,
    simulated_estimates,
)
from nflows_spread.dimension.maximum_likelihood import log_distances, maximum_likelihood, trimmed_estimates

pytestmark = pytest.mark.usefixtures("float64")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def curve(dimension):
    """As of a shape whose estimates are a tenth too low."""
    return (dimension - 0.1, dimension**0.9)


@pytest.mark.parametrize("dimension", [1, 2, 6, 13, 17, 35])
def test_a_set_like_a_shape_has_its_dimension(dimension):
    assert calibrated(curve, list(curve(dimension)), 100) == pytest.approx([dimension] * 2, rel=1e-12)


def test_between_two_sizes_of_a_shape_the_dimension_is_on_a_straight_line():
    middle = 0.5 * (np.array(curve(13)) + np.array(curve(17)))
    assert calibrated(curve, list(middle), 100) == pytest.approx([15.0, 15.0], rel=1e-12)
    assert calibrated(curve, [0.45, 0.5], 100) == pytest.approx([0.5, 0.5], rel=1e-12)  # and below 1 to nothing


@pytest.mark.parametrize(("features", "dimension"), [(3, 5), (3, 6), (20, 35)])
def test_a_dimension_up_to_twice_that_of_the_space_is_found(features, dimension):
    assert calibrated(curve, list(curve(dimension)), features) == pytest.approx([dimension] * 2, rel=1e-12)


def test_no_dimension_is_above_twice_that_of_the_space_or_below_a_tenth():
    assert calibrated(curve, [50.0, 50.0], 4) == (8.0, 8.0)
    assert calibrated(curve, [0.05, 0.05], 4) == (0.1, 0.1)


def test_shapes_have_the_dimension_that_they_are_asked_for():
    sphere, cube, normal = (SHAPES[name](4000, 3, seeded()) for name in ("sphere", "cube", "normal"))
    assert sphere.shape == (4000, 4)
    torch.testing.assert_close(sphere.norm(dim=1), torch.ones(4000))
    assert cube.shape == normal.shape == (4000, 3)
    # the moments of a uniform and of a normal distribution, to five standard errors
    torch.testing.assert_close(cube.mean(0), torch.full((3,), 0.5), rtol=0.0, atol=5.0 / math.sqrt(12 * 4000))
    torch.testing.assert_close(cube.var(0), torch.full((3,), 1 / 12), rtol=0.0, atol=5.0 / math.sqrt(180 * 4000))
    torch.testing.assert_close(normal.mT.cov(), torch.eye(3), rtol=0.0, atol=5.0 * math.sqrt(2 / 4000))


def test_a_curve_has_the_estimates_of_a_sample_of_the_shape_and_the_same_each_time():
    found = calibration_curve("cube", 300)(2)
    assert found == calibration_curve("cube", 300)(2)
    samples = [log_distances(torch.rand(300, 2, generator=seeded(seed))) for seed in range(20)]
    others = [[*maximum_likelihood(logs)[0], *trimmed_estimates(logs)] for logs in samples]
    np.testing.assert_allclose(found, np.mean(others, axis=0), rtol=0.2)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("points", "dimension"), [(60, 3), (330, 7), (1100, 2), (2000, 12)])
def test_between_the_sizes_and_dimensions_of_the_table_a_curve_is_what_samples_give(shape, points, dimension):
    """To within the error of 8 000 points, of which the estimate by three neighbours is the least sure."""
    found = calibration_curve(shape, points)(dimension)
    expected = simulated_estimates(shape, points, dimension, queries=8000)
    np.testing.assert_allclose(found, expected, rtol=0.04)
    np.testing.assert_allclose(found[2:5], expected[2:5], rtol=0.025)


def test_sets_larger_than_those_of_the_table_have_the_curve_of_the_largest():
    assert calibration_curve("cube", 10**7)(3) == calibration_curve("cube", SIZES[-1])(3)


def test_a_curve_goes_on_beyond_the_table_and_rises_with_the_dimension():
    found = np.array([calibration_curve("normal", 2000)(dimension) for dimension in (*GRID, 500, 2000)])
    assert bool((np.diff(found, axis=0) > 0.0).all())
