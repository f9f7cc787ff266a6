"""Dimension against scale: by subsets, against SciPy's distances, on sets whose dimension changes with scale."""

import math

import numpy as np
import pytest
import scipy.spatial
import torch

from nflows_spread.dimension import DimensionAgainstScale
from nflows_spread.dimension.maximum_likelihood import log_distances
from nflows_spread.dimension.scales import dimension_against_scale, of_neighbours_alone

pytestmark = pytest.mark.usefixtures("float64")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def scales_of(x):
    return dimension_against_scale(x, log_distances(x))


def plane(points=3000):
    return torch.rand(points, 2, generator=seeded()) @ torch.randn(2, 6, generator=seeded(1))


def noisy_line(points=3000, noise=0.003):
    line = torch.rand(points, 1, generator=seeded()) * torch.tensor([1.0, 0.0, 0.0, 0.0])
    return line + noise * torch.randn(points, 4, generator=seeded(1))


def test_a_scale_is_the_mean_distance_to_a_neighbour_among_so_many_points():
    x = plane(3000)
    found = scales_of(x)
    assert found.points[0] == 3000
    assert found.neighbours[0] == 3
    entries = list(zip(found.points, found.neighbours, found.scales))
    for size, k, scale in (entries[0], entries[-1]):
        parts = [x[first : first + size] for first in range(0, 3000 - size + 1, size)]
        distances = [scipy.spatial.KDTree(part).query(part[:2000], k + 1)[0][:, -1] for part in parts]
        assert scale == pytest.approx(np.concatenate(distances).mean(), rel=0.02)


def test_scales_grow_over_a_decade_and_subsets_halve():
    found = scales_of(plane())
    assert list(found.scales) == sorted(found.scales)
    assert found.scales[-1] > 10.0 * found.scales[0]
    assert sorted(set(found.points), reverse=True) == [3000, 1500, 750, 375, 187]


def test_a_plane_has_two_dimensions_at_each_scale_within_its_standard_error():
    found = scales_of(plane())
    off = (np.array(found.dimensions) - 2.0) / np.array(found.standard_errors)
    assert np.abs(off).max() < 3.0


def test_a_noisy_line_is_full_below_the_noise_and_a_line_above_it():
    found = scales_of(noisy_line())
    assert found.dimensions[0] > 1.8
    assert found.dimensions[-1] == pytest.approx(1.0, abs=0.15)
    assert found.at(found.scales[-1]) == found.dimensions[-1]


def test_the_standard_error_is_what_the_dimension_varies_by():
    """Of all points by ten neighbours, where what the shapes disagree on is little of it."""
    x = torch.rand(40 * 500, 3, generator=seeded(2))
    found = [scales_of(part) for part in x.split(500)]
    place = list(zip(found[0].neighbours, found[0].points)).index((10, 500))
    varied = np.std([each.dimensions[place] for each in found])
    assert varied < 1.3 * np.mean([each.standard_errors[place] for each in found])


def test_between_scales_the_dimension_is_on_a_straight_line_of_their_logarithm():
    made = DimensionAgainstScale((1.0, 4.0), (3.0, 1.0), (0.1, 0.1), (3, 10), (100, 100))
    assert [made.at(scale) for scale in (0.5, 1.0, 2.0, 4.0, 9.0)] == pytest.approx([3.0, 3.0, 2.0, 1.0, 1.0])


def test_another_unit_changes_scales_and_nothing_else():
    found, large = (scales_of(unit * plane(300)) for unit in (1.0, 100.0))
    assert large.scales == pytest.approx(found.in_units_of(100.0).scales)
    assert large.dimensions == pytest.approx(found.dimensions, rel=1e-9)


def test_without_points_there_are_the_neighbours_alone():
    x = plane(400)
    found = of_neighbours_alone(log_distances(x)[:, :12], 400, 6)
    assert found.neighbours == (3, 5, 10)
    assert found.scales == scales_of(x).scales[:3]
    assert found.dimensions == scales_of(x).dimensions[:3]


def test_fifty_points_are_enough():
    found = scales_of(plane(50))
    assert set(found.points) == {50}
    assert math.isfinite(sum(found.dimensions))


@pytest.mark.parametrize(
    ("dimensions", "place"),
    [
        ((2.5, 1.4, 2.0), 1),
        ((2.5, 1.6, 1.4, 2.0), 2),
        ((2.5, 1.4, 1.5), None),  # hardly more beyond it
        ((1.5, 1.4, 2.0), None),
        ((2.5, 1.4), None),
        ((2.5, 2.0, 1.4), None),  # it falls on
        ((1.0, 1.4, 2.0), None),
        ((2.0,), None),
    ],
)
def test_a_dip_has_more_dimensions_on_either_side(dimensions, place):
    numbers = tuple(range(1, len(dimensions) + 1))
    found = DimensionAgainstScale(tuple(map(float, numbers)), dimensions, (0.1,) * len(numbers), numbers, numbers)
    assert found.dip(0.1) == place
