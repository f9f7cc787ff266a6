"""GeoMLE's 45 sets: the dimension that is declared is that of the formulas, which are the authors'."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from intrinsic_dimension.embedded_manifold import EmbeddedManifold
from intrinsic_dimension.geomle import GEOMLE

ZERO = 1e-12
"""Shares of the largest singular value that count as none; the smallest that is meant is 3e-6."""


@pytest.mark.parametrize("manifold", GEOMLE, ids=lambda manifold: manifold.name)
def test_the_jacobian_has_the_declared_rank(manifold: EmbeddedManifold):
    singular = manifold.singular_values(manifold.parameters(100, torch.Generator().manual_seed(5)))
    assert bool(((singular > ZERO * singular[:, :1]).sum(1) == manifold.dimension).all())


@pytest.mark.parametrize("manifold", GEOMLE, ids=lambda manifold: manifold.name)
def test_no_direction_is_thinner_than_a_hundredth_of_the_scale(manifold: EmbeddedManifold):
    parameters = manifold.parameters(100, torch.Generator().manual_seed(6))
    assert manifold.dimension_above(0.01, parameters) == manifold.dimension


def of(name: str, n: int = 400) -> np.ndarray:
    manifold = next(each for each in GEOMLE if each.name == name)
    return manifold.sample(n, generator=torch.Generator().manual_seed(0)).numpy()


def test_points_solve_the_equations_of_their_sets():
    x, y, z = of("Helix1d 1 in 3").T
    np.testing.assert_allclose((np.hypot(x, y) - 2.0) ** 2 + z**2, 1.0)
    np.testing.assert_allclose(np.hypot(*of("Spiral 1 in 13")[:, :2].T), 100.0)
    x, y, z = of("Roll 2 in 3").T
    np.testing.assert_allclose(np.tan(np.hypot(x, z)), z / x, rtol=1e-6)
    assert np.abs(y - 10.5).max() <= 10.5
    x, y, _ = of("Helicoid 2 in 3").T
    np.testing.assert_allclose(y**2, x**2 * (1.0 - x**2), atol=1e-12)
    s_curve = of("Scurve 2 in 13")
    np.testing.assert_allclose(s_curve[:, 0] ** 2 + (np.abs(s_curve[:, 2]) - 1.0) ** 2, 1.0)
    assert not s_curve[:, 3:].any()


def test_nonlinear_sets_turn_each_parameter_around_the_one_before():
    x = of("Nonlinear 12 in 72").reshape(-1, 3, 12, 2)
    np.testing.assert_array_equal(x[:, 0], x[:, 1])
    turns = (np.arctan2(x[:, 0, :, 1], x[:, 0, :, 0]) / (2.0 * math.pi)) % 1.0
    np.testing.assert_allclose(np.linalg.norm(x[:, 0], axis=2), np.roll(turns, -1, axis=1), atol=1e-9)


def test_points_of_a_cube_lie_on_one_of_its_sides_and_on_each_alike():
    x = of("Cubic 3 in 5", 4000)[:, :4]
    on = np.stack([x == 0.0, x == 1.0], axis=2)
    np.testing.assert_array_equal(on.sum((1, 2)), 1)
    np.testing.assert_allclose(on.mean(0), 1 / 8, atol=0.02)


def test_the_paraboloid_is_a_burr_variable_with_its_squares():
    x = of("Paraboloid 3 in 12", 4000)
    np.testing.assert_allclose(x[:, 3], (x[:, :3] ** 2).sum(1))
    np.testing.assert_allclose(x[:, 4:8], np.sin(x[:, :4]))
    np.testing.assert_allclose(x[:, 8:], x[:, :4] ** 2)
    np.testing.assert_allclose(np.quantile(x[:, 0], [0.25, 0.5, 0.75]), [0.25, 0.5, 0.75], atol=0.03)  # E₁/E₀ is Pareto
