"""The paper's estimate of the entropy: its gradient against differences, and the share of the true one it has."""

from __future__ import annotations

import math

import pytest
import torch

from paper import entropy_estimate


def test_the_estimated_entropy_has_the_share_of_the_gradient_that_was_measured() -> None:
    shares = [entropy_estimate.share_of_gradient(dimension) for dimension in (1, 2, 5)]
    assert shares == pytest.approx([0.37, 0.006, 0.0], abs=0.02)


def test_the_response_to_scale_is_the_derivative_by_differences() -> None:
    z, variance, step = torch.randn(50, 1, dtype=torch.float64), torch.tensor(0.01, dtype=torch.float64), 1e-5

    def entropy(log_scale: float) -> float:
        """By a plain sum over pairs."""
        scaled = [math.exp(log_scale) * float(value) for value in z]
        kernels = [
            sum(math.exp(-0.5 * (a - b) ** 2 / 0.01) / math.sqrt(2 * math.pi * 0.01) for b in scaled) for a in scaled
        ]
        return -sum(math.log(value / 50) for value in kernels) / 50

    expected = (entropy(step) - entropy(-step)) / (2 * step)
    assert entropy_estimate.scale_response(z, variance) == pytest.approx(expected, rel=1e-6)
