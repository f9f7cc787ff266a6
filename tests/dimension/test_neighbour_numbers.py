"""What the numbers of a neighbours' dimension are made of: value, errors, nearest distance and ambient_noise."""

import math

import numpy as np
import pytest
import scipy.optimize
import scipy.spatial
import scipy.stats
import torch

from nflows_spread.dimension import NeighbourDimension, neighbour_dimension, pointwise_dimension
from nflows_spread.dimension.calibration_curve import SHAPES, calibration_curve
from nflows_spread.dimension.maximum_likelihood import NEIGHBOURS, log_distances, maximum_likelihood
from support import refused

pytestmark = pytest.mark.usefixtures("float64")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def uneven(points=500):
    """Three features whose density varies so much that every shape's dimension falls with the number of neighbours."""
    normal = torch.randn(points, 3, generator=seeded())
    return normal.sign() * normal.abs() ** 3


def folded(points=500):
    """A curve that comes close to itself: every shape's dimension rises."""
    t = 40.0 * torch.rand(points, generator=seeded())
    return torch.stack([t * t.cos(), t * t.sin()], dim=1)


def cube(points=500):
    """Ten features: by the shapes' different edges the dimension falls for some of them and rises for another."""
    return torch.rand(points, 10, generator=seeded())


DATA = {"uneven": uneven, "folded": folded, "cube": cube}
every_data = pytest.mark.parametrize("data", DATA.values(), ids=DATA)
both = pytest.mark.parametrize("noisy", [False, True])


def trends(found):
    """What the dimension grows by, in nats, from the 3rd to the 40th neighbour, for each shape."""
    return [math.log(values[-1] / values[0]) for values in found.profile.values()]


def test_the_data_of_this_file_fall_rise_and_do_neither():
    assert max(trends(neighbour_dimension(uneven()))) < 0.0
    assert min(trends(neighbour_dimension(folded()))) > 0.0
    assert min(trends(neighbour_dimension(cube()))) < 0.0 < max(trends(neighbour_dimension(cube())))


@every_data
@both
def test_the_value_is_the_geometric_mean_of_the_nearest_or_of_noisy_points_the_farthest(data, noisy):
    found = neighbour_dimension(data(), noisy=noisy)
    deciding = [values[3:5] if noisy else values[:2] for values in found.profile.values()]
    assert found.value == pytest.approx(scipy.stats.gmean(np.ravel(deciding)), rel=1e-9)
    assert found.neighbours == (3, 5, 10, 20, 40)


@every_data
@both
def test_the_errors_are_of_the_points_of_the_shapes_and_of_the_trend(data, noisy):
    """At least 5 % (8 % of noisy points), half of what the shapes differ by, the points' own, and 1.5 of a trend."""
    x = data()
    found = neighbour_dimension(x, noisy=noisy)
    of_shapes = [np.log(values[3:5] if noisy else values[:2]).mean() for values in found.profile.values()]
    of_points = maximum_likelihood(log_distances(x))[1][0]
    error = math.hypot(0.08 if noisy else 0.05, 0.5 * np.ptp(of_shapes), of_points)
    rising, falling = (0.0, 0.0) if noisy else (max(0.0, min(trends(found))), max(0.0, -max(trends(found))))
    assert found.below == pytest.approx(error + 1.5 * rising, rel=1e-9)
    assert found.above == pytest.approx(error + 1.5 * falling, rel=1e-9)


