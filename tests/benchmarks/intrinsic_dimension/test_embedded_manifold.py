"""Embedded manifolds of the benchmark, held-out and random ones: of the dimension that they say, by their Jacobians."""

from __future__ import annotations

import pytest
import torch

from intrinsic_dimension.embedded_manifold import EmbeddedManifold
from intrinsic_dimension.embeddings import fourier, hills, layered
from intrinsic_dimension.held_out import HELD_OUT
from intrinsic_dimension.random_manifolds import random_manifold

every_manifold = pytest.mark.parametrize(
    "manifold", [*HELD_OUT, *map(random_manifold, range(20))], ids=lambda manifold: manifold.name
)
WORST_CONDITION = 0.02
"""Least share of the largest singular value of a Jacobian that the K-th may have, so that no direction is hidden."""


@every_manifold
def test_the_jacobian_has_the_declared_rank(manifold: EmbeddedManifold):
    parameters = manifold.parameters(100, torch.Generator().manual_seed(5))
    singular = manifold.singular_values(parameters)
    shares = singular / singular[:, :1]
    assert float(shares[:, manifold.dimension - 1].min()) > WORST_CONDITION
    assert shares.shape[1] >= manifold.dimension
    assert bool((shares[:, manifold.dimension :] < 1e-10).all())


@every_manifold
def test_the_map_agrees_with_its_rows(manifold: EmbeddedManifold):
    """What the Jacobian is taken of, one row at a time, is what is sampled."""
    parameters = manifold.parameters(20, torch.Generator().manual_seed(6))
    one_by_one = torch.cat([manifold.embed(row.unsqueeze(0)) for row in parameters])
    torch.testing.assert_close(one_by_one, manifold.embed(parameters))


@pytest.mark.parametrize(
    "manifold",
    [fourier(2, 6, seed=1), layered(3, 10, seed=1), fourier(2, 6, seed=2)],
    ids=lambda manifold: manifold.name,
)
def test_random_embeddings_are_standardised_and_bend(manifold: EmbeddedManifold):
    x = manifold.sample(4000, generator=torch.Generator().manual_seed(7))
    assert float(x.mean(0).norm()) < 0.2
    assert float(x.var(0).mean()) == pytest.approx(1.0, abs=0.1)
    spectrum = torch.linalg.eigvalsh(torch.cov(x.T)).flip(0)
    assert float(spectrum[manifold.dimension :].sum() / spectrum.sum()) > 0.02


def test_a_seed_chooses_the_map():
    def points(seed: int) -> torch.Tensor:
        return hills(2, seed=seed).sample(5, generator=torch.Generator().manual_seed(0))

    torch.testing.assert_close(points(1), points(1), rtol=0, atol=0)
    assert not torch.allclose(points(1), points(2))


def test_rotations_are_rotations():
    rotations = next(manifold for manifold in HELD_OUT if "SO(3)" in manifold.name)
    matrices = rotations.sample(50, generator=torch.Generator().manual_seed(0)).view(-1, 3, 3)
    torch.testing.assert_close(matrices @ matrices.mT, torch.eye(3).double().expand(50, 3, 3))
    torch.testing.assert_close(torch.linalg.det(matrices), torch.ones(50).double())
