"""The survey's 18 manifolds: the declared dimension, the formulas, and the densities of the variants."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from intrinsic_dimension.bi_lafaye import EVEN, SKEWED
from intrinsic_dimension.embedded_manifold import EmbeddedManifold

ZERO = 1e-12
THIN = {"sphere 20 in 40": 13, "ball 20 in 40": 13}
"""What is left of the skewed variant above a hundredth of the scale: late spherical angles hardly move a point."""


def drawn(manifold: EmbeddedManifold, n: int = 3000) -> tuple[torch.Tensor, np.ndarray]:
    parameters = manifold.parameters(n, torch.Generator().manual_seed(5))
    return parameters, manifold.embed(parameters).numpy()


@pytest.mark.parametrize("manifold", [*EVEN, *SKEWED], ids=lambda manifold: manifold.name)
def test_the_jacobian_has_the_declared_rank(manifold: EmbeddedManifold):
    singular = manifold.singular_values(drawn(manifold, 100)[0])
    assert bool(((singular > ZERO * singular[:, :1]).sum(1) == manifold.dimension).all())


@pytest.mark.parametrize("manifold", SKEWED, ids=lambda manifold: manifold.name)
def test_the_dimension_above_a_hundredth_of_the_scale_is_known(manifold: EmbeddedManifold):
    expected = THIN.get(manifold.name, manifold.dimension)
    assert manifold.dimension_above(0.01, drawn(manifold, 100)[0]) == pytest.approx(expected, abs=manifold.name in THIN)


@pytest.mark.parametrize(("even", "skewed"), list(zip(EVEN, SKEWED)), ids=lambda manifold: manifold.name)
def test_both_variants_are_densities_on_the_same_set(even: EmbeddedManifold, skewed: EmbeddedManifold):
    """Each point of the one is near the other in the directions that the set does not fill."""
    (_, x), (_, y) = drawn(even), drawn(skewed)
    _, values, frame = np.linalg.svd(x - x.mean(0), full_matrices=True)
    empty = frame[(np.pad(values, (0, len(frame) - len(values))) < 1e-9).nonzero()[0]]
    np.testing.assert_allclose((y - x[:1]) @ empty.T, 0.0, atol=1e-9)


def test_spheres_and_balls_are_even_in_volume():
    for dimension in (5, 10, 20):
        _, x = drawn(next(m for m in EVEN if m.name == f"sphere {dimension} in {2 * dimension}"))
        np.testing.assert_allclose(np.linalg.norm(x, axis=1), 1.0)
        radii = np.linalg.norm(
            drawn(next(m for m in EVEN if m.name == f"ball {dimension} in {2 * dimension}"))[1], axis=1
        )
        assert stats.kstest(radii**dimension, "uniform").pvalue > 0.01


def test_skewed_parameters_are_beta_variables():
    parameters, _ = drawn(next(m for m in SKEWED if m.name.startswith("hyperboloid")))
    assert stats.kstest(parameters[:, 0].numpy(), stats.beta(2, 2).cdf).pvalue > 0.01
    assert stats.kstest(parameters[:, 1].numpy(), stats.beta(3, 5).cdf).pvalue > 0.01


def test_the_skewed_sphere_is_a_sphere_and_the_limaçon_has_its_length():
    _, x = drawn(next(m for m in SKEWED if m.name.startswith("sphere 5")))
    np.testing.assert_allclose(np.linalg.norm(x, axis=1), 1.0)
    manifold = next(m for m in EVEN if m.name.startswith("limaçons of 1 "))
    u = torch.rand(20000, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    lengths = manifold.jacobians(u).norm(dim=1).mean(0)
    exact, _ = integrate.quad(lambda t: math.hypot(1 + 0.5 * math.cos(t), 0.5 * math.sin(t)), 0.0, 2.0 * math.pi)
    np.testing.assert_allclose(lengths.numpy(), exact, rtol=0.01)


def test_the_graph_has_the_height_of_the_gaussian_density():
    manifold = next(m for m in EVEN if m.name.startswith("Gaussian graph 5"))
    ends = torch.stack([torch.full((5,), 0.5), torch.zeros(5)]).double()
    middle, corner = manifold.embed(ends)
    density = stats.multivariate_normal(np.zeros(5), 0.25 * np.eye(5))
    rise = density.pdf(np.zeros(5)) - density.pdf(np.full(5, -1.5))
    assert float((middle - corner).square().sum()) == pytest.approx(5 * 1.5**2 + rise**2)
