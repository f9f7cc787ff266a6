"""How a Glow spends memory and time changes nothing of what it computes: checkpoints, layouts, 16 bits, compilation."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nflows_spread import decode, encode
from nflows_spread.models import volume_preserving_glow
from nflows_spread.transforms import MeanCentredAffineCouplingTransform
from support import SMALL_GLOW, glow_flow, randomize, steps_of
from transform_contract import glow_step


def gradients(flow, x):
    flow.zero_grad()
    (flow.log_prob(x).sum() + decode(flow, 0.1 * x.flatten(1)).square().sum()).backward()
    return {name: p.grad for name, p in flow.named_parameters()}


def test_checkpointing_gives_the_same_gradients(float64):
    flow, x = randomize(glow_flow((3, 4, 4)), 0.1), torch.randn(3, 3, 4, 4)
    expected = gradients(flow, x)
    saved = sum(tensor.numel() for tensor in _saved_tensors(flow, x))
    for step in steps_of(flow):
        step.checkpointing = True
    found = gradients(flow, x)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-12, atol=1e-12)
    assert sum(tensor.numel() for tensor in _saved_tensors(flow, x)) < saved / 2


def _saved_tensors(flow, x):
    """What the graph of one encoding holds for the backward pass."""
    held = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: held.append(tensor) or tensor, lambda tensor: tensor):
        encode(flow, x)
    return held


def test_checkpointing_is_off_by_default_and_an_option_of_the_builder():
    assert not any(step.checkpointing for step in steps_of(volume_preserving_glow((1, 4, 4), **SMALL_GLOW)))
    assert all(
        step.checkpointing for step in steps_of(volume_preserving_glow((1, 4, 4), **SMALL_GLOW, checkpointing=True))
    )


def test_with_channels_last_the_nets_compute_in_it_and_give_the_same(float64):
    flow = randomize(glow_flow((3, 8, 8)), 0.1)
    last = glow_flow((3, 8, 8), channels_last=True)
    last.load_state_dict(flow.state_dict())
    x = torch.randn(3, 3, 8, 8)
    hidden, outputs = [], []
    for step in steps_of(last):
        step.coupling.transform_net.second.register_forward_hook(lambda *args: hidden.append(args[-1]))
        step.register_forward_hook(lambda *args: outputs.append(args[-1][0]))
    for images in (x, x.to(memory_format=torch.channels_last)):
        torch.testing.assert_close(encode(last, images), encode(flow, x), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(decode(last, encode(flow, x)), x)
    assert all(images.is_contiguous(memory_format=torch.channels_last) for images in hidden)
    assert all(images.is_contiguous() for images in outputs)


def test_under_autocast_the_nets_alone_are_in_16_bits():
    flow, x = randomize(glow_flow((3, 8, 8)), 0.05), torch.rand(4, 3, 8, 8)
    dtypes = {}
    for name, part in flow.named_modules():
        if isinstance(part, nn.Conv2d | MeanCentredAffineCouplingTransform):
            part.register_forward_hook(
                lambda part, args, out, name=name: dtypes.update(
                    {name: (out[0] if isinstance(out, tuple) else out).dtype}
                )
            )
    exact = encode(flow, x)
    with torch.autocast("cpu", torch.bfloat16):
        z, logabsdet = flow._transform(x)
        back = decode(flow, z)
    assert {dtype for name, dtype in dtypes.items() if "transform_net" in name} == {torch.bfloat16}
    assert {dtype for name, dtype in dtypes.items() if name.endswith("coupling")} == {torch.float32}
    assert z.dtype == logabsdet.dtype == torch.float32
    assert torch.equal(logabsdet, torch.zeros(4))
    assert 0.0 < (z - exact).abs().max() < 0.1
    torch.testing.assert_close(back, x, rtol=0, atol=1e-2)


@pytest.mark.parametrize("options", [{}, {"checkpointing": True}], ids=str)
def test_a_step_compiles_as_one_graph(options, float64):
    step = randomize(glow_step(4, **options))
    compiled = torch.compile(step, backend="aot_eager", fullgraph=True)
    results = []
    for module in (step, compiled):
        step.zero_grad()
        x = torch.randn(2, 4, 4, 2, generator=torch.Generator().manual_seed(0)).requires_grad_(True)
        outputs, logabsdet = module(x)
        (outputs.square().sum() + logabsdet.sum()).backward()
        results.append([outputs, logabsdet, x.grad, *(p.grad.clone() for p in step.parameters())])
    for found, expected in zip(*results):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