@every_data
def test_the_nearest_distance_is_the_median_over_points(data):
    x = data()
    nearest = np.sort(scipy.spatial.cKDTree(x).query(x, 2)[0][:, 1])
    assert neighbour_dimension(x).nearest == pytest.approx(nearest[(len(x) - 1) // 2], rel=1e-6)


def noisy_line():
    x = torch.cat([torch.rand(800, 1, generator=seeded()), torch.zeros(800, 3)], dim=1)
    return x + 0.002 * torch.randn(x.shape, generator=seeded(1))


@pytest.mark.parametrize("data", [uneven, noisy_line])
def test_the_ambient_noise_makes_the_dimension_the_same_for_all_numbers_of_neighbours(data):
    """Where noise adds c = 2 (D − K) t² to squared distances r², K looks like K r² / (r² − c)."""
    x = data()
    found = neighbour_dimension(x)
    squares = (scipy.spatial.cKDTree(x).query(x, 41)[0][:, NEIGHBOURS] ** 2).mean(0)
    seen = np.log(list(found.profile.values())).mean(0)

    def logs(share):  # of c in the smallest r²
        return seen + np.log1p(-share * squares[0] / squares)

    share = scipy.optimize.minimize_scalar(lambda share: logs(share).std(), bounds=(0.0, 1.0), method="bounded").x
    codimension = max(1.0, x.shape[1] - np.exp(logs(share).mean()))
    to_a_hundredth = 0.01 / (2.0 * share)
    assert found.ambient_noise == pytest.approx(math.sqrt(share * squares[0] / (2.0 * codimension)), rel=to_a_hundredth)
    assert data is uneven or found.ambient_noise == pytest.approx(0.002, rel=0.2)


def test_there_is_no_ambient_noise_where_one_shape_does_not_fall():
    assert neighbour_dimension(cube()).ambient_noise == 0.0
    assert neighbour_dimension(folded()).ambient_noise == 0.0


def made(value=3.0, below=0.1, above=0.2, profile=None, **rest):
    profile = {"cube": (3.0, 3.0)} if profile is None else profile
    return NeighbourDimension(value, below, above, 0.5, (3, 40), profile, **rest)


@pytest.mark.parametrize(("dimension", "error"), [(1, 0.1), (2, 0.1), (3, 0.1), (4, 0.2), (9, 0.2)])
def test_how_well_a_dimension_fits_is_a_normal_density_of_its_logarithm(dimension, error):
    normal = scipy.stats.norm(math.log(3.0), error)
    expected = normal.logpdf(math.log(dimension)) - normal.logpdf(math.log(3.0))
    assert made().log_plausibility(dimension) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("profile", "ratio"),
    [
        ({"a": (2.0, 9.0, 1.0), "b": (2.0, 9.0, 1.5), "c": (2.0, 9.0, 1.2)}, 0.75),
        ({"a": (2.0, 1.0), "b": (2.0, 2.5)}, 1.0),
    ],
)
def test_the_ratio_across_scales_is_that_of_the_shape_which_falls_least(profile, ratio):
    assert made(profile=profile).ratio_across_scales == pytest.approx(ratio)


def test_another_unit_changes_lengths_and_nothing_else():
    small = made(ambient_noise=0.3)
    large = small.in_units_of(10.0)
    assert (large.nearest, large.ambient_noise) == pytest.approx((5.0, 3.0))
    assert (large.value, large.below, large.above, large.profile) == (3.0, 0.1, 0.2, small.profile)


def test_fifty_distinct_points_are_enough():
    x = torch.rand(50, 2, generator=seeded())
    assert neighbour_dimension(torch.cat([x, x])).value == pytest.approx(2.0, rel=0.5)
    with refused(ValueError, "x must have at least 50 distinct points, got 49 among 98"):
        neighbour_dimension(torch.cat([x[:49], x[:49]]))


def test_the_dimension_at_a_point_is_that_of_twenty_neighbours_averaged_over_them_and_calibrated():
    """By a tree, in more points than are looked at together: half of them on a line, half in a cube."""
    line = torch.cat([torch.linspace(-4.0, -2.0, 1050)[:, None], torch.zeros(1050, 2)], dim=1)
    line[:, 0] += 0.001 * torch.rand(1050, generator=seeded(1))
    x = torch.cat([line, torch.rand(1050, 3, generator=seeded())])
    distances, neighbours = scipy.spatial.cKDTree(x).query(x, 21)
    inverse = (np.log(distances[:, 20:] / distances[:, 1:20])).sum(1) / 18
    estimates = 1.0 / inverse[neighbours].mean(1)
    curve = [np.mean([calibration_curve(shape, 2100)(k)[NEIGHBOURS.index(20)] for shape in SHAPES]) for k in (1, 2, 3)]
    expected = 1 + np.searchsorted((curve[0] + curve[1]) / 2 + np.array([0.0, (curve[2] - curve[0]) / 2]), estimates)
    assert set(expected) == {1, 2, 3}
    np.testing.assert_array_equal(pointwise_dimension(x), expected)
