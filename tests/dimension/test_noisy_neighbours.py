"""Distances between noisy points: what they say once the noise across the manifold is taken off them."""

import math

import pytest
import torch

from nflows_spread.dimension import (
    NeighbourDimension,
    TangentSpaces,
    dimension_of,
    neighbour_dimension,
    tangent_spaces,
)
from nflows_spread.dimension.noisy_neighbours import log_plausibilities, seen_by_neighbours


def neighbours(value, *, nearest=1.0, far=None, above=0.1):
    profile = dict.fromkeys(("normal", "cube"), (value, value if far is None else far))
    return NeighbourDimension(value, 0.1, above, nearest, (3, 5), profile)


def tangents(features, stable, residual, *, squares=(1.0,) * 5):
    """One perfectly stable subspace with variance 1 along it and ``residual`` across."""
    agreement = tuple(1.0 if k == stable else k / features for k in range(1, features + 1))
    variances = (1.0,) * stable + (residual,) * (features - stable)
    return TangentSpaces(features, (60,), (agreement,), (variances,), squares)


def test_noise_that_is_small_beside_the_nearest_distance_changes_nothing():
    said = neighbours(2.0)
    expected = [said.log_plausibility(k) for k in range(1, 6)]
    assert log_plausibilities(said, tangents(5, 2, 1e-4)) == pytest.approx(expected)


def test_where_nothing_is_stable_nothing_is_noise():
    said = neighbours(2.0)
    isotropic = TangentSpaces(5, (60,), (tuple(k / 5 for k in range(1, 6)),), ((1.0,) * 5,), (1.0,) * 5)
    assert log_plausibilities(said, isotropic) == pytest.approx([said.log_plausibility(k) for k in range(1, 6)])


def test_the_noise_across_a_stable_subspace_is_taken_off_the_squared_distances():
    """c = 2 (D − K) t² = 0.3 of r² = 1: eight dimensions seen are 8 (1 − c) of the manifold at K = 2."""
    found = log_plausibilities(neighbours(9.0, nearest=0.5, far=8.0), tangents(5, 2, 0.05))
    error = math.hypot(0.08, 1.5 * 0.3)
    assert found[1] == pytest.approx(-0.5 * (math.log(2.0 / (8.0 * 0.7)) / error) ** 2)


def test_noise_explains_that_the_dimension_falls_with_the_number_of_neighbours():
    """Beyond the stable subspace the wide error of a falling dimension is not believed."""
    said = neighbours(3.0, nearest=0.5, far=2.0, above=2.0)
    assert log_plausibilities(said, tangents(5, 2, 0.05))[4] == pytest.approx(-0.5 * (math.log(5 / 3) / 0.1) ** 2)


def test_what_the_nearest_see_stands_where_the_dimension_rises_with_the_number_of_neighbours():
    """At one dimension near and two far off noise is none of it, though local axes show as much as that."""
    noisy = tangents(5, 2, 0.05)
    rising, level = (neighbours(1.1, nearest=0.5, far=far) for far in (3.5, 1.1))
    found = log_plausibilities(rising, noisy)
    assert found[0] >= rising.log_plausibility(1)
    assert found[1] == pytest.approx(rising.log_plausibility(2))
    assert found[1] < -8.0
    assert log_plausibilities(level, noisy)[1] > -8.0


@pytest.mark.parametrize("turns", [5, 6, 8])
def test_turns_of_a_spiral_that_are_near_each_other_are_no_second_dimension(turns):
    generator = torch.Generator().manual_seed(0)
    t = 2.0 * math.pi * turns * torch.rand(500, 1, generator=generator, dtype=torch.float64)
    spiral = torch.cat([t * t.cos(), t * t.sin(), torch.zeros(500, 1)], 1)
    noise = 0.01 * spiral.var(0).mean().sqrt() * torch.randn(spiral.shape, generator=generator, dtype=torch.float64)
    found = dimension_of(spiral + noise)
    assert (int(found), found.interval) == (1, (1, 2))  # of which local axes see the plane


@pytest.mark.parametrize("halves", [6, 7])
def test_the_width_of_a_twisted_band_is_no_noise_where_few_points_leave_neighbourhoods_as_wide_as_it(halves):
    u = 2.0 * torch.rand(300, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) - 1.0
    angle, across = math.pi * u[:, 0], 0.5 * u[:, 1]
    turn = 0.5 * halves * angle
    wide = 1.0 + across * turn.cos()
    assert dimension_of(torch.stack([wide * angle.cos(), wide * angle.sin(), across * turn.sin()], 1)) == 2


def test_an_interval_covers_a_dip_between_noise_and_what_bends_back():
    """At no scale is a noisy spiral a curve alone; where it is nearest to one its dimension rounds to 1."""
    generator = torch.Generator().manual_seed(0)
    t = 16.0 * math.pi * torch.rand(2000, 1, generator=generator, dtype=torch.float64)
    spiral = torch.cat([t * t.cos(), t * t.sin(), torch.zeros(2000, 2)], 1)
    noise = 0.015 * spiral.var(0).mean().sqrt() * torch.randn(spiral.shape, generator=generator, dtype=torch.float64)
    found = dimension_of(spiral + noise)
    dip = found.scales.dip(0.1)
    assert round(found.scales.dimensions[dip]) == 1
    assert found.interval[0] == 1


@pytest.mark.parametrize("features", [6, 20])
def test_a_noisy_surface_has_two_dimensions(features):
    generator = torch.Generator().manual_seed(0)
    u = 2.0 * torch.rand(2000, 2, generator=generator, dtype=torch.float64) - 1.0
    surface = torch.cat([u, u[:, :1] ** 2 - u[:, 1:] ** 2, torch.zeros(2000, features - 3)], dim=1)
    x = surface + 0.04 * torch.randn(surface.shape, generator=generator, dtype=torch.float64)
    distances, local = neighbour_dimension(x, generator=generator), tangent_spaces(x, generator=generator)
    by_distances = [distances.log_plausibility(k) for k in range(1, features + 1)]
    assert by_distances.index(max(by_distances)) + 1 > 2
    total = [a + b for a, b in zip(log_plausibilities(distances, local), local.log_evidence, strict=True)]
    assert total.index(max(total)) + 1 == 2


@pytest.mark.parametrize(("agreement", "value", "covered"), [(0.8, 3.6, [4]), (0.95, 3.6, []), (0.8, 2.1, [])])
def test_what_neighbours_see_is_covered_where_a_doubtful_subspace_needs_noise(agreement, value, covered):
    """Neighbours that rule out 2 while the plane's agreement leaves a doubt, none, or they do not rule it out."""
    shared = tuple(k / 5 + (agreement if k == 2 else 0.0) * (1.0 - k / 5) for k in range(1, 6))
    plane = TangentSpaces(5, (60,), (shared,), ((1.0,) * 5,), (1.0,) * 5)
    assert seen_by_neighbours(2, neighbours(value), plane) == covered
    assert seen_by_neighbours(3, neighbours(value), plane) == []
