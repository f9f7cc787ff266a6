"""Actnorm: first values from data when it is told to, at any place in a flow, and no others."""

import pytest
import torch
from nflows.transforms import Transform
from torch import nn

from nflows_spread import encode, initialize
from nflows_spread.models import coupling_flow
from nflows_spread.transforms import ExplicitActNorm, VolumePreservingActNorm
from support import glow_flow, randomize, refused, steps_of


def test_actnorm_changes_only_when_it_is_told_to(float64):
    actnorm = VolumePreservingActNorm(3).train()
    assert actnorm.initialized  # nothing is left for the first batch to do
    x = 5.0 + torch.tensor([1.0, 2.0, 8.0]) * torch.randn(200, 3)
    assert torch.equal(actnorm(x)[0], x)
    actnorm.initialize(x)
    y = actnorm(x)[0]
    torch.testing.assert_close(y.mean(0), torch.zeros(3))
    torch.testing.assert_close(y.std(0), x.std(0).log().mean().exp().expand(3))  # equal, and their product as before


def test_a_constant_channel_does_not_break_initialize():
    actnorm = VolumePreservingActNorm(3)
    x = torch.randn(20, 3) * torch.tensor([2.0, 0.0, 5.0])
    actnorm.initialize(x)
    assert torch.isfinite(actnorm(x)[0]).all()


def test_initialize_sets_each_actnorm_from_the_output_of_the_layers_before_it(float64):
    flow = randomize(coupling_flow(3, layers=2))
    layers: list[Transform] = []
    for part in flow._transform._transforms:
        layers += [VolumePreservingActNorm(3), part]
    flow._transform._transforms = nn.ModuleList(layers)
    x = 4.0 + torch.tensor([1.0, 3.0, 10.0]) * torch.randn(50, 3)
    assert initialize(flow, x) == 2
    z = x
    for layer in layers:
        z = layer(z)[0]
        if isinstance(layer, VolumePreservingActNorm):
            torch.testing.assert_close(z.mean(0), torch.zeros(3))
            torch.testing.assert_close(z.std(0), z.std(0).mean().expand(3))
    assert initialize(coupling_flow(3, layers=1), x) == 0


@pytest.mark.parametrize("volume_preserving", [True, False])
def test_initialize_sets_every_actnorm_of_a_glow_from_what_arrives_there(volume_preserving, float64):
    flow = randomize(glow_flow((3, 4, 4), volume_preserving=volume_preserving), 0.1)
    x = 3.0 + 2.0 * torch.rand(64, 3, 4, 4)
    assert initialize(flow, x) == 4
    seen = []
    hooks = [step.register_forward_pre_hook(lambda step, args: seen.append((step, args[0]))) for step in steps_of(flow)]
    encode(flow, x)
    assert len(seen) == len(hooks) == 4
    for step, arriving in seen:
        left = step.actnorm(arriving)[0]
        variances = left.var((0, 2, 3))
        torch.testing.assert_close(left.mean((0, 2, 3)), torch.zeros(len(variances)), rtol=0, atol=1e-10)
        expected = torch.ones(len(variances)) if not volume_preserving else variances.mean().expand(len(variances))
        torch.testing.assert_close(variances, expected)


def test_where_no_channel_varies_a_constant_is_left_and_rounding_is_measured_by_its_magnitude(float64):
    """The third is 0 in all rows, the second varies by a rounding."""
    step = 2.0 * torch.finfo(torch.float64).eps
    x = torch.tensor([[5.0, 1e3, 0.0], [5.0, 1e3 * (1.0 + step), 0.0]])
    actnorm = ExplicitActNorm(3)
    actnorm.initialize(x)
    torch.testing.assert_close(actnorm.scale, torch.tensor([1.0, 1e-3, 1.0]))
    torch.testing.assert_close(actnorm(x)[0].mean(0), torch.zeros(3))


@pytest.mark.parametrize("shape", [(1, 3), (4, 2), (4,), (4, 3, 2)])
def test_data_of_one_row_or_of_other_channels_is_refused_and_changes_nothing(shape):
    actnorm = ExplicitActNorm(3)
    with refused(ValueError, f"inputs must have at least two rows and 3 channels, got {shape}", unchanged=actnorm):
        actnorm.initialize(torch.randn(*shape, generator=torch.Generator().manual_seed(0)))


@pytest.mark.parametrize("way", ["forward", "inverse"])
@pytest.mark.parametrize("shape", [(4, 2), (4, 3, 5), (4, 2, 5, 5)])
def test_inputs_of_another_shape_are_refused(shape, way):
    message = f"inputs must have shape (n, 3) or (n, 3, height, width), got {shape}"
    with refused(ValueError, message):
        getattr(ExplicitActNorm(3), way)(torch.zeros(shape))
