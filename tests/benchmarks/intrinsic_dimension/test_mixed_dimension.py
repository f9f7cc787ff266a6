"""How rarely one dimension is said to vary, on random manifolds on which no number of ``parts_of`` was chosen."""

from __future__ import annotations

import pytest
import torch

from intrinsic_dimension.random_manifolds import random_manifold
from nflows_spread.dimension.variation import parts_of


def alarms(seeds: range, points: int, noise: float) -> list[str]:
    """Names of the manifolds that are said to have parts, with noise in units of the data's scale."""
    found = []
    for seed in seeds:
        manifold = random_manifold(seed)
        x = manifold.sample(points, generator=torch.Generator().manual_seed(seed))
        scale = x.var(0, correction=0).mean().sqrt()
        x = x + noise * scale * torch.randn(x.shape, generator=torch.Generator().manual_seed(seed + 1), dtype=x.dtype)
        if parts_of(x):
            found.append(manifold.name)
    return found


def test_random_manifolds_have_no_parts():
    assert alarms(range(5300, 5330), 500, 0.0) == []


@pytest.mark.slow
@pytest.mark.parametrize("noise", [0.0, 0.02, 0.05])
@pytest.mark.parametrize("points", [500, 2000])
def test_at_most_two_random_manifolds_in_a_hundred_have_parts(points: int, noise: float):
    found = alarms(range(5300, 5400), points, noise)
    print(f"\n{points} points, {noise:.0%} noise: {len(found)} of 100 {found}")
    assert len(found) <= 2
