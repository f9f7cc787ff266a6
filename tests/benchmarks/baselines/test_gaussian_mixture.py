"""Scikit-learn's Gaussian mixture as a model of images: its samples lie in the principal components, piece by piece."""

import pytest
import torch

from baselines.gaussian_mixture import mixture_samples

pytest.importorskip("sklearn")


def test_samples_are_of_both_clusters_and_lie_in_the_leading_components(generator):
    x = torch.randn(600, 2, generator=generator) @ torch.eye(2, 5)
    x[:300, 0] += 20.0
    samples = mixture_samples(x + 1.0, 400, components=2, pieces=2, seed=0)
    assert samples.shape == (400, 5)
    torch.testing.assert_close(samples[:, 2:], torch.ones(400, 3), rtol=0, atol=1e-4)
    first = samples[:, 0] > 11.0
    assert 0.4 < first.float().mean() < 0.6
    assert 0.4 < first[:100].float().mean() < 0.6  # in random order
    torch.testing.assert_close(samples[first].mean(0)[:2], torch.tensor([21.0, 1.0]), rtol=0, atol=0.3)
