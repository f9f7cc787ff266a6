"""How often the interval of ``dimension_of`` has the truth, on random manifolds on which no number of it was chosen."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from intrinsic_dimension.random_manifolds import random_manifold
from nflows_spread.dimension import PointDimension, dimension_of


def found_of(seed: int, points: int, noise: float) -> tuple[int, PointDimension]:
    """The truth and the answer for one manifold, with noise in units of the data's scale."""
    manifold = random_manifold(seed)
    x = manifold.sample(points, generator=torch.Generator().manual_seed(seed))
    scale = x.var(0, correction=0).mean().sqrt()
    x = x + noise * scale * torch.randn(x.shape, generator=torch.Generator().manual_seed(seed), dtype=x.dtype)
    return manifold.dimension, dimension_of(x)


def check(seeds: range, points: int, noise: float, *, least: float, least_right: float = 0.9) -> None:
    """The share of intervals that cover the truth, of single ones too, and what there is to see with ``pytest -s``."""
    found = [found_of(seed, points, noise) for seed in seeds]
    covered = np.mean([each.interval[0] <= truth <= each.interval[1] for truth, each in found])
    single = [(truth, each) for truth, each in found if each.interval[0] == each.interval[1]]
    right = sum(truth == each for truth, each in single)
    exact = np.mean([truth == each for truth, each in found])
    width = np.mean([each.interval[1] - each.interval[0] for _, each in found])
    print(
        f"\n{points} points, {noise:.0%} noise: covered {covered:.0%}, exact {exact:.0%}, "
        f"a single number {len(single)} of {len(found)}, of which right {right}, mean width {width:.1f}"
    )
    assert covered >= least
    assert right >= least_right * len(single)


def test_intervals_have_the_truth():
    check(range(2200, 2230), 500, 0.0, least=0.9)  # of 30, 19 times in 20 on average


@pytest.mark.slow
@pytest.mark.parametrize("noise", [0.0, 0.02, 0.05])
@pytest.mark.parametrize("points", [500, 2000])
def test_intervals_have_the_truth_nineteen_times_in_twenty(points: int, noise: float):
    check(range(2400, 2500), points, noise, least=0.95, least_right=0.7 if noise == 0.05 else 0.9)
