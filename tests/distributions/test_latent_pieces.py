"""Pieces of latents that come in blocks: the same as of all at once, in bounded memory, and on from where they are."""

from functools import partial

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from clusters import three_clusters
from nflows_spread import DegenerateGaussianMixture, initialize_prior, prior_initialization, swap_base
from nflows_spread.distributions import latent_pieces
from nflows_spread.distributions.latent_pieces import blocks_of, moments_of_latents, pieces_of_latents
from nflows_spread.models import coupling_flow
from support import randomize, refused


def many_features(rows=900, features=80):
    """Three clusters in two of the features, a little noise in all."""
    generator = torch.Generator().manual_seed(1)
    z = 0.1 * torch.randn(rows, features, generator=generator, dtype=torch.float64)
    z[:, :2] += three_clusters(rows)
    return z


@pytest.mark.parametrize("z", [three_clusters(), many_features()], ids=["few features", "many"])
@pytest.mark.parametrize("tied", [False, True])
def test_the_size_of_the_blocks_does_not_matter(z, tied):
    one, other = (
        pieces_of_latents(partial(z.split, size), 3, 1e-4, tied=tied, generator=torch.Generator().manual_seed(0))
        for size in (7, len(z))
    )
    for mine, theirs in zip((*one[:2], *one[2]), (*other[:2], *other[2]), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-8, atol=1e-8)


def test_moments_are_those_of_all_rows_however_far_from_the_origin():
    z = many_features(features=5) + 1e6
    rows, mean, covariance = moments_of_latents(lambda: z.split(7))
    assert rows == 900
    torch.testing.assert_close(mean, z.mean(0))
    torch.testing.assert_close(covariance, torch.cov(z.mT, correction=0), rtol=1e-7, atol=1e-9)
    with refused(ValueError, "there must be latents, got none"):
        moments_of_latents(lambda: [])


def test_moments_of_the_pieces_are_those_of_their_rows():
    """Which are six standard deviations apart: the covariance of each, with D rows of the mean one and σ_Z²."""
    z, label = many_features(), torch.arange(900) % 3
    weights, means, roots = pieces_of_latents(blocks_of(z), 3, 1e-4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(weights, torch.full((3,), 1 / 3, dtype=torch.float64), rtol=0.02, atol=0.0)
    parts = [z[label == k] for k in range(3)]
    within = sum(part.T.cov(correction=0) for part in parts) / 3
    for part in parts:
        piece = int((means - part.mean(0)).norm(dim=1).argmin())
        expected = (300 * part.T.cov(correction=0) + 80 * within) / 380
        found = roots[piece] @ roots[piece].mT - 1e-4 * torch.eye(80).double()
        assert float((found - expected).norm() / expected.norm()) < 0.05


def test_many_rows_are_fitted_to_some_and_then_to_all(monkeypatch):
    monkeypatch.setattr(latent_pieces, "_SAMPLE", 100)
    z = three_clusters(3000)
    some, _, _ = pieces_of_latents(blocks_of(z[:100]), 3, 1e-4, generator=torch.Generator().manual_seed(0))
    staged, means, _ = pieces_of_latents(blocks_of(z), 3, 1e-4, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr(latent_pieces, "_SAMPLE", 10_000)
    whole, whole_means, _ = pieces_of_latents(blocks_of(z), 3, 1e-4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(staged.sort().values, whole.sort().values, rtol=0, atol=1e-3)
    torch.testing.assert_close(means.sort(0).values, whole_means.sort(0).values, rtol=0, atol=1e-2)
    assert not torch.allclose(some.sort().values, whole.sort().values, rtol=0, atol=1e-3)


def peak_numbers(rows, features=200, pieces=8):
    """Float64 numbers held at most beyond what is there before, as the allocator sees it."""

    def blocks():
        generator = torch.Generator().manual_seed(0)
        for _ in range(rows // 250):
            yield torch.randn(250, features, generator=generator)

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
        pieces_of_latents(blocks, pieces, 1e-4, generator=torch.Generator().manual_seed(0))
    now = peak = 0
    for event in sorted(found.profiler.kineto_results.events(), key=lambda event: event.start_ns()):
        if event.name() == "[memory]":
            now += event.nbytes()
            peak = max(peak, now)
    return peak / 8


def test_memory_grows_with_rows_times_coordinates_and_not_with_rows_times_features_times_pieces(monkeypatch):
    monkeypatch.setattr(latent_pieces, "COORDINATES", 4)
    monkeypatch.setattr(latent_pieces, "_SAMPLE", 1000)
    growth = peak_numbers(6000) - peak_numbers(2000)
    assert growth < 4000 * 200 / 4  # a quarter of the latents that came
    assert growth > 0


def test_latents_that_are_many_are_encoded_anew(monkeypatch):
    """And give about the same pieces as those that are held."""
    x, weights = three_clusters(600).float(), []
    for held in (2**24, 0):
        monkeypatch.setattr(prior_initialization, "_HELD", held)
        flow = coupling_flow(2, layers=2, hidden_features=(8,), generator=torch.Generator().manual_seed(0))
        flow = swap_base(flow, DegenerateGaussianMixture([2], 3))
        initialize_prior(flow, x, data_noise=0.1, generator=torch.Generator().manual_seed(0))
        weights.append(flow._distribution.weights.detach())
    torch.testing.assert_close(weights[0].sort().values, weights[1].sort().values, rtol=0, atol=0.02)


def test_noise_that_is_another_each_time_leaves_covariances_positive(monkeypatch):
    """Of pieces whose distances are thousands of standard deviations, in more features than they have rows."""
    monkeypatch.setattr(prior_initialization, "_HELD", 0)
    generator = torch.Generator().manual_seed(0)
    x = 1e3 * torch.randn(3, 100, generator=generator).repeat(40, 1) + 0.1 * torch.randn(120, 100, generator=generator)
    flow = swap_base(randomize(coupling_flow(100, layers=1), 0.0), DegenerateGaussianMixture([100], 6))
    initialize_prior(flow.double(), x.double(), data_noise=0.1, generator=torch.Generator().manual_seed(0))
    assert torch.isfinite(flow.log_prob(x.double()).detach()).all()


@pytest.mark.parametrize("tied", [False, True])
@torch.no_grad()
def test_a_warm_start_goes_on_from_the_pieces_and_the_likelihood_rises(tied):
    z, base = three_clusters(900), DegenerateGaussianMixture([2], 3, tied=tied).double()
    base.fit_pieces(z, generator=torch.Generator().manual_seed(0))
    best, places = float(base.log_prob(z).mean()), base.locs.clone()
    base.locs.add_(0.5 * torch.randn(3, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64))
    moved = float(base.log_prob(z).mean())
    base.fit_pieces(z, warm_start=True)
    assert float(base.log_prob(z).mean()) == pytest.approx(best, abs=1e-3)
    assert moved < best - 0.1
    torch.testing.assert_close(base.locs, places, rtol=0, atol=0.05)  # each is where it was, by its number
