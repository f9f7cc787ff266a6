"""CEF, the baseline of table 5: its layers are conformal, its density is that of the manifold's volume."""

from __future__ import annotations

import math

import pytest
import torch
from nflows.distributions import StandardNormal
from nflows.flows import Flow
from torch import Tensor

from baselines.cef import FROM_PATCHES, ConformalLoss, conformal_embedding_flow
from baselines.conformal import (
    ConditionalOrthogonal,
    ConformalActNorm,
    ConformalEmbedding,
    LeadingChannels,
    OrthogonalConvolution,
)
from nflows_spread import decode, encode, initialize
from support import randomize, refused

SHAPE = (1, 16, 16)
FEATURES, RANK = math.prod(SHAPE), 20
LAYERS = {
    "orthogonal convolution, 2×2": lambda: OrthogonalConvolution(3, 2),
    "orthogonal convolution, 1×1": lambda: OrthogonalConvolution(6),
    "conditional orthogonal": lambda: ConditionalOrthogonal(6),
    "actnorm of one scale": lambda: ConformalActNorm(6),
}


def jacobian(function, point: Tensor) -> Tensor:
    """Of a map of batches at a single point, (outputs, inputs), by automatic differentiation."""
    found = torch.func.jacrev(lambda row: function(row.unsqueeze(0)).flatten())(point)
    return found.flatten(1)


