"""Samples of an atlas: by the weights of its pieces, free of noise, within range, as wide as the data."""

import math

import pytest
import torch

from nflows_spread.chart.pieces import Pieces
from nflows_spread.estimator.atlas_sampling import AtlasSampler
from nflows_spread.estimator.local_atlas import local_atlas


def two_lines(rows, noise=0.0):
    """Two parallel segments in the plane, a quarter of the rows in the upper one."""
    generator = torch.Generator().manual_seed(0)
    along = torch.rand(rows, generator=generator, dtype=torch.float64)
    up = (torch.rand(rows, generator=generator, dtype=torch.float64) < 0.25).double()
    x = torch.stack([along, up], dim=1)
    return x + noise * torch.randn(rows, 2, generator=generator, dtype=torch.float64)


def sampler_of_lines(noise, floor):
    x = two_lines(2000, noise)
    pieces = Pieces.fitted(x, floor=floor, generator=torch.Generator().manual_seed(1))
    ones, generator = torch.ones(len(x), dtype=torch.int64), torch.Generator().manual_seed(0)
    atlas = local_atlas(pieces, ones, x[400:], x[:400], floor=floor, generator=generator)
    return AtlasSampler.of(atlas, x[400:], x[:400], noise=noise, generator=torch.Generator().manual_seed(2)), x


def test_separate_pieces_have_their_shares_and_nothing_between_them():
    sampler, _ = sampler_of_lines(0.0, 0.01)
    samples = sampler.sample(5000, torch.Generator().manual_seed(3))
    assert bool(((samples[:, 1].abs() < 0.02) | ((samples[:, 1] - 1.0).abs() < 0.02)).all())
    share = float((samples[:, 1] > 0.5).double().mean())
    assert share == pytest.approx(0.25, abs=4.0 * math.sqrt(0.25 * 0.75 * (1 / 5000 + 1 / 2000)))


def test_columns_are_as_wide_as_the_datas_less_the_noise_and_within_its_range():
    noise = 0.05
    sampler, x = sampler_of_lines(noise, 0.01)
    samples = sampler.sample(20_000, torch.Generator().manual_seed(3))
    torch.testing.assert_close(samples.var(0), x.var(0) - noise**2, rtol=0.05, atol=0.0)
    beyond = 0.0501 * (x.amax(0) - x.amin(0))
    assert bool((samples >= x.amin(0) - beyond).all())
    assert bool((samples <= x.amax(0) + beyond).all())


def test_the_same_generator_draws_the_same():
    sampler, _ = sampler_of_lines(0.0, 0.01)
    first, again = (sampler.sample(10, torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(first, again)
