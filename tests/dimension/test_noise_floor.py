"""Factors in noise are counted, whatever the noise of each column is, and the dimension is that of what is above it."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import FactorAnalysis

from nflows_spread import dimension_of
from nflows_spread.dimension.noise_floor import noise_floor

NOISE = {"equal": 0.0, "uneven": 0.5}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def draws(*shape, seed=0):
    return torch.randn(*shape, generator=seeded(seed), dtype=torch.float64)


def noisy(signal, noise=0.2, uneven=0.0, seed=9):
    """The signal with noise in every column, and the standard deviation of each column's."""
    scale = noise * signal.var(0).mean().sqrt() * (uneven * draws(signal.shape[1], seed=seed)).exp()
    return signal + scale * draws(*signal.shape, seed=seed + 1), scale


def linear(n, dimension, features, seed=0):
    return draws(n, dimension, seed=seed) @ draws(dimension, features, seed=seed + 50)


def circle(n, features, seed=0):
    angle = 2.0 * torch.pi * torch.rand(n, generator=seeded(seed), dtype=torch.float64)
    return torch.stack([angle.cos(), angle.sin()], 1) @ draws(2, features, seed=seed + 50)


@pytest.mark.parametrize("uneven", NOISE.values(), ids=NOISE)
@pytest.mark.parametrize(("n", "dimension", "features"), [(1000, 1, 12), (300, 4, 60), (100, 2, 300), (500, 6, 250)])
def test_the_factors_of_a_linear_signal_are_counted_and_their_noise_told(n, dimension, features, uneven):
    x, scale = noisy(linear(n, dimension, features), uneven=uneven)
    floor, coordinates = noise_floor(x)
    assert floor.directions == dimension
    assert coordinates.shape == (n, dimension)
    assert floor.distance == pytest.approx(float(scale.norm()) * 2.0**0.5, rel=0.08)
    assert floor.noise[0] == pytest.approx(float(scale.min()), rel=0.35)
    assert floor.share == pytest.approx(float(scale.square().sum() / x.var(0).sum()), rel=0.15)


def test_coordinates_are_those_of_the_signal_and_noise_is_that_of_scikit_learn():
    signal = linear(1000, 3, 20)
    x, scale = noisy(signal, uneven=0.5)
    floor, coordinates = noise_floor(x)
    off = torch.cdist(coordinates[:50], coordinates[:50]) - torch.cdist(signal[:50], signal[:50])
    assert float(off.square().mean().sqrt()) < 2.0**0.5 * float(scale.mean())  # that of noise in one direction
    reference = FactorAnalysis(3, tol=1e-6, max_iter=5000).fit(x.numpy())
    likeliest = np.sqrt(reference.noise_variance_)
    assert floor.noise == pytest.approx((likeliest.min(), likeliest.max()), rel=0.1)


def test_units_and_columns_that_do_not_vary_change_nothing():
    x, _ = noisy(linear(400, 2, 15), uneven=0.5)
    floor, coordinates = noise_floor(x)
    moved, others = noise_floor(torch.cat([1000.0 * x + 5.0, torch.full((400, 1), 3.0)], 1))
    assert others.abs() == pytest.approx(1000.0 * coordinates.abs(), rel=1e-6)
    assert moved.in_units_of(0.001).noise == pytest.approx(floor.noise, rel=1e-6)
    assert moved.in_units_of(0.001).distance == pytest.approx(floor.distance, rel=1e-6)


def test_columns_without_correlation_have_one_variance_of_noise():
    x, scale = noisy(linear(800, 3, 30))
    rotation = torch.linalg.svd(x - x.mean(0), full_matrices=False).Vh.mT
    floor, _ = noise_floor(x @ rotation)  # principal components
    assert floor.directions == 3
    assert floor.noise == pytest.approx((float(scale[0]), float(scale[0])), rel=0.05)


@pytest.mark.parametrize(
    "x",
    [draws(500, 10), torch.rand(500, 3, dtype=torch.float64), torch.rand(500, 4, dtype=torch.float64)],
    ids=["noise alone", "few columns", "four columns"],
)
def test_where_nothing_is_above_noise_there_is_none(x):
    assert noise_floor(x) is None


def curved(n, seed=0):
    """A surface without noise, of which 15 directions are narrow and no function of fewer numbers than two."""
    u = 2.0 * torch.rand(n, 2, generator=seeded(seed), dtype=torch.float64) - 1.0
    return torch.cat([u, 0.05 * (u @ draws(2, 15, seed=3) * 3.0).sin()], 1)


def roll(n, seed=0):
    t = 1.5 * torch.pi * (1.0 + 2.0 * torch.rand(n, generator=seeded(seed), dtype=torch.float64))
    h = 20.0 * torch.rand(n, generator=seeded(seed + 1), dtype=torch.float64)
    return torch.stack([t * t.cos(), h, t * t.sin()], 1) @ draws(3, 12, seed=seed + 2)


@pytest.mark.parametrize("make", [curved, roll])
def test_what_depends_on_the_signal_is_no_noise(make):
    assert noise_floor(make(1000)) is None
    assert dimension_of(make(1000)) == 2


@pytest.mark.parametrize("uneven", NOISE.values(), ids=NOISE)
@pytest.mark.parametrize(("n", "features", "noise"), [(2000, 93, 0.14), (200, 49, 0.1), (100, 73, 0.15)])
def test_a_line_in_the_noise_of_many_columns_has_one_dimension(n, features, noise, uneven):
    x, scale = noisy(linear(n, 1, features), noise, uneven)
    found = dimension_of(x)
    assert (int(found), found.interval) == (1, (1, 1))
    assert found.estimates.above_noise.clear
    assert any("1 direction stands above noise of standard deviation" in said for said in found.reservations)
    assert found.estimates.above_noise.floor.distance == pytest.approx(float(scale.norm()) * 2.0**0.5, rel=0.1)


@pytest.mark.parametrize("uneven", NOISE.values(), ids=NOISE)
def test_a_circle_in_noise_is_one_dimension_of_two_directions(uneven):
    found = dimension_of(noisy(circle(2000, 40), 0.1, uneven)[0])
    assert found == 1
    assert found.estimates.above_noise.floor.directions == 2
    assert found.interval[1] <= 2


def test_a_plane_of_few_rows_in_many_noisy_columns_is_found_without_a_call_for_rows():
    found = dimension_of(noisy(linear(100, 2, 300), 0.3)[0])
    assert (int(found), found.interval) == (2, (2, 2))
    assert not any("rows span" in said for said in found.reservations)


def test_two_clouds_of_full_dimension_are_no_line_in_noise():
    x = draws(2000, 8)
    x[:1000] += 6.0
    assert dimension_of(x) == 8
    assert dimension_of(x).estimates.above_noise is None


@pytest.mark.parametrize("clusters", [2, 3, 5])
def test_clusters_of_full_dimension_are_no_manifold_of_their_centres_in_noise(clusters):
    centres = 8.0 * draws(clusters, 12)
    x = centres[torch.arange(1500) % clusters] + draws(1500, 12, seed=1)
    floor, _ = noise_floor(x)
    assert floor.directions == clusters - 1
    assert floor.clusters
    found = dimension_of(x)
    assert found.interval[1] == 12
    assert found > clusters - 1
    assert any("hold clusters" in said for said in found.reservations) == (found.estimates.above_noise is not None)
    plane, _ = noise_floor(noisy(linear(1500, 2, 12))[0])
    assert not plane.clusters
