"""The scale mixture of latents: known scales are found, in blocks as all at once, and a warm start goes on."""

import math
from functools import partial

import pytest
import torch

from mixtures import FACTORS
from nflows_spread import DegenerateGaussianMixture
from nflows_spread.distributions.latent_pieces import blocks_of
from nflows_spread.distributions.latent_scales import scales_of_latents
from nflows_spread.factors import RunningAverageFactor
from support import refused

SHARES, SCALES = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64), torch.tensor([0.2, 1.0, 5.0], dtype=torch.float64)


def contrasts(rows=4000, features=30, seed=0):
    """Gaussian latents of standard deviations from 1 to 0.1, each at one of three scales."""
    generator = torch.Generator().manual_seed(seed)
    scale = SCALES[torch.multinomial(SHARES, rows, replacement=True, generator=generator)].unsqueeze(1)
    noise = torch.randn(rows, features, generator=generator, dtype=torch.float64)
    return scale * noise * torch.linspace(1.0, 0.1, features).double()


def test_known_scales_and_their_shape_are_found():
    weights, squares, root = scales_of_latents(blocks_of(contrasts()), 3, 1e-8)
    torch.testing.assert_close(weights, SHARES, rtol=0.1, atol=0.0)
    torch.testing.assert_close((squares / squares[1]).sqrt(), SCALES, rtol=0.02, atol=0.0)
    shape = squares[1] * root @ root.mT
    torch.testing.assert_close(shape.diagonal().sqrt(), torch.linspace(1.0, 0.1, 30).double(), rtol=0.05, atol=0.0)


def test_the_size_of_the_blocks_does_not_matter():
    z = contrasts(500)
    one, other = (scales_of_latents(partial(z.split, size), 4, 1e-4) for size in (7, 500))
    for mine, theirs in zip(one, other, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("kind", FACTORS)
@torch.no_grad()
def test_pieces_that_are_tied_and_without_means_are_told_apart_by_scale(kind):
    """In 30 features far better than by where they lie, as pieces with means are."""
    z, other = contrasts(), contrasts(seed=1)
    if kind == "LowRankFactor":
        z, other = z[:, :3], other[:, :3]
    base = DegenerateGaussianMixture(z.shape[1], 3, factor=FACTORS[kind], tied=True, learn_mean=False).double()
    base.fit_pieces(z)
    one = DegenerateGaussianMixture(z.shape[1], 1, factor=FACTORS[kind], learn_mean=False).double()
    one.fit_pieces(z)
    assert float(base.log_prob(other).mean() - one.log_prob(other).mean()) > 0.35 * z.shape[1]


@torch.no_grad()
def test_a_warm_start_goes_on_from_the_scales_and_the_likelihood_rises():
    z, base = contrasts(), DegenerateGaussianMixture([30], 3, tied=True, learn_mean=False).double()
    base.fit_pieces(z)
    best = float(base.log_prob(z).mean())
    base.factors.log_scales.add_(torch.tensor([0.3, 0.0, -0.3]))
    moved = float(base.log_prob(z).mean())
    base.fit_pieces(z, warm_start=True)
    assert moved < best - 0.3
    assert float(base.log_prob(z).mean()) == pytest.approx(best, abs=1e-2)


def test_more_pieces_than_scales_and_latents_that_are_0_are_no_trouble():
    z = contrasts(300)
    z[:5] = 0.0
    weights, squares, root = scales_of_latents(blocks_of(z), 12, 1e-6)
    assert all(torch.isfinite(found).all() for found in (weights, squares, root))
    assert float(weights.sum()) == pytest.approx(1.0)


def test_too_few_latents_are_refused():
    with refused(ValueError, "there must be at least as many latents as the 4 pieces, got 3"):
        scales_of_latents(blocks_of(torch.ones(3, 2)), 4, 1e-4)
    with refused(ValueError, "latents must not all be 0"):
        scales_of_latents(blocks_of(torch.zeros(5, 2)), 4, 1e-4)
    with refused(ValueError, "there must be latents, got none"):
        scales_of_latents(lambda: [], 4, 1e-4)


def smooth_curves():
    """The root of a covariance of curves at 40 points, with noise of 1e-5 of their variance."""
    t = torch.arange(40.0, dtype=torch.float64)
    return torch.linalg.cholesky(torch.exp(-0.005 * (t - t.unsqueeze(1)) ** 2) + 1e-5 * torch.eye(40))


def curves_at_two_scales(rows, seed=0):
    """Latents of one shape at two scales, and their log-densities."""
    generator = torch.Generator().manual_seed(seed)
    scales = torch.tensor([0.5, 2.0], dtype=torch.float64)
    of = torch.randint(2, (rows,), generator=generator)
    noise = torch.randn(rows, 40, generator=generator, dtype=torch.float64)
    root = smooth_curves()
    z = scales[of].unsqueeze(1) * noise @ root.mT
    shape = [torch.distributions.MultivariateNormal(torch.zeros(40).double(), scale_tril=s * root) for s in scales]
    return z, torch.stack([one.log_prob(z) for one in shape]).logsumexp(0) - math.log(2.0)


@pytest.mark.parametrize("tied", [True, "semi"])
@torch.no_grad()
def test_close_dependences_are_kept_where_the_factor_shrinks_or_a_start_is_warm(tied):
    """Of the 820 parameters of the shape 2 000 latents have an error of 0.2 nats; shrunk correlations cost over 10."""
    (z, _), (other, expected) = curves_at_two_scales(2000), curves_at_two_scales(2000, seed=1)

    def lost(shrinkage, warm):
        kind = RunningAverageFactor.of_decay(0.99, shrinkage=shrinkage)
        base = DegenerateGaussianMixture([40], 2, factor=kind, tied=tied, learn_mean=False, spread_variance=1e-12)
        base.double().fit_pieces(z)
        if warm:
            base.fit_pieces(z, warm_start=True)
        return float((expected - base.log_prob(other)).mean())

    assert lost(0.0, warm=False) > 10.0
    assert lost(0.0, warm=True) < 0.5
    assert lost(1e-3, warm=False) < 0.5


def test_a_constant_latent_gets_the_spread_variance_where_nothing_else_is_added():
    z = contrasts(300)
    z[:, 3] = 0.0
    root = scales_of_latents(blocks_of(z), 2, 1e-6, decomposed=torch.clone).root
    assert float((root @ root.mT)[3, 3]) == pytest.approx(1e-6)


def test_no_more_latents_than_features_are_shrunk_whatever_was_known():
    z = contrasts(20)
    root = scales_of_latents(blocks_of(z), 1, 1e-6, decomposed=torch.clone).root
    assert float(torch.linalg.eigvalsh(root @ root.mT)[0]) > 1e-4
