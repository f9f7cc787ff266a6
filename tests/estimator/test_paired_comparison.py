"""Paired comparison: three standard errors of the differences, whatever rows vary by together."""

import math

import torch

from nflows_spread.estimator.paired_comparison import clearly_above


def test_it_is_by_three_standard_errors_of_the_differences():
    differences = torch.tensor([1.0, -1.0] * 50, dtype=torch.float64)
    error = float(differences.std()) / 10.0
    common = 1000.0 * torch.randn(100, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert clearly_above(common + differences + 3.1 * error, common)
    assert not clearly_above(common + differences + 2.9 * error, common)


def test_equal_values_and_values_that_are_not_finite_are_above_nothing():
    one = torch.ones(20, dtype=torch.float64)
    assert not clearly_above(one, one)
    assert not clearly_above(one * math.nan, one)
