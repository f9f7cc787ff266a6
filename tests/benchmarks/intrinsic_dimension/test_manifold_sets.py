"""The sets of manifolds of the intrinsic-dimension benchmark: as many as declared, seeded, and with noise."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from intrinsic_dimension.manifold_sets import POINTS, SETS, Problem, problems
from intrinsic_dimension.random_manifolds import random_manifold

pytest.importorskip("skdim")
pytest.importorskip("pandas")

BENCHMARK, HELD = problems("benchmark"), problems("held-out")
OF_OTHERS = ("geomle", "bi-lafaye", "bi-lafaye-skewed", "bi-lafaye-noisy")
EVERY = [*BENCHMARK.values(), *HELD.values(), *(problem for name in OF_OTHERS for problem in problems(name).values())]
every_problem = pytest.mark.parametrize("problem", EVERY, ids=lambda problem: problem.name)


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


def test_there_are_45_of_geomle_and_18_of_bi_and_lafaye_in_three_variants():
    assert len(problems("geomle")) == 45
    assert set(POINTS) <= set(SETS)
    even, skewed, noisy = (problems(name) for name in OF_OTHERS[1:])
    assert len(even) == 18
    assert list(even) == list(skewed) == list(noisy)


def test_the_noise_of_the_noisy_variant_is_the_authors():
    for even, noisy in zip(problems("bi-lafaye").values(), problems("bi-lafaye-noisy").values()):
        assert (noisy.sample(500, seed=1) - even.sample(500, seed=1)).std() == pytest.approx(0.1, rel=0.1)


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


def test_an_unknown_set_is_refused():
    with pytest.raises(ValueError, match=r"must be one of benchmark, held-out, random, .*, got 'other'"):
        problems("other")
