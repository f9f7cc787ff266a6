"""The dimension by nearest neighbours, on sets of known dimension that it was not calibrated on."""

import math

import pytest
import torch

from nflows_spread.dimension.maximum_likelihood import log_distances, maximum_likelihood, neighbour_numbers
from nflows_spread.dimension.neighbours import NeighbourDimension, _explaining, neighbour_dimension
from support import refused

pytestmark = pytest.mark.usefixtures("float64")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def ball(points, dimension):
    directions = torch.randn(points, dimension, generator=seeded())
    radii = torch.rand(points, 1, generator=seeded(1)) ** (1.0 / dimension)
    return directions / directions.norm(dim=1, keepdim=True) * radii


def torus(points, dimension):
    angles = 2.0 * math.pi * torch.rand(points, dimension, generator=seeded())
    return torch.cat([angles.cos(), angles.sin()], dim=1)


@pytest.mark.parametrize("dimension", [1, 2, 5, 12])
@pytest.mark.parametrize("shape", [ball, torus])
def test_the_dimension_is_within_the_error(shape, dimension):
    found = neighbour_dimension(shape(1500, dimension))
    assert found.log_plausibility(dimension) > -2.0
    if shape is ball or dimension < 10:  # 1500 points do not see that a torus of 12 dimensions is flat
        assert found.value == pytest.approx(dimension, rel=0.15)


def test_no_isometry_and_no_scale_changes_it():
    x = ball(600, 3)
    rotation = torch.linalg.qr(torch.randn(8, 8, generator=seeded())).Q[:3]
    first, second = neighbour_dimension(x), neighbour_dimension(100.0 + 7.0 * x @ rotation)
    assert second.value == pytest.approx(first.value, rel=1e-6)
    assert second.nearest == pytest.approx(7.0 * first.nearest, rel=1e-6)


def test_repeated_points_count_once():
    x = ball(300, 2)
    assert neighbour_dimension(torch.cat([x, x])).value == pytest.approx(neighbour_dimension(x).value, rel=1e-9)


def test_a_density_that_varies_makes_larger_dimensions_plausible():
    normal = torch.randn(1500, 6, generator=seeded())
    uneven = normal.sign() * normal.abs() ** 3
    found, even = neighbour_dimension(uneven), neighbour_dimension(normal)
    assert found.value < 6.0
    assert found.above > even.above
    assert found.below < 0.12


def test_the_ambient_noise_is_that_of_the_noise():
    plane = torch.cat([ball(2000, 2), torch.zeros(2000, 8)], dim=1)
    noise = torch.randn(plane.shape, generator=seeded(2))
    clean, noisy = neighbour_dimension(plane), neighbour_dimension(plane + 0.02 * noise)
    assert clean.ratio_across_scales > 0.95
    assert clean.ambient_noise < 0.01
    assert noisy.ratio_across_scales < 0.7
    assert noisy.ambient_noise == pytest.approx(0.02, rel=0.2)
    assert neighbour_dimension(3.0 * (plane + 0.02 * noise)).ambient_noise == pytest.approx(
        3.0 * noisy.ambient_noise, rel=1e-6
    )


def test_of_noisy_points_the_far_neighbours_decide():
    plane = torch.cat([ball(2000, 2), torch.zeros(2000, 8)], dim=1)
    noisy = plane + 0.02 * torch.randn(plane.shape, generator=seeded(2))
    near, far = neighbour_dimension(noisy), neighbour_dimension(noisy, noisy=True)
    assert near.value == pytest.approx(mean_of(near, (3, 5)))
    assert far.value == pytest.approx(mean_of(near, (20, 40)))
    assert abs(far.value - 2.0) < 0.5 * abs(near.value - 2.0)


def mean_of(found, neighbours):
    """The geometric mean of a profile over its shapes and some numbers of neighbours."""
    places = [found.neighbours.index(k) for k in neighbours]
    return math.exp(sum(math.log(values[i]) for values in found.profile.values() for i in places) / (3 * len(places)))