def images(n: int, shape: tuple[int, ...] = SHAPE, seed: int = 0) -> Tensor:
    """Smooth colours, whose patches have more and less variable directions."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(n, shape[0], 2, 2, generator=generator)
    noise = 0.05 * torch.rand(n, *shape, generator=generator)
    return torch.nn.functional.interpolate(coarse, shape[1:], mode="bilinear") + noise


@pytest.fixture
def flow(float64: None) -> Flow:
    """Of 20 latents, five for each 8×8 patch, in float64."""
    return conformal_embedding_flow(SHAPE, base=StandardNormal([RANK]), layers=2, hidden_channels=4)


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_turns_and_scales_all_directions_alike_and_is_inverted(name: str, float64: None) -> None:
    layer = randomize(LAYERS[name](), 0.5)
    x = 0.4 * torch.randn(5, 3 if "2×2" in name else 6, 4, 4)
    y, logabsdet = layer(x)
    torch.testing.assert_close(layer.inverse(y)[0], x, rtol=0, atol=1e-12)
    torch.testing.assert_close(layer.inverse(y)[1], -logabsdet)
    for point, reported in zip(x, logabsdet):
        j = jacobian(lambda rows: layer(rows)[0], point)
        gram = j.mT @ j
        torch.testing.assert_close(gram, gram.diagonal().mean() * torch.eye(len(gram)), rtol=0, atol=1e-12)
        torch.testing.assert_close(torch.linalg.slogdet(j).logabsdet, reported)


def test_a_conditional_layer_has_two_cases_that_the_outputs_tell_apart(float64: None) -> None:
    layer = randomize(ConditionalOrthogonal(3), 0.5)
    x = torch.randn(1, 3, 20, 20)
    norms = x.norm(dim=1)
    assert 0.1 < float((norms < 1.0).double().mean()) < 0.9
    y = layer(x)[0]
    for case, weight in ((norms < 1.0, layer.inner.weight), (norms >= 1.0, layer.outer.weight)):
        torch.testing.assert_close(y.movedim(1, -1)[case], x.movedim(1, -1)[case] @ weight.mT)
    torch.testing.assert_close(y.norm(dim=1), norms)


def test_dropped_channels_come_back_as_zeros() -> None:
    layer, x = LeadingChannels(5, 2), torch.randn(2, 5, 3, 3)
    kept, _ = layer(x)
    assert torch.equal(kept, x[:, :2])
    assert torch.equal(layer.inverse(kept)[0], torch.cat([x[:, :2], torch.zeros(2, 3, 3, 3)], 1))
    assert torch.equal(layer(layer.inverse(kept)[0])[0], kept)


def trained(flow: Flow, x: Tensor, steps: int = 5) -> Flow:
    """A few steps, so that no layer is the identity."""
    initialize(flow, x, only=FROM_PATCHES)
    initialize(flow, x)
    loss = ConformalLoss(flow, data_noise=0.01, generator=torch.Generator().manual_seed(0))
    optimizer = torch.optim.Adam(loss.parameters(), lr=1e-2)
    for _ in range(steps):
        optimizer.zero_grad()
        loss(x).backward()
        optimizer.step()
    return flow.eval()


def test_the_embedding_is_conformal_and_the_left_inverse_undoes_it(flow: Flow) -> None:
    embedding = trained(flow, images(40))._transform._transforms[0]
    assert isinstance(embedding, ConformalEmbedding)
    u, reported = embedding(images(3, seed=1))
    x, minus_reported = embedding.inverse(u)
    again, on_manifold = embedding(x)
    torch.testing.assert_close(again, u, rtol=0, atol=1e-10)
    torch.testing.assert_close(embedding.inverse(again)[0], x, rtol=0, atol=1e-10)
    torch.testing.assert_close(on_manifold, -minus_reported)
    torch.testing.assert_close(on_manifold, reported)
    for point, value in zip(u, reported):
        j = jacobian(lambda rows: embedding.inverse(rows)[0], point)
        gram = j.mT @ j
        assert j.shape == (FEATURES, RANK)
        torch.testing.assert_close(gram, gram.diagonal().mean() * torch.eye(RANK), rtol=0, atol=1e-10)
        torch.testing.assert_close(0.5 * torch.linalg.slogdet(gram).logabsdet, -value)


def test_the_density_is_that_of_the_latents_over_the_volume_of_the_whole_map(flow: Flow) -> None:
    """log p(x) = log N(z; 0, I) − ½ log det JᵀJ with J the Jacobian of latents to images."""
    trained(flow, images(40))
    z = encode(flow, images(3, seed=1))
    assert z.shape == (3, RANK)
    x = decode(flow, z)
    torch.testing.assert_close(encode(flow, x), z, rtol=0, atol=1e-9)
    normal = torch.distributions.Normal(0.0, 1.0)
    for point, image, value in zip(z, x, flow.log_prob(x)):
        j = jacobian(lambda rows: decode(flow, rows), point)
        half_log_volume = 0.5 * torch.linalg.slogdet(j.mT @ j).logabsdet
        torch.testing.assert_close(value, normal.log_prob(point).sum() - half_log_volume)
        assert image.shape == SHAPE


def test_the_loss_is_the_density_and_the_weighted_distance_to_the_manifold(flow: Flow) -> None:
    x = images(6)
    trained(flow, images(40))
    loss = ConformalLoss(flow, reconstruction_weight=7.0)(x)
    distances = (x - decode(flow, encode(flow, x))).square().sum((1, 2, 3))
    torch.testing.assert_close(loss, (7.0 * distances - flow.log_prob(x)).mean())
    quiet, noisy = (ConformalLoss(flow, data_noise=s, generator=torch.Generator().manual_seed(0))(x) for s in (0, 0.1))
    assert quiet < noisy


def test_it_starts_as_the_best_linear_manifold_of_patches(flow: Flow) -> None:
    """No projection of all 8×8 patches on 5 directions about their mean loses less."""
    x = images(300)
    initialize(flow, x, only=FROM_PATCHES)
    lost = (x - decode(flow, encode(flow, x))).square().sum()
    patches = x.unfold(2, 8, 8).unfold(3, 8, 8).reshape(-1, 64)
    best = torch.linalg.svdvals(patches - patches.mean(0))[RANK // 4 :].square().sum()
    torch.testing.assert_close(lost, best, rtol=1e-6, atol=0)


def test_half_of_the_pixels_are_in_each_case_at_the_start(flow: Flow) -> None:
    initialize(flow, images(100), only=FROM_PATCHES)
    layers = flow._transform._transforms[0].layers
    arriving = images(100)
    for layer in layers:
        if isinstance(layer, ConditionalOrthogonal):
            assert float((arriving.norm(dim=1) < 1.0).double().mean()) == pytest.approx(0.5, abs=0.02)
        arriving = layer(arriving)[0]


def test_training_keeps_the_matrices_orthogonal_and_lowers_the_loss(flow: Flow) -> None:
    x = images(60)
    initialize(flow, x, only=FROM_PATCHES)
    initialize(flow, x)
    before = float(ConformalLoss(flow)(x).detach())
    trained(flow, x, steps=30)
    assert float(ConformalLoss(flow)(x).detach()) < before
    for layer in flow.modules():
        if isinstance(layer, OrthogonalConvolution):
            weight = layer.turn.weight
            torch.testing.assert_close(weight @ weight.mT, torch.eye(len(weight)), rtol=0, atol=1e-10)
            assert (weight - torch.eye(len(weight))).abs().max() > 1e-3


def test_samples_are_images_on_the_manifold(flow: Flow) -> None:
    trained(flow, images(40))
    x = flow.sample(5)
    assert x.shape == (5, *SHAPE)
    torch.testing.assert_close(decode(flow, encode(flow, x)), x, rtol=0, atol=1e-8)


def test_what_does_not_fit_is_refused() -> None:
    with refused(ValueError, "multiples of 8, got 12 and 8"):
        conformal_embedding_flow((3, 12, 8), base=StandardNormal([20]))
    with refused(ValueError, "multiple of 4 latents", "got 6"):
        conformal_embedding_flow((3, 16, 16), base=StandardNormal([6]))
    with refused(ValueError, "up to 256", "got 260"):
        conformal_embedding_flow(SHAPE, base=StandardNormal([260]))
