"""LIDL: the slope of log-densities in the log of the noise."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from baselines import density_training, lidl


def test_the_slope_is_numpys():
    generator = torch.Generator().manual_seed(0)
    inputs, values = torch.rand(4, generator=generator), torch.randn(4, 6, generator=generator)
    expected = np.polyfit(inputs.double().numpy(), values.double().numpy(), 1)[0]
    np.testing.assert_allclose(density_training.slopes(inputs.double(), values.double()).numpy(), expected)


def test_lidl_reads_the_dimension_off_the_exact_density(monkeypatch: pytest.MonkeyPatch):
    """With the true density of a noisy Gaussian line in three dimensions in the place of the flows."""

    def exact(data: torch.Tensor, noise_levels: tuple[float, ...], **_: int) -> torch.Tensor:
        scales = [(data.var(0).double() + noise**2).sqrt() for noise in noise_levels]
        return torch.stack([torch.distributions.Normal(0.0, scale).log_prob(data.double()).sum(1) for scale in scales])

    monkeypatch.setattr(lidl, "log_densities", exact)
    x = np.zeros((400, 3))
    x[:, 1] = np.random.default_rng(0).normal(size=400)
    assert lidl.local_dimensions(x, seed=0).mean() == pytest.approx(1.0, abs=0.05)


def test_lidl_trains_a_flow_for_each_level_and_comes_out_the_same_again():
    x = np.random.default_rng(0).normal(size=(50, 3))
    first, again = (lidl.local_dimensions(x, seed=1, noise_levels=(0.1, 0.2), steps=3) for _ in range(2))
    assert first.shape == (50,)
    assert np.isfinite(first).all()
    np.testing.assert_array_equal(first, again)