@pytest.mark.parametrize("points", [150, 400])
def test_the_standard_error_of_an_estimate_is_how_much_it_varies_from_draw_to_draw(points):
    generator = seeded()
    draws = [maximum_likelihood(log_distances(torch.rand(points, 2, generator=generator))) for _ in range(100)]
    found = torch.tensor([estimates for estimates, _ in draws]).log().std(0)
    stated = torch.tensor([errors for _, errors in draws]).mean(0)
    assert float((found / stated).min()) > 0.7
    assert float((found / stated).max()) < 1.4


def test_shapes_that_disagree_make_the_error_larger():
    found = neighbour_dimension(ball(1500, 12))
    means = [math.sqrt(values[0] * values[1]) for values in found.profile.values()]
    half = 0.5 * math.log(max(means) / min(means))
    assert half > 0.04
    assert min(found.below, found.above) > math.hypot(0.05, half)  # with the error of the best of calibrations


def test_noise_far_below_the_neighbours_does_not_count():
    x = torch.cat([ball(1000, 2), torch.zeros(1000, 3)], dim=1)
    noisy = x + 1e-4 * torch.randn(x.shape, generator=seeded(3))
    assert neighbour_dimension(noisy).value == pytest.approx(2.0, rel=0.1)


def test_few_distinct_points_are_refused():
    with refused(ValueError, "x must have at least 50 distinct points, got 10 among 100"):
        neighbour_dimension(ball(10, 2).repeat(10, 1))


@pytest.mark.parametrize("features", [2, 50])  # with constant columns, whose squares cancel too
@pytest.mark.parametrize("offset", [1e4, 1.7e9, -1e12])
def test_the_dimension_is_the_same_far_from_the_origin(offset, features):
    """Seconds within an hour, of which there are more than a billion since 1970, and a value from 0 to 100."""
    x = torch.nn.functional.pad(
        torch.rand(1000, 2, generator=seeded()) * torch.tensor([3600.0, 100.0]), (0, features - 2)
    )
    there = neighbour_dimension(x + offset)
    here = neighbour_dimension((x + offset) - offset)  # of the same rounded numbers
    assert there.value == pytest.approx(here.value, rel=1e-9)
    assert there.nearest == pytest.approx(here.nearest, rel=1e-9)
    assert there.value == pytest.approx(2.0, rel=0.1)


def test_two_places_far_apart_have_the_dimension_of_each():
    x = ball(1000, 2)
    found = neighbour_dimension(torch.cat([x, x[:500] + 1e8]))
    assert found.value == pytest.approx(2.0, rel=0.1)
    assert found.nearest == pytest.approx(neighbour_dimension(x).nearest, rel=0.2)


def test_too_few_points_once_near_repeats_are_merged_are_refused():
    near = ball(20, 2).repeat(3, 1) + 1e-9 * torch.randn(60, 2, generator=seeded(1))
    with refused(ValueError, "x must have at least 50 distinct points, got 20 among 60"):
        neighbour_dimension(near)


def test_distances_that_look_like_more_dimensions_than_there_are_speak_for_all_of_them():
    seen = NeighbourDimension(120.0, 0.05, 0.05, 1.0, (3, 40), {"normal": (120.0, 120.0)})
    nats = seen.log_plausibilities(60)
    assert nats[-1] == 0.0
    assert nats[0] < nats[30] < nats[58] < 0.0
    assert nats[58] == pytest.approx(-0.5 * (math.log(60.0 / 59.0) / 0.05) ** 2)
    assert seen.log_plausibilities(200) == [seen.log_plausibility(k) for k in range(1, 201)]


@pytest.mark.parametrize("share", [0.0, 0.25, 0.8])
def test_noise_that_makes_the_dimension_fall_with_distance_is_found(share):
    """K r² / (r² − c) at all distances, for c this share of the smallest r²: 2 (D − K) t² = c."""
    distances = torch.linspace(1.0, 3.0, 60)
    logs = distances.log().expand(10, -1)
    squares = distances[[k - 1 for k in neighbour_numbers(logs)]].square()
    noise = share * float(squares[0])
    profile = {"cube": tuple((3.0 * squares / (squares - noise)).tolist())}
    assert _explaining(profile, logs, 12) == pytest.approx(math.sqrt(noise / 18.0), rel=1e-6, abs=1e-9)
