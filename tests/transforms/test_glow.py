"""The volume-preserving Glow: the paper's architecture, its volume in float32, its initialisation."""

from __future__ import annotations

import copy
import io
import math

import pytest
import torch
from nflows.flows import Flow
from nflows.transforms import CompositeTransform, MultiscaleCompositeTransform, SqueezeTransform, Transform
from torch import nn

from nflows_spread import (
    DegenerateGaussian,
    SpreadKLLoss,
    decode,
    encode,
    initialize,
    initialize_prior,
    sample,
    volume_error,
)
from nflows_spread.factors import SpreadCholeskyFactor
from nflows_spread.models import initialize_from_patches, volume_preserving_glow
from nflows_spread.models.nets import GlowNet
from nflows_spread.transforms import (
    ExplicitActNorm,
    GlowStep,
    MeanCentredAffineCouplingTransform,
    TanhLogScale,
    VolumePreservingActNorm,
    VolumePreservingOneByOneConvolution,
)
from support import (
    SMALL_GLOW,
    assert_same_state,
    glow_flow,
    in_two_processes,
    initialize_in_two_processes,
    randomize,
    refused,
    steps_of,
)
from transform_contract import glow_step, jacobian_logabsdet


def trained(flow, x, steps=8, context=None):
    """The flow after a few steps on images, with actnorms from the data."""
    initialize(flow, x, context=context)
    objective = SpreadKLLoss(flow, data_noise=0.01, generator=torch.Generator().manual_seed(1))
    optimizer = torch.optim.Adam(objective.parameters(), lr=1e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        objective(x, context).backward()
        nn.utils.clip_grad_norm_(objective.parameters(), 10.0)
        optimizer.step()
    return flow


# the model


def test_the_defaults_are_the_papers():
    glow = volume_preserving_glow((3, 32, 32), hidden_channels=2)  # of the paper's 512 only the number differs
    assert isinstance(glow, Transform)
    assert isinstance(glow, MultiscaleCompositeTransform)
    assert len(steps_of(glow)) == 80
    blocks = list(glow._transforms)
    assert len(blocks) == 4
    for block, channels in zip(blocks, (12, 24, 48, 96)):
        squeeze, *steps = block._transforms
        assert isinstance(squeeze, SqueezeTransform)
        assert len(steps) == 20
        for step in steps:
            assert type(step.actnorm) is VolumePreservingActNorm
            assert type(step.convolution) is VolumePreservingOneByOneConvolution
            assert type(step.coupling) is MeanCentredAffineCouplingTransform
            assert isinstance(step.coupling.log_scale, TanhLogScale)
            assert step.convolution.features == channels
            assert step.coupling.transform_features.tolist() == list(range(channels // 2, channels))
    assert glow(torch.rand(2, 3, 32, 32))[0].shape == (2, 3072)
    assert not any(isinstance(part, nn.modules.batchnorm._NormBase) for part in glow.modules())


def test_the_net_has_kernels_3_1_3_and_starts_at_zero():
    net = GlowNet(3, 8, hidden_channels=5)
    layers = [net.first, net.second, net.last]
    assert [layer.kernel_size for layer in layers] == [(3, 3), (1, 1), (3, 3)]
    assert [(layer.in_channels, layer.out_channels) for layer in layers] == [(3, 5), (5, 5), (5, 8)]
    randomize(net)
    x = torch.randn(2, 3, 4, 6)
    expected = net.last(torch.relu(net.second(torch.relu(net.first(x)))))
    torch.testing.assert_close(net(x), expected)
    assert torch.equal(GlowNet(3, 8, hidden_channels=5)(x), torch.zeros(2, 8, 4, 6))


def test_at_the_start_a_glow_permutes_pixels_and_nothing_else():
    x = torch.randn(3, 1, 8, 8)
    z, logabsdet = volume_preserving_glow((1, 8, 8), **SMALL_GLOW)(x)
    assert torch.equal(z.sort(1).values, x.flatten(1).sort(1).values)
    assert torch.equal(logabsdet, torch.zeros(3))


@pytest.mark.parametrize("free", [False, True])
def test_a_step_is_actnorm_then_convolution_then_coupling(free, float64):
    step = randomize(glow_step(6, free=free))
    parts = CompositeTransform([step.actnorm, step.convolution, step.coupling])
    x = torch.randn(3, 6, 4, 2)
    for ours, theirs in ((step, parts), (step.inverse, parts.inverse)):
        for found, expected in zip(ours(x), theirs(x)):
            torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("shape", [(1, 4, 4), (3, 4, 8), (2, 12, 4)], ids=str)
def test_any_size_that_the_squeezes_divide_is_inverted(shape, float64):
    flow, x = randomize(glow_flow(shape), 0.1), torch.randn(3, *shape)
    z = encode(flow, x)
    assert z.shape == (3, math.prod(shape))
    torch.testing.assert_close(decode(flow, z), x, rtol=0, atol=1e-9)


def test_volume_is_preserved_in_float32_at_80_couplings_after_training():
    shape = (1, 8, 8)
    x = torch.rand(16, *shape, generator=torch.Generator().manual_seed(0))
    flow = trained(glow_flow(shape, blocks=1, layers=80, hidden_channels=8), x)
    assert max(float(step.coupling.transform_net.last.weight.detach().abs().max()) for step in steps_of(flow)) > 1e-3
    x = x[:2] + 0.01 * torch.randn(2, *shape)
    z, logabsdet = flow.eval()._transform(x)
    assert torch.equal(logabsdet, torch.zeros(2))
    assert volume_error(flow, x) <= 1e-4  # from the Jacobian that float32 gives
    wide = copy.deepcopy(flow).double()
    assert jacobian_logabsdet(wide._transform, x.double()).abs().max() <= 1e-10
    torch.testing.assert_close(decode(flow, z), x, rtol=0, atol=1e-4)


def test_the_papers_80_couplings_on_the_papers_images_preserve_volume_in_float32_after_training():
    shape = (3, 32, 32)
    x = torch.rand(4, *shape, generator=torch.Generator().manual_seed(0))
    flow = trained(glow_flow(shape, blocks=4, layers=20, hidden_channels=4), x, steps=3).eval()
    z, logabsdet = flow._transform(x)
    assert torch.equal(logabsdet, torch.zeros(4))
    torch.testing.assert_close(decode(flow, z), x, rtol=0, atol=1e-4)
    assert _rounded_log_determinant(flow, x).abs().max() <= 1e-4
    assert _rounded_log_determinant(flow.train(), x).abs().max() > 1e-4  # what rounding alone would leave


@pytest.mark.slow
def test_80_couplings_preserve_volume_and_come_back_in_float32_after_a_longer_training():
    shape = (3, 16, 16)
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(500, 3, 4, 4, generator=generator)
    x = nn.functional.interpolate(coarse, shape[1:], mode="bilinear", align_corners=True)
    x = x + 0.02 * torch.randn(x.shape, generator=generator)
    flow = glow_flow(shape, blocks=4, layers=20, hidden_channels=16)
    initialize_from_patches(flow, x)
    initialize_prior(flow, x, data_noise=0.01)
    objective = SpreadKLLoss(flow, data_noise=0.01, generator=generator)
    optimizer = torch.optim.Adam(objective.parameters(), lr=1e-4)  # the paper's
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        losses.append(objective(x[torch.randint(len(x), (32,), generator=generator)]))
        losses[-1].backward()
        nn.utils.clip_grad_norm_(objective.parameters(), 100.0)
        optimizer.step()
    assert losses[-1] < losses[0]
    x = x[:20]
    z, logabsdet = flow.eval()._transform(x)
    assert torch.equal(logabsdet, torch.zeros(20))
    assert _rounded_log_determinant(flow, x).abs().max() <= 1e-4
    torch.testing.assert_close(decode(flow, z), x, rtol=0, atol=1e-4)


@torch.no_grad()
def _rounded_log_determinant(flow, x):
    """log|det J| of the maps that rounded kernels and log-scales really are, (n,), summed over all steps.

    A float32 kernel has a determinant of 1 up to rounding, which counts once for every pixel.
    """
    total = torch.zeros(len(x), dtype=torch.float64)

    def add(step, args):
        kernel, _ = step._kernel_and_bias()
        total.add_(args[0][0, 0].numel() * torch.linalg.slogdet(kernel.double()).logabsdet)
        hidden = step.convolution(step.actnorm(args[0])[0])[0]
        half = hidden.shape[1] // 2
        raw = step.coupling.transform_net(hidden[:, :half], None)[:, half:]
        scale, _ = step.coupling._scale(raw, 1)
        total.add_(scale.double().log().flatten(1).sum(1))

    hooks = [step.register_forward_pre_hook(add) for step in steps_of(flow)]
    encode(flow, x)
    for hook in hooks:
        hook.remove()
    return total


def test_one_prior_over_all_dimensions_makes_it_a_flow():
    shape = (3, 8, 8)
    flow = Flow(volume_preserving_glow(shape, **SMALL_GLOW), DegenerateGaussian([192], factor=SpreadCholeskyFactor))
    x = torch.rand(10, *shape)
    trained(flow, x, steps=2)
    assert flow.log_prob(x).shape == (10,)
    assert flow.sample(4).shape == sample(flow, 4, rank=20).shape == (4, *shape)


def test_classes_condition_the_flow_through_its_context(float64):
    flow = randomize(glow_flow((1, 4, 4), context_features=3), 0.2)
    x, classes = torch.rand(3, 1, 4, 4), torch.eye(3)
    z = encode(flow, x, classes)
    torch.testing.assert_close(decode(flow, z, classes), x)
    assert (encode(flow, x, classes.roll(1, 0)) - z).abs().amax(1).min() > 1e-3
    assert flow.sample(5, context=classes).shape == (3, 5, 1, 4, 4)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: volume_preserving_glow((3, 30, 32)), ValueError, ("multiples of 16", "got 30 and 32", "pad or crop")),
        (lambda: volume_preserving_glow((3, 32)), ValueError, ("(channels, height, width)", "got (3, 32)")),
        (lambda: volume_preserving_glow((0, 32, 32)), ValueError, ("(channels, height, width)", "got (0, 32, 32)")),
        (lambda: volume_preserving_glow((3, 32, 32), blocks=0), ValueError, ("blocks must be at least 1", "got 0")),
        (lambda: volume_preserving_glow((3, 32, 32), layers=0), ValueError, ("layers must be at least 1", "got 0")),
        (lambda: volume_preserving_glow((3, 4, 4), blocks=1, hidden_channels=1.5), TypeError, ("hidden_channels",)),
        (lambda: volume_preserving_glow((3, 4, 4), blocks=1, context_features=0), ValueError, ("context_features",)),
        (
            lambda: glow_flow((3, 4, 4)).log_prob(torch.rand(2, 3, 8, 8)),
            ValueError,
            ("(n, 3, 4, 4)", "got (2, 3, 8, 8)"),
        ),
        (
            lambda: glow_flow((3, 4, 4)).log_prob(torch.rand(2, 1, 4, 4)),
            ValueError,
            ("(n, 3, 4, 4)", "got (2, 1, 4, 4)"),
        ),
        (lambda: glow_flow((3, 4, 4)).log_prob(torch.rand(2, 48)), ValueError, ("(n, 3, 4, 4)", "got (2, 48)")),
        (lambda: decode(glow_flow((3, 4, 4)), torch.rand(2, 47)), ValueError, ("(n, 48)", "got (2, 47)")),
        (lambda: glow_step(4)(torch.rand(2, 6, 4, 4)), ValueError, ("(n, 4, height, width)", "got (2, 6, 4, 4)")),
        (
            lambda: GlowStep(ExplicitActNorm(4), VolumePreservingOneByOneConvolution(6), glow_step(4).coupling),
            ValueError,
            ("as many channels", "got [4, 6, 4]"),
        ),
        (
            lambda: encode(glow_flow((1, 4, 4)), torch.rand(2, 1, 4, 4), torch.rand(2, 3)),
            ValueError,
            ("this net takes no context", "got one of shape (2, 3)"),
        ),
        (
            lambda: encode(glow_flow((1, 4, 4), context_features=3), torch.rand(2, 1, 4, 4)),
            ValueError,
            ("context must have shape (2, 3)", "got no context"),
        ),
        (
            lambda: encode(glow_flow((1, 4, 4), context_features=3), torch.rand(2, 1, 4, 4), torch.rand(2, 4)),
            ValueError,
            ("context must have shape (2, 3)", "got one of shape (2, 4)"),
        ),
    ],
)
def test_what_does_not_fit_is_refused(call, error, words):
    with refused(error, *words):
        call()


# initialisation


def test_initial_values_survive_saving_loading_and_copying():
    shape = (3, 4, 4)
    flow, x = glow_flow(shape), 2.0 + torch.rand(32, *shape)
    assert torch.equal(encode(flow.train(), x), encode(flow.eval(), x))  # no first batch changes anything
    initialize(flow, x)
    file = io.BytesIO()
    torch.save(flow.state_dict(), file)
    file.seek(0)
    fresh = glow_flow(shape, generator=torch.Generator().manual_seed(5))
    fresh.load_state_dict(torch.load(file, weights_only=True))
    for counterpart in (fresh, copy.deepcopy(flow)):
        assert torch.equal(encode(counterpart.train(), 5.0 * x), encode(flow.train(), 5.0 * x))
    assert_same_state(fresh.state_dict(), flow.state_dict())


@pytest.mark.parametrize("start", [initialize, initialize_from_patches])
def test_processes_that_initialise_from_their_own_data_train_with_one_set_of_values(start, tmp_path):
    in_two_processes(initialize_in_two_processes, str(tmp_path), start)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    assert_same_state(first, second)
    assert any(value.abs().max() > 0.1 for name, value in first.items() if name.endswith("actnorm.shift"))
