"""The contender of the benchmark that knows the noise level: its slope, against densities that are known."""

import math

import pytest
import torch
from torch import nn

from baselines import noise_conditional


class FlatGaussian(nn.Module):
    """The density of N(0, I) on K of D features, with noise σ on all: what a perfect flow would say."""

    def __init__(self, dimension: int) -> None:
        super().__init__()
        self.dimension = dimension

    def log_prob(self, x: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        low, high = math.log(0.02), math.log(0.5)
        noise = torch.exp(0.5 * (low + high + context * (high - low))).expand(len(x), x.shape[1])
        spread = noise.square() + (torch.arange(x.shape[1]) < self.dimension)
        return -0.5 * (x.square() / spread + spread.log() + math.log(2.0 * math.pi)).sum(1)


def test_the_context_covers_the_range_of_the_noise():
    ends = noise_conditional.context_of(torch.tensor([[0.02], [0.1], [0.5]]))
    torch.testing.assert_close(ends, torch.tensor([[-1.0], [0.0], [1.0]]))


@pytest.mark.parametrize("dimension", [1, 3])
def test_the_slope_of_the_true_density_is_the_dimension(dimension):
    x = torch.randn(200, 5, generator=torch.Generator().manual_seed(0)) * (torch.arange(5) < dimension)
    found = noise_conditional.slope_dimensions(FlatGaussian(dimension), x)
    assert found.shape == (200,)
    assert float(found.mean()) == pytest.approx(dimension, abs=0.05)


@pytest.mark.parametrize("dimension", [1, 3])
def test_flipd_of_the_true_density_is_its_slope_in_the_noise(dimension):
    """By the heat equation, at each point; and so the dimension, the less σ the closer."""
    x = torch.randn(2000, 5, generator=torch.Generator().manual_seed(0)).double() * (torch.arange(5) < dimension)
    density, noise = FlatGaussian(dimension), 0.17
    found = noise_conditional.flipd_dimensions(density, x, noise, probes=4, generator=torch.Generator().manual_seed(1))
    step = 1e-5
    contexts = [
        noise_conditional.context_of(torch.full((len(x), 1), noise).double() * math.exp(e)) for e in (step, -step)
    ]
    slope = (density.log_prob(x, contexts[0]) - density.log_prob(x, contexts[1])) / (2 * step)
    torch.testing.assert_close(found, 5 + slope, rtol=1e-4, atol=1e-4)
    assert float(found.mean()) == pytest.approx(dimension, abs=0.05)


def test_a_flow_that_was_trained_for_all_levels_finds_a_line():
    t = torch.randn(500, 1, generator=torch.Generator().manual_seed(0))
    found = noise_conditional.dimensions(torch.cat([t, -t, 0.5 * t], dim=1), seed=0, steps=150)
    assert set(found) == {"slope", "denoising", "FLIPD"}
    assert found["slope"] == pytest.approx(1.0, abs=0.5)
    assert found["FLIPD"] == pytest.approx(1.0, abs=0.5)
