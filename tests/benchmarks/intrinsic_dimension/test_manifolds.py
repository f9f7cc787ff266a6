"""The manifolds of the intrinsic-dimension benchmark: as many as declared, seeded, and of the dimension they say."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from intrinsic_dimension.embeddings import fourier, hills, layered
from intrinsic_dimension.held_out import HELD_OUT
from intrinsic_dimension.manifolds import EmbeddedManifold
from intrinsic_dimension.problems import Problem, problems
from intrinsic_dimension.random_manifolds import random_manifold

pytest.importorskip("skdim")
pytest.importorskip("pandas")

BENCHMARK, HELD = problems("benchmark"), problems("held-out")
EVERY = [*BENCHMARK.values(), *HELD.values()]
every_problem = pytest.mark.parametrize("problem", EVERY, ids=lambda problem: problem.name)
every_manifold = pytest.mark.parametrize(
    "manifold", [*HELD_OUT, *map(random_manifold, range(20))], ids=lambda manifold: manifold.name
)
WORST_CONDITION = 0.02
"""Least share of the largest singular value of a Jacobian that the K-th may have, so that no direction is hidden."""


def test_there_are_24_and_30_manifolds_of_all_sizes():
    assert len(BENCHMARK) == 24
    assert len(HELD) == 30
    assert {min(problem.dimension for problem in HELD.values()), max(p.dimension for p in HELD.values())} == {1, 30}
    assert max(problem.features for problem in HELD.values()) == 100
    assert any(problem.dimension == problem.features for problem in HELD.values())
    assert not set(BENCHMARK) & set(HELD)


def test_the_truth_of_the_benchmark_is_scikit_dimensions():
    from skdim.datasets import BenchmarkManifolds

    truth = BenchmarkManifolds(random_state=0).truth
    for name, problem in BENCHMARK.items():
        assert truth.loc[name, "Intrinsic Dimension"] == problem.dimension
        assert truth.loc[name, "Number of variables"] == problem.features


@every_problem
def test_points_have_the_declared_width_and_come_from_the_seed_alone(problem: Problem):
    x = problem.sample(60, seed=3)
    assert x.shape == (60, problem.features)
    assert x.dtype == np.float64
    assert np.isfinite(x).all()
    np.random.seed(1)
    torch.manual_seed(1)
    problem.sample(60, seed=4)
    np.testing.assert_array_equal(problem.sample(60, seed=3), x)
    assert not np.array_equal(problem.sample(60, seed=4), x)


@every_problem
def test_ambient_noise_is_a_share_of_the_scale(problem: Problem):
    x = problem.sample(2000, seed=0)
    noise = problem.sample(2000, seed=0, noise=0.1) - x
    assert noise.std() == pytest.approx(0.1 * math.sqrt(x.var(axis=0).mean()), rel=0.05)
    assert abs(np.corrcoef(noise[:, 0], x[:, 0])[0, 1]) < 0.1


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


def test_random_manifolds_are_of_all_sizes_and_the_same_again():
    manifolds = [random_manifold(seed) for seed in range(100)]
    assert [(m.name, m.features, m.dimension) for m in manifolds[:9]] == [
        (m.name, m.features, m.dimension) for m in map(random_manifold, range(9))
    ]
    assert len({manifold.name for manifold in manifolds}) == 100
    assert all(
        1 <= manifold.dimension <= 30 and manifold.dimension <= manifold.features <= 100 for manifold in manifolds
    )
    assert min(manifold.dimension for manifold in manifolds) == 1
    assert max(manifold.dimension for manifold in manifolds) >= 25


def test_rotations_are_rotations():
    rotations = next(manifold for manifold in HELD_OUT if "SO(3)" in manifold.name)
    matrices = rotations.sample(50, generator=torch.Generator().manual_seed(0)).view(-1, 3, 3)
    torch.testing.assert_close(matrices @ matrices.mT, torch.eye(3).double().expand(50, 3, 3))
    torch.testing.assert_close(torch.linalg.det(matrices), torch.ones(50).double())


def test_an_unknown_set_is_refused():
    with pytest.raises(ValueError, match="must be one of benchmark, held-out, random, got 'other'"):
        problems("other")
