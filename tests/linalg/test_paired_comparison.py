"""Paired comparison against scipy's paired test."""

import pytest
import torch
from scipy.stats import ttest_rel

from nflows_spread.linalg.paired_comparison import above_by, standard_error


def test_the_bound_is_the_statistic_of_the_paired_test():
    generator = torch.Generator().manual_seed(0)
    one, other = (torch.randn(50, dtype=torch.float64, generator=generator) + shift for shift in (0.5, 0.0))
    statistic = float(ttest_rel(one.numpy(), other.numpy()).statistic)
    assert float((one - other).mean()) / standard_error(one - other) == pytest.approx(statistic)
    assert above_by(statistic - 1e-6, one, other)
    assert not above_by(statistic + 1e-6, one, other)
