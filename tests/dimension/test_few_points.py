"""The dimension of fewer than 50 points: its interval covers the truth, and is wide."""

import math

import pytest
import torch

from nflows_spread.dimension.few_points import neighbours_of_few, widened
from nflows_spread.dimension.rules import IntrinsicDimension, Spectrum
from support import refused


def smooth_set(rows, dimension, features, generator):
    """Sines of random linear maps of a cube, in as many features."""
    cube = torch.rand(rows, dimension, dtype=torch.float64, generator=generator)
    maps = 2.0 * torch.randn(dimension, features, dtype=torch.float64, generator=generator)
    return torch.sin(cube @ maps + 6.0 * torch.rand(features, dtype=torch.float64, generator=generator))


def flat_set(rows, dimension, features, generator):
    """A Gaussian in a random subspace."""
    own = torch.randn(rows, dimension, dtype=torch.float64, generator=generator)
    return own @ torch.randn(dimension, features, dtype=torch.float64, generator=generator)


def plausible(found, features):
    nats = [found.log_plausibility(k) for k in range(1, features + 1)]
    return [k for k, own in enumerate(nats, 1) if own >= max(nats) - 2.0]


@pytest.mark.parametrize("rows", [6, 15, 30, 49])
def test_the_dimension_is_among_the_plausible_ones(rows):
    generator = torch.Generator().manual_seed(rows)
    hits, widths = [], []
    for number in range(40):
        dimension = 1 + number % 4
        made = (smooth_set, flat_set)[number // 4 % 2](rows, dimension, 8, generator)
        covered = plausible(neighbours_of_few(made), 8)
        hits.append(dimension in covered)
        widths.append(len(covered))
    assert sum(hits) >= 36  # nine in ten
    assert sum(widths) / len(widths) > 2.0  # and it does not say more than it knows
    assert sum(widths) / len(widths) < 7.0  # nor nothing at all


def test_fewer_points_are_less_sure():
    errors = []
    for rows in (6, 12, 24, 48):
        generator = torch.Generator().manual_seed(0)
        errors.append(neighbours_of_few(flat_set(rows, 3, 8, generator)).above)
    assert errors == sorted(errors, reverse=True)


def test_the_scale_and_repeated_rows_change_nothing():
    x = flat_set(20, 2, 4, torch.Generator().manual_seed(1))
    found = neighbours_of_few(x)
    again = neighbours_of_few(torch.cat([1000.0 * x, 1000.0 * x]))
    assert again.value == pytest.approx(found.value)
    assert again.nearest == pytest.approx(1000.0 * found.nearest)
    assert again.neighbours == (3, 5, 10)


def test_five_points_are_too_few():
    with refused(ValueError, "X must have at least 6 distinct rows, got 5 among 10; take more of them"):
        neighbours_of_few(torch.eye(5).repeat(2, 1))


def test_the_interval_covers_what_neighbours_alone_find_plausible():
    found = neighbours_of_few(flat_set(10, 2, 5, torch.Generator().manual_seed(2)))
    ones = torch.ones(5, dtype=torch.float64)
    sure = IntrinsicDimension(5, "consensus", math.inf, Spectrum(ones, ones, 1e-6, 0.01), (5, 5))
    wide = widened(sure, found)
    assert (int(wide), wide.rule, wide.gap) == (5, "consensus", math.inf)
    assert wide.interval == (plausible(found, 5)[0], 5)
    assert wide.interval[0] <= 2
