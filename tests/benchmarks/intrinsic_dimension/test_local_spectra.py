"""Local PCA with the largest gap, and CA-PCA, against spectra that are known."""

from __future__ import annotations

import numpy as np
import pytest

from intrinsic_dimension import local_spectra
from intrinsic_dimension.local_spectra import adjusted_dimensions, largest_gap, local_eigenvalues, widest_gaps


def ball(generator: np.random.Generator, n: int, dimension: int) -> np.ndarray:
    directions = generator.normal(size=(n, dimension))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return directions * generator.uniform(size=(n, 1)) ** (1.0 / dimension)


def test_eigenvalues_are_those_of_the_covariance_and_as_many_as_there_can_be():
    patches = np.random.default_rng(0).normal(size=(3, 6, 9))
    found = local_eigenvalues(patches)
    assert found.shape == (3, 5)
    for patch, values in zip(patches, found):
        np.testing.assert_allclose(values, np.linalg.eigvalsh(np.cov(patch.T))[::-1][:5])


def test_the_widest_gap_is_where_the_ratio_is_largest_and_rounding_makes_none():
    eigenvalues = np.array([[4.0, 2.0, 0.1, 0.09], [1.0, 1e-17, 1e-25, 1e-33], [9.0, 1.0, 0.9, 0.8]])
    np.testing.assert_array_equal(widest_gaps(eigenvalues), [2, 1, 1])


@pytest.mark.parametrize("dimension", [1, 2, 4, 7])
def test_noise_around_a_flat_set_leaves_its_dimension_to_the_largest_gap(dimension: int):
    generator = np.random.default_rng(1)
    x = np.pad(generator.uniform(-1, 1, size=(1500, dimension)), ((0, 0), (0, 3)))
    x += 0.03 * generator.normal(size=x.shape)
    assert largest_gap(x, 0).estimate == dimension


def test_the_largest_gap_never_says_d():
    assert largest_gap(np.random.default_rng(2).normal(size=(800, 4)), 0).estimate <= 3


@pytest.mark.parametrize("dimension", range(1, 9))
def test_ca_pca_is_calibrated_on_flat_balls(dimension: int):
    """Whose eigenvalues are r² / (d + 2): Gilbert and O'Neill, as local PCA before them."""
    eigenvalues = np.pad(np.full((1, dimension), 0.7**2 / (dimension + 2)), ((0, 0), (0, 10 - dimension)))
    assert adjusted_dimensions(eigenvalues, np.array([0.7])) == [dimension]
    sampled = local_eigenvalues(ball(np.random.default_rng(3), 4000, dimension)[None])
    np.testing.assert_allclose(sampled, 1.0 / (dimension + 2), rtol=0.15)


def test_ca_pca_does_not_depend_on_the_unit():
    eigenvalues = np.random.default_rng(4).uniform(0.0, 0.2, size=(50, 6))
    eigenvalues[:, ::-1].sort(axis=1)
    radii = np.random.default_rng(5).uniform(0.8, 1.2, size=50)
    np.testing.assert_array_equal(
        adjusted_dimensions(eigenvalues, radii), adjusted_dimensions(1e6 * eigenvalues, 1e3 * radii)
    )


@pytest.mark.parametrize("curvature", [0.0, 0.3, 1.0])
def test_ca_pca_finds_a_paraboloid_that_bends_by_up_to_half_its_radius(curvature: float):
    for seed in range(5):
        x = ball(np.random.default_rng(seed), 200, 4)
        bent = np.concatenate([x, 0.5 * curvature * (x**2).sum(1, keepdims=True)], axis=1)
        radius = np.linalg.norm(bent, axis=1).max(keepdims=True)
        assert adjusted_dimensions(local_eigenvalues(bent[None]), radius) == [4]


def test_radii_lie_between_the_last_neighbour_and_the_next(monkeypatch: pytest.MonkeyPatch):
    x = np.random.default_rng(7).normal(size=(100, 3))
    seen = {}
    monkeypatch.setattr(local_spectra, "adjusted_dimensions", lambda values, radii: seen.setdefault("radii", radii))
    local_spectra.curvature_adjusted(x, 0)
    chosen = np.random.default_rng(0).permutation(100)
    distances = np.sort(np.linalg.norm(x[chosen][:, None] - x[None], axis=2), axis=1)
    k = local_spectra._CURVED_NEIGHBOURS
    np.testing.assert_allclose(seen["radii"], distances[:, k : k + 2].mean(axis=1))
