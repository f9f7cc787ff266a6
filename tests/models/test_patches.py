"""A Glow that starts from the principal coordinates of its patches."""

from __future__ import annotations

import io

import pytest
import torch
from nflows.distributions import StandardNormal
from nflows.flows import Flow
from torch.nn import functional as F

from nflows_spread import SpreadKLLoss, decode, encode, initialize, initialize_prior, reconstruct
from nflows_spread.linalg.eigen import eigh_descending
from nflows_spread.linalg.moments import covariance_of
from nflows_spread.models import coupling_flow, initialize_from_patches, volume_preserving_glow
from support import assert_same_state, glow_flow, randomize, refused, steps_of

SHAPE = (3, 8, 8)


def smooth(count: int, seed: int = 0) -> torch.Tensor:
    """Images that vary slowly, with a little noise and an offset."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(count, 3, 3, 3, generator=generator)
    images = F.interpolate(coarse, SHAPE[1:], mode="bilinear", align_corners=True)
    return 5.0 + images + 0.05 * torch.randn(count, *SHAPE, generator=generator)


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_a_volume_preserving_glow_starts_as_an_orthogonal_map_of_the_centred_data(layers, float64):
    flow, x = glow_flow(SHAPE, layers=layers), smooth(300)
    assert initialize_from_patches(flow, x) == 2 * layers
    z = encode(flow, x)
    torch.testing.assert_close(torch.pdist(z), torch.pdist(x.flatten(1)))
    torch.testing.assert_close(z.square().sum(), (x - x.mean()).square().sum(), rtol=0.2, atol=0)  # centred
    torch.testing.assert_close(decode(flow, z), x)


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("volume_preserving", [True, False])
def test_a_block_starts_with_uncorrelated_channels_and_sends_the_coarse_half_on(layers, volume_preserving, float64):
    transform = volume_preserving_glow(
        SHAPE, blocks=2, layers=layers, hidden_channels=4, volume_preserving=volume_preserving
    )
    x = smooth(300)
    initialize_from_patches(Flow(transform, StandardNormal([192])), x)
    fine, coarse = transform._transforms[0](x)[0].chunk(2, 1)
    rows = F.pixel_unshuffle(x, 2).movedim(1, -1).flatten(0, 2)
    vectors = eigh_descending(covariance_of(rows))[1]
    scores = (rows - rows.mean(0)) @ vectors
    for half, wanted in ((coarse, scores[:, :6]), (fine, scores[:, 6:])):
        found = half.movedim(1, -1).flatten(0, 2)
        correlations = torch.corrcoef(torch.cat([found, wanted], 1).mT)[:6, 6:].abs()
        torch.testing.assert_close(correlations.amax(0), torch.ones(6))
        torch.testing.assert_close(correlations.sum(0), torch.ones(6), rtol=0, atol=1e-6)
        if volume_preserving:
            torch.testing.assert_close(found.var(0).sort().values, wanted.var(0).sort().values)
        elif layers > 1:
            torch.testing.assert_close(found.var(0), torch.ones(6))


@pytest.mark.parametrize("volume_preserving", [True, False])
def test_the_nets_see_unit_variance_through_their_first_weights(volume_preserving, float64):
    transform = volume_preserving_glow(
        SHAPE, blocks=2, layers=2, hidden_channels=4, volume_preserving=volume_preserving
    )
    flow, x = Flow(transform, StandardNormal([192])), smooth(300)
    nets = [step.coupling.transform_net for step in steps_of(transform)]
    before, seen = [net.first.weight.clone() for net in nets], []
    initialize_from_patches(flow, x)
    for net in nets:
        net.register_forward_pre_hook(lambda _, args: seen.append(args[0].std()))
    encode(flow, x)
    for net, was, std in zip(nets, before, seen):
        torch.testing.assert_close(net.first.weight * std, was)


def test_reconstructions_start_as_good_as_those_of_principal_components(float64):
    flow, x, other = glow_flow(SHAPE), smooth(1000), smooth(200, 1)
    initialize_from_patches(flow, x)
    initialize_prior(flow, x)
    flat, mean = x.flatten(1), x.flatten(1).mean(0)
    leading = eigh_descending(covariance_of(flat))[1][:, :20]
    linear = (mean + (other.flatten(1) - mean) @ leading @ leading.mT - other.flatten(1)).square().mean()
    error = (reconstruct(flow, other, rank=20) - other).square().mean()
    assert float(error.detach()) == pytest.approx(float(linear), rel=0.1)


def test_what_it_sets_is_in_the_state_dict():
    flow = glow_flow(SHAPE)
    initialize_from_patches(flow, smooth(100))
    file = io.BytesIO()
    torch.save(flow.state_dict(), file)
    file.seek(0)
    fresh = glow_flow(SHAPE, generator=torch.Generator().manual_seed(5))
    fresh.load_state_dict(torch.load(file, weights_only=True))
    assert_same_state(fresh.state_dict(), flow.state_dict())
    x = smooth(5, 1)
    assert torch.equal(encode(fresh, x), encode(flow, x))


def test_what_does_not_fit_is_refused_and_changes_nothing():
    flow = randomize(glow_flow(SHAPE), 0.1)
    with refused(ValueError, "x must have at least two rows, got (1, 3, 8, 8)", unchanged=flow):
        initialize_from_patches(flow, smooth(1))
    with refused(ValueError, "images must have shape (n, 3, 8, 8), got (4, 1, 8, 8)", unchanged=flow):
        initialize_from_patches(flow, torch.rand(4, 1, 8, 8))
    with refused(ValueError, "must have a volume_preserving_glow in it, got a Flow without"):
        initialize_from_patches(coupling_flow(2, layers=2), torch.rand(4, 2))


def grey_photographs(channels=3):
    coarse = torch.rand(64, 1, 3, 3, generator=torch.Generator().manual_seed(0))
    return F.interpolate(coarse, (8, 8), mode="bilinear").expand(-1, channels, -1, -1).contiguous()


@pytest.mark.parametrize("volume_preserving", [True, False])
@pytest.mark.parametrize("start", [initialize, initialize_from_patches])
def test_a_glow_starts_on_grey_photographs_stored_as_colours(start, volume_preserving):
    x = grey_photographs()
    flow = glow_flow((3, 8, 8), volume_preserving=volume_preserving)
    objective = SpreadKLLoss(flow, data_noise=0.02, generator=torch.Generator().manual_seed(0))
    before = float(objective(x).detach())
    weights = [step.coupling.transform_net.first.weight for step in flow.modules() if hasattr(step, "coupling")]
    start(flow, x)
    assert float(objective(x).detach()) < before
    assert max(float(weight.detach().abs().max()) for weight in weights) < 1e2


def test_a_glow_starts_on_pictures_without_content():
    flow = glow_flow((3, 8, 8))
    initialize_from_patches(flow, torch.full((4, 3, 8, 8), 0.3))
    assert all(torch.isfinite(value).all() for value in flow.state_dict().values())
    assert max(float(parameter.detach().abs().max()) for parameter in flow.parameters()) < 1e2
