"""The optimal hard threshold: against the median of Marchenko and Pastur's law, and on matrices of known rank."""

import math

import pytest
import torch
from scipy.integrate import quad
from scipy.optimize import brentq

from nflows_spread.linalg.optimal_threshold import components_above_noise


def threshold_over_median(beta):
    """λ(β) / √μ_β: the threshold for a known level of noise (equation 11), over the law's median singular value."""
    known = math.sqrt(2.0 * (beta + 1.0) + 8.0 * beta / (beta + 1.0 + math.sqrt(beta**2 + 14.0 * beta + 1.0)))
    low, high = (1.0 - math.sqrt(beta)) ** 2, (1.0 + math.sqrt(beta)) ** 2

    def density(t):
        return math.sqrt(max(0.0, (high - t) * (t - low))) / (2.0 * math.pi * beta * t)

    median = brentq(lambda m: quad(density, low, m, limit=200)[0] - 0.5, low + 1e-6, high - 1e-6)
    return known / math.sqrt(median)


@pytest.mark.parametrize(("rows", "columns"), [(1000, 1000), (1000, 400), (400, 2000), (2000, 100)])
def test_the_threshold_is_that_of_the_law_of_noise(rows, columns):
    omega = threshold_over_median(min(rows, columns) / max(rows, columns))
    for off, count in ((-0.03, 0), (0.03, 1)):
        values = torch.ones(101, dtype=torch.float64)
        values[0] = omega + off
        assert components_above_noise(values, rows, columns) == count


@pytest.mark.parametrize(("rows", "columns", "rank"), [(500, 300, 0), (500, 300, 4), (200, 900, 7)])
@pytest.mark.parametrize("level", [1e-6, 3.0])
def test_what_stands_above_noise_is_counted_whatever_its_level(rows, columns, rank, level):
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(rows, columns, dtype=torch.float64, generator=generator)
    signal = torch.randn(rows, rank, dtype=torch.float64, generator=generator) @ torch.randn(
        rank, columns, dtype=torch.float64, generator=generator
    )
    values = torch.linalg.svdvals(level * (noise + signal))
    assert components_above_noise(values, rows, columns) == rank
