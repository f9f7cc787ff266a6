"""The plain autoencoder of the benchmarks: it learns a curve, keeps its best, and is the same for the same seed."""

from __future__ import annotations

import torch

from baselines.autoencoder import autoencoder
from nflows_spread.estimator import Recipe


def curve(n: int) -> torch.Tensor:
    t = torch.linspace(-2.0, 2.0, n)
    x = torch.stack([t, t.square() - 1.3], 1)
    return x / x.var(0).mean().sqrt()


def test_it_is_below_the_linear_error_on_a_curve_and_has_the_size_of_the_chart():
    x = curve(300)
    model = autoencoder(x, 1, seed=0, recipe=Recipe(chart_steps=400))
    error = (model.points(model.coordinates(x)) - x).square().sum(1).mean()
    linear = torch.linalg.svdvals(x - x.mean(0))[1:].square().sum() / len(x)
    assert float(error) < 0.05 * float(linear)
    assert model.coordinates(x).shape == (300, 1)
    hidden = [layer.out_features for layer in model.encoder if isinstance(layer, torch.nn.Linear)][:-1]
    assert hidden == [Recipe().chart_width] * 3


def test_a_seed_decides_all_and_nothing_else_is_touched():
    x, recipe = curve(100), Recipe(chart_steps=20)
    state = torch.get_rng_state()
    one, two, other = (autoencoder(x, 1, seed=seed, recipe=recipe) for seed in (0, 0, 1))
    torch.testing.assert_close(one.coordinates(x), two.coordinates(x), rtol=0, atol=0)
    assert not torch.equal(one.coordinates(x), other.coordinates(x))
    torch.testing.assert_close(torch.get_rng_state(), state)
