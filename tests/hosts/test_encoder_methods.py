"""The methods through which the encoder of each library runs, and the nets of its layers."""

from functools import partial

import pytest
import torch
from nflows.flows import Flow
from nflows.nn.nets import ResidualNet
from nflows.transforms import AffineCouplingTransform, CompositeTransform
from torch import nn

from host_models import MODELS, inputs_for, spread_flow
from nflows_spread import DegenerateGaussian, decode, encode
from nflows_spread.hosts.registry import encoder_methods, method_of, nets_of
from nflows_spread.models import volume_preserving_glow
from nflows_spread.transforms import GlowStep


def call_and_count(method, layer, called, *inputs, **options):
    called.append(id(layer))
    return method(*inputs, **options)


@pytest.mark.parametrize("name", MODELS)
def test_the_encoder_runs_through_each_of_them(name, monkeypatch):
    flow, (x, context) = spread_flow(name), inputs_for(name, 3)
    expected, methods, called = encode(flow, x, context), encoder_methods(flow), []
    for layer, method in methods:
        counted = partial(call_and_count, method_of(layer, method), layer, called)
        monkeypatch.setattr(layer, method, counted, raising=False)
    assert torch.equal(encode(flow, x, context), expected)
    assert len(methods) == len({id(layer) for layer, _ in methods}) > 0
    assert set(called) == {id(layer) for layer, _ in methods}


def test_of_a_glow_they_are_its_steps():
    glow = Flow(volume_preserving_glow((1, 4, 4), blocks=1, layers=2), DegenerateGaussian([16]))
    assert [(type(step), name) for step, name in encoder_methods(glow)] == [(GlowStep, "forward")] * 2


def test_of_normflows_they_are_its_layers_with_parameters_towards_the_latent():
    nf = pytest.importorskip("normflows")
    masked = nf.flows.MaskedAffineFlow(torch.tensor([1.0, 0.0]), nf.nets.MLP([2, 2]))
    linear = nf.flows.InvertibleAffine(2)
    layers = [nf.flows.Composite([masked, nf.flows.Permute(2)]), nf.flows.Reverse(linear), nf.transforms.Shift()]
    flow = nf.NormalizingFlow(DegenerateGaussian([2]), layers)
    assert encoder_methods(flow) == [(masked, "inverse"), (linear, "forward")]


def test_nets_are_those_of_the_layers_each_once():
    net = ResidualNet(1, 2, hidden_features=4)
    layers = [AffineCouplingTransform(mask, lambda *_: net) for mask in ([0, 1], [1, 0])]
    assert nets_of(Flow(CompositeTransform(layers), DegenerateGaussian([2]))) == [net]
    assert nets_of(nn.Linear(2, 2)) == []


@pytest.mark.parametrize("direction", [encode, decode])
def test_what_is_wrong_with_neither_dtype_nor_device_keeps_its_message(direction):
    class Broken(nn.Module):
        def forward(self, x, context=None):
            raise RuntimeError("broken")

    coupling = AffineCouplingTransform([0, 1], lambda *_: Broken())
    with pytest.raises(RuntimeError, match=r"^broken$"):
        direction(Flow(coupling, DegenerateGaussian([2])), torch.zeros(3, 2))
