"""Conditional variances of latents: known ones are found, in blocks as all at once, and a warm start goes on."""

from functools import partial

import pytest
import torch

from nflows_spread import DegenerateGaussianMixture
from nflows_spread.distributions.latent_conditionals import conditionals_of_latents
from nflows_spread.distributions.latent_pieces import blocks_of
from nflows_spread.distributions.latent_scales import scales_of_latents
from nflows_spread.factors import RunningAverageFactor

FEATURES, SHARES = 20, torch.tensor([0.7, 0.3], dtype=torch.float64)
DOWN = torch.linspace(1.0, 0.1, FEATURES).double()
VARIANCES = torch.stack([DOWN, 16.0 * DOWN.flip(0)])


def textures(rows=6000, seed=0):
    """Independent Gaussian latents with one of two spectra."""
    generator = torch.Generator().manual_seed(seed)
    own = VARIANCES[torch.multinomial(SHARES, rows, replacement=True, generator=generator)]
    return own.sqrt() * torch.randn(rows, FEATURES, generator=generator, dtype=torch.float64)


def semi_tied():
    kind = RunningAverageFactor.of_decay(0.99)
    return DegenerateGaussianMixture([FEATURES], 2, factor=kind, tied="semi", learn_mean=False).double()


def test_known_variances_are_found_where_scales_tell_their_pieces_apart():
    scales = scales_of_latents(blocks_of(textures()), 2, 1e-8)
    weights, whitened = conditionals_of_latents(blocks_of(textures()), *scales)
    torch.testing.assert_close(weights, SHARES, rtol=0.05, atol=0.0)
    own = torch.linalg.cholesky(scales.root @ scales.root.mT).diagonal().square()
    torch.testing.assert_close(whitened * own, VARIANCES, rtol=0.15, atol=0.0)


def test_the_size_of_the_blocks_does_not_matter():
    z = textures(300)
    scales = scales_of_latents(blocks_of(z), 3, 1e-4)
    one, other = (conditionals_of_latents(partial(z.split, size), *scales) for size in (7, 300))
    for mine, theirs in zip(one, other, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-8, atol=1e-8)


def test_latents_of_0_and_more_pieces_than_there_are_leave_finite_numbers():
    z = textures(60)
    z[:20] = 0.0
    scales = scales_of_latents(blocks_of(z), 12, 1e-6)
    weights, whitened = conditionals_of_latents(blocks_of(z), *scales)
    assert torch.isfinite(weights).all()
    assert torch.isfinite(whitened).all()
    assert float(weights.sum()) == pytest.approx(1.0)


@torch.no_grad()
def test_a_start_is_better_than_scales_and_a_warm_one_does_not_lose_it():
    base, other = semi_tied(), textures(seed=1)
    kind = RunningAverageFactor.of_decay(0.99)
    tied = DegenerateGaussianMixture([FEATURES], 2, factor=kind, tied=True, learn_mean=False).double()
    base.fit_pieces(textures())
    tied.fit_pieces(textures())
    reached = float(base.log_prob(other).mean())
    assert reached - float(tied.log_prob(other).mean()) > 1.0
    base.fit_pieces(textures(), warm_start=True)
    assert float(base.log_prob(other).mean()) == pytest.approx(reached, abs=0.02)


def test_a_piece_without_latents_stays_as_it_was():
    z = textures(300)
    weights, squares, root = scales_of_latents(blocks_of(z), 2, 1e-4)
    weights, squares = (torch.cat([x, x.new_tensor([last])]) for x, last in ((weights, 0.0), (squares, 5.0)))
    found, whitened = conditionals_of_latents(blocks_of(z), weights, squares, root)
    assert found[2] == 0.0
    torch.testing.assert_close(whitened[2], torch.full_like(whitened[2], 5.0))
