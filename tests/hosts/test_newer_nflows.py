"""Couplings of newer nflows, whose scale has an activation of its own, a lambda at the start."""

from __future__ import annotations

import pickle
from functools import partial

import pytest
import torch
from nflows.flows import SimpleRealNVP
from nflows.nn.nets import ResidualNet
from nflows.transforms import AffineCouplingTransform, CompositeTransform
from nflows.transforms.coupling import CouplingTransform
from torch.nn import functional as F

from nflows_spread import to_volume_preserving, volume_error
from nflows_spread.models import coupling_flow
from nflows_spread.transforms import ExponentialAffineCouplingTransform, MeanCentredAffineCouplingTransform
from support import glow_flow, randomize
from transform_contract import assert_forward_inverse_are_consistent

pytestmark = pytest.mark.usefixtures("float64", "newer_nflows")

NET = partial(ResidualNet, hidden_features=6, num_blocks=1)


def half_normal(raw_scale):
    return torch.exp(-raw_scale.square())


ACTIVATIONS = {
    "the default": None,
    "the general one": "GENERAL_SCALE_ACTIVATION",
    "a function": half_normal,
    "one constant scale": torch.ones_like,
    "a lambda": lambda raw_scale: raw_scale.square() + 0.1,
}


@pytest.fixture
def newer_nflows(monkeypatch):
    """The constructor, the scale and the class attributes of the coupling at the tip of nflows' repository."""
    default, general = lambda x: torch.sigmoid(x + 2) + 1e-3, lambda x: (F.softplus(x) + 1e-3).clamp(0, 3)

    def construct(self, mask, transform_net_create_fn, unconditional_transform=None, scale_activation=default):
        self.scale_activation = scale_activation
        CouplingTransform.__init__(self, mask, transform_net_create_fn, unconditional_transform)

    def scale_and_shift(self, parameters):
        shift, raw_scale = parameters.split(self.num_transform_features, dim=1)
        return self.scale_activation(raw_scale), shift

    monkeypatch.setattr(AffineCouplingTransform, "__init__", construct)
    monkeypatch.setattr(AffineCouplingTransform, "_scale_and_shift", scale_and_shift)
    monkeypatch.setattr(AffineCouplingTransform, "DEFAULT_SCALE_ACTIVATION", default, raising=False)
    monkeypatch.setattr(AffineCouplingTransform, "GENERAL_SCALE_ACTIVATION", general, raising=False)


def coupling(name):
    activation = ACTIVATIONS[name]
    if isinstance(activation, str):
        activation = getattr(AffineCouplingTransform, activation)
    given = {} if activation is None else {"scale_activation": activation}
    return randomize(AffineCouplingTransform([1, 0, 1, 0, 1], NET, **given))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_converted_coupling_has_the_activation_centred(name):
    layer, x = coupling(name), torch.randn(6, 5)
    converted = to_volume_preserving(layer)
    shift, raw_scale = layer.transform_net(x[:, [1, 3]]).chunk(2, dim=1)
    scale = layer.scale_activation(raw_scale)
    expected = x[:, ::2] * scale / scale.log().mean(1, keepdim=True).exp() + shift
    torch.testing.assert_close(converted(x)[0][:, ::2], expected, rtol=0, atol=1e-12)
    assert_forward_inverse_are_consistent(converted, x, tolerance=1e-9)


def test_an_activation_that_a_subclass_keeps_is_carried_over():
    mine = type("Mine", (AffineCouplingTransform,), {"MINE": staticmethod(half_normal)})
    layer, x = randomize(mine([1, 0, 1, 0, 1], NET, scale_activation=half_normal)), torch.randn(6, 5)
    plain = coupling("a function")
    plain.load_state_dict(layer.state_dict())
    assert torch.equal(to_volume_preserving(layer)(x)[0], to_volume_preserving(plain)(x)[0])


def test_a_coupling_of_constant_scale_computes_the_same_map():
    layer, x = coupling("one constant scale"), torch.randn(6, 5)
    torch.testing.assert_close(to_volume_preserving(layer)(x)[0], layer(x)[0], rtol=0, atol=1e-14)


@pytest.mark.parametrize("name", [name for name in ACTIVATIONS if name != "a lambda"])
def test_a_converted_coupling_is_pickled(name):
    converted, x = to_volume_preserving(coupling(name)), torch.randn(6, 5)
    assert torch.equal(pickle.loads(pickle.dumps(converted))(x)[0], converted(x)[0])


OURS = {
    "exponential coupling": lambda: ExponentialAffineCouplingTransform([1, 0, 1], NET),
    "centred coupling": lambda: MeanCentredAffineCouplingTransform([1, 0, 1], NET),
    "coupling flow": lambda: coupling_flow(3, layers=2)._transform,
    "Glow": lambda: glow_flow((1, 4, 4))._transform,
    "converted additive flow": lambda: (
        to_volume_preserving(
            SimpleRealNVP(3, 8, num_layers=2, num_blocks_per_layer=1, use_volume_preserving=True)
        )._transform
    ),
    "converted composite": lambda: to_volume_preserving(CompositeTransform([coupling("the default")])),
}


@pytest.mark.parametrize("name", OURS)
def test_our_own_couplings_are_pickled_whatever_nflows_keeps_in_its(name):
    layer = OURS[name]()
    x = torch.randn(4, *{"Glow": (1, 4, 4), "converted composite": (5,)}.get(name, (3,)))
    assert torch.equal(pickle.loads(pickle.dumps(layer))(x)[0], layer(x)[0])


def test_a_whole_flow_is_converted():
    flow = randomize(SimpleRealNVP(3, 8, num_layers=2, num_blocks_per_layer=1))
    assert volume_error(to_volume_preserving(flow), torch.randn(5, 3)) < 1e-10
