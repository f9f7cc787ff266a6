"""to_volume_preserving: every layer that converts, whole flows, and what the copy keeps."""

from __future__ import annotations

import copy
from functools import partial
from importlib import import_module
from pathlib import Path

import pytest
import torch
from nflows import transforms as nflows
from nflows.flows import Flow, SimpleRealNVP
from nflows.nn.nets import ConvResidualNet, ResidualNet
from torch import nn

import nflows_spread.transforms as ours
from nflows_spread import (
    DegenerateGaussian,
    base_of,
    encode,
    initialize,
    to_volume_preserving,
    volume_error,
)
from nflows_spread.conversion.nflows import RULES
from nflows_spread.models import volume_preserving_glow
from support import randomize
from transform_contract import (
    CASES,
    DENSE,
    NOT_A_TRANSFORM,
    VOLUME_PRESERVING,
    assert_forward_inverse_are_consistent,
    glow_step,
    jacobian_logabsdet,
)

pytestmark = pytest.mark.usefixtures("float64")

NET = partial(ResidualNet, hidden_features=6, num_blocks=1)
CONTEXT_NET = partial(ResidualNet, hidden_features=6, num_blocks=1, context_features=2)
IMAGE_NET = partial(ConvResidualNet, hidden_channels=4, num_blocks=1)
FEATURES = 5
IMAGE = (4, 2, 4)


def multiscale():
    composite = nflows.MultiscaleCompositeTransform(2)
    squeezed = nflows.CompositeTransform([nflows.SqueezeTransform(), nflows.OneByOneConvolution(16)])
    hidden = composite.add_transform(squeezed, (16, 1, 2))
    composite.add_transform(nflows.ActNorm(hidden[0]), hidden)
    return composite


def initialized_actnorm(features=FEATURES):
    actnorm = nflows.ActNorm(features)
    actnorm.initialized.fill_(True)
    return actnorm


CONVERTIBLE = {
    "affine coupling": (lambda: nflows.AffineCouplingTransform([1, 0, 1, 0, 1], NET), (FEATURES,)),
    "affine coupling of one": (lambda: nflows.AffineCouplingTransform([0, 0, 1, 0, 0], NET), (FEATURES,)),
    "affine coupling, images": (lambda: nflows.AffineCouplingTransform([1, 0, 1, 0], IMAGE_NET), IMAGE),
    "exponential coupling": (lambda: ours.ExponentialAffineCouplingTransform([1, 0, 1, 0, 1], DENSE), (FEATURES,)),
    "exponential coupling, tanh": (
        lambda: ours.ExponentialAffineCouplingTransform([1, 0, 1, 0, 1], DENSE, log_scale=ours.TanhLogScale(3)),
        (FEATURES,),
    ),
    "additive coupling": (lambda: nflows.AdditiveCouplingTransform([1, 0, 1, 0, 1], NET), (FEATURES,)),
    "actnorm": (initialized_actnorm, (FEATURES,)),
    "actnorm, images": (lambda: initialized_actnorm(4), IMAGE),
    "LU": (lambda: nflows.LULinear(FEATURES, identity_init=False), (FEATURES,)),
    "LU with a cache": (lambda: nflows.LULinear(FEATURES, using_cache=True, eps=0.1).eval(), (FEATURES,)),
    "QR": (lambda: nflows.QRLinear(FEATURES, 3), (FEATURES,)),
    "SVD": (lambda: nflows.SVDLinear(FEATURES, 4, identity_init=False), (FEATURES,)),
    "1×1 convolution": (lambda: nflows.OneByOneConvolution(4, identity_init=False), IMAGE),
    "actnorm of ours": (lambda: ours.ExplicitActNorm(4), IMAGE),
    "1×1 convolution of ours": (lambda: ours.LUOneByOneConvolution(4, identity_init=False), IMAGE),
    "pointwise affine": (
        lambda: nflows.PointwiseAffineTransform(torch.randn(FEATURES), torch.rand(FEATURES) + 0.5),
        (FEATURES,),
    ),
    "pointwise affine, one scale": (lambda: nflows.PointwiseAffineTransform(0.3, 2.5), (FEATURES,)),
    "permutation": (lambda: nflows.RandomPermutation(FEATURES), (FEATURES,)),
    "reversal": (lambda: nflows.ReversePermutation(FEATURES), (FEATURES,)),
    "reflections": (lambda: nflows.HouseholderSequence(FEATURES, 2), (FEATURES,)),
    "identity": (nflows.IdentityTransform, (FEATURES,)),
    "squeeze": (nflows.SqueezeTransform, IMAGE),
    "inverse": (lambda: nflows.InverseTransform(nflows.LULinear(FEATURES, identity_init=False)), (FEATURES,)),
    "composite": (
        lambda: nflows.CompositeTransform(
            [
                nflows.AffineCouplingTransform([1, 0, 1, 0, 1], NET),
                nflows.CompositeTransform([nflows.RandomPermutation(FEATURES), initialized_actnorm()]),
            ]
        ),
        (FEATURES,),
    ),
    "multiscale composite": (multiscale, IMAGE),
    "step of a Glow": (lambda: glow_step(4, free=True), IMAGE),
    "traditional Glow": (
        lambda: volume_preserving_glow((1, 4, 4), blocks=2, layers=2, hidden_channels=5, volume_preserving=False),
        (1, 4, 4),
    ),
}
ORIGINALLY_VOLUME_PRESERVING = ["additive coupling", "permutation", "reversal", "reflections", "identity", "squeeze"]
UNIFORM = ["actnorm", "actnorm, images", "LU", "LU with a cache", "QR", "SVD", "1×1 convolution", "pointwise affine"]
UNIFORM += ["actnorm of ours", "1×1 convolution of ours"]
"""Layers whose determinant is the same everywhere: the converted one is the original over its D-th root."""

every_layer = pytest.mark.parametrize("name", CONVERTIBLE)


def original(name, rows=4):
    build, shape = CONVERTIBLE[name]
    return randomize(build()), torch.randn(rows, *shape)


def tensors_of(module):
    return {tensor.untyped_storage().data_ptr() for tensor in (*module.parameters(), *module.buffers())} - {0}


@every_layer
def test_the_converted_layer_preserves_volume_whatever_its_parameters(name):
    layer, x = original(name)
    converted = randomize(to_volume_preserving(layer))
    outputs, logabsdet = converted(x)
    torch.testing.assert_close(logabsdet, torch.zeros(len(x)), rtol=0, atol=1e-12)
    assert jacobian_logabsdet(converted, x).abs().max() <= 1e-10
    if outputs.shape == x.shape:
        assert_forward_inverse_are_consistent(converted, x, tolerance=1e-9)
    else:
        torch.testing.assert_close(converted.inverse(outputs)[0], x, rtol=0, atol=1e-9)


@every_layer
def test_the_original_stays_and_shares_no_tensor(name):
    layer, x = original(name)
    before, state = layer(x)[0], copy.deepcopy(layer.state_dict())
    converted = to_volume_preserving(layer)
    assert not tensors_of(layer) & tensors_of(converted)
    randomize(converted)
    assert torch.equal(layer(x)[0], before)
    assert all(torch.equal(value, layer.state_dict()[key]) for key, value in state.items())


@every_layer
def test_a_frozen_layer_stays_frozen(name):
    frozen = to_volume_preserving(original(name)[0].requires_grad_(False))
    assert not any(parameter.requires_grad for parameter in frozen.parameters())


@pytest.mark.parametrize("name", ORIGINALLY_VOLUME_PRESERVING)
def test_what_preserved_volume_computes_the_same_map(name):
    layer, x = original(name)
    converted = to_volume_preserving(layer)
    assert type(converted) is type(layer)
    assert torch.equal(converted(x)[0], layer(x)[0])


@pytest.mark.parametrize("name", UNIFORM)
def test_a_constant_determinant_is_divided_out(name):
    layer, x = original(name)
    outputs, logabsdet = layer(x)
    expected = outputs * torch.exp(-logabsdet[0] / x[0].numel())
    torch.testing.assert_close(to_volume_preserving(layer)(x)[0], expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", UNIFORM)
def test_a_linear_layer_that_preserved_volume_computes_the_same_map(name):
    """Converting twice is converting once, and converted parameters put back into the original class change nothing."""
    layer, x = original(name)
    once = to_volume_preserving(layer)
    assert torch.equal(to_volume_preserving(once)(x)[0], once(x)[0])
    if name != "pointwise affine":
        with torch.no_grad():
            {
                "actnorm": lambda: layer.log_scale.sub_(layer.log_scale.mean()),
                "LU": lambda: layer.unconstrained_upper_diag.fill_((torch.tensor(1.0 - layer.eps).exp() - 1).log()),
                "QR": lambda: layer.log_upper_diag.sub_(layer.log_upper_diag.mean()),
                "SVD": lambda: layer.unconstrained_diagonal.fill_((torch.tensor(1.0 - layer.eps).exp() - 1).log()),
                "1×1": lambda: layer.unconstrained_upper_diag.fill_((torch.tensor(1.0 - layer.eps).exp() - 1).log()),
            }[name.split()[0].rstrip(",")]()
        assert layer(x)[1].abs().max() < 1e-12
        torch.testing.assert_close(to_volume_preserving(layer)(x)[0], layer(x)[0], rtol=0, atol=1e-12)


class FixedScales(nn.Module):
    """A coupling net whose log-scales, through nflows' map, are the given ones, which sum to 0."""

    def __init__(self, log_scale):
        super().__init__()
        self.raw = nn.Parameter(torch.logit(log_scale.exp() - 1e-3) - 2.0)
        self.shift = nn.Parameter(torch.randn(len(log_scale)))

    def forward(self, inputs, context):
        return torch.cat([self.shift, self.raw]).expand(len(inputs), -1)


def test_an_affine_coupling_that_preserved_volume_computes_the_same_map():
    log_scale = torch.full((3,), 0.0005)  # nflows' scales reach 1.001 at most
    log_scale[0] = -0.001
    layer = nflows.AffineCouplingTransform([1, 0, 1, 0, 1], lambda *_: FixedScales(log_scale))
    x = torch.randn(6, FEATURES)
    assert layer(x)[1].abs().max() < 1e-12
    torch.testing.assert_close(to_volume_preserving(layer)(x)[0], layer(x)[0], rtol=0, atol=1e-12)


def test_a_coupling_keeps_its_net_and_centres_its_scales():
    layer, x = original("affine coupling")
    converted = to_volume_preserving(layer)
    assert type(converted.transform_net) is ResidualNet
    for mine, theirs in zip(converted.transform_net.parameters(), layer.transform_net.parameters()):
        assert torch.equal(mine, theirs)
    conditioning, transformed = x[:, [1, 3]], x[:, [0, 2, 4]]
    shift, raw = layer.transform_net(conditioning).chunk(2, dim=1)
    s = torch.log(torch.sigmoid(raw + 2) + 1e-3)
    expected = transformed * torch.exp(s - s.mean(1, keepdim=True)) + shift
    torch.testing.assert_close(converted(x)[0][:, [0, 2, 4]], expected, rtol=0, atol=1e-12)


def test_a_conditional_coupling_keeps_its_context():
    layer = randomize(nflows.AffineCouplingTransform([1, 0, 1, 0, 1], CONTEXT_NET))
    converted, x, context = to_volume_preserving(layer), torch.randn(3, FEATURES), torch.randn(3, 2)
    assert jacobian_logabsdet(converted, x, context).abs().max() <= 1e-10
    assert not torch.allclose(converted(x, context)[0], converted(x, context + 1.0)[0])


def test_what_two_layers_share_the_converted_layers_share_too():
    net, layer = NET(2, 6), nflows.LULinear(FEATURES)
    couplings = [nflows.AffineCouplingTransform([1, 0, 1, 0, 1], lambda *_: net) for _ in range(2)]
    parts = to_volume_preserving(nflows.CompositeTransform([*couplings, layer, layer]))._transforms
    assert parts[0].transform_net is parts[1].transform_net
    assert parts[0].transform_net is not net
    assert parts[2] is parts[3]


def test_frozen_parameters_dtype_and_mode_are_kept():
    layer = nflows.CompositeTransform([nflows.LULinear(3), nflows.AffineCouplingTransform([0, 1, 1], NET)]).float()
    layer._transforms[0].requires_grad_(False)
    layer._transforms[1].eval()
    converted = to_volume_preserving(layer)
    assert not any(p.requires_grad for p in converted._transforms[0].parameters())
    assert all(p.requires_grad and p.dtype == torch.float32 for p in converted._transforms[1].parameters())
    assert [part.training for part in converted._transforms] == [True, False]
    assert converted(torch.randn(4, 3, dtype=torch.float32))[0].dtype == torch.float32


@pytest.mark.parametrize("name", [name for name in CASES if name in VOLUME_PRESERVING])
def test_our_own_transforms_pass(name):
    case = CASES[name]
    layer = randomize(case.build())
    x = torch.randn(3, *case.shape)
    context = None if case.context is None else torch.randn(3, case.context)
    assert torch.equal(to_volume_preserving(layer)(x, context)[0], layer(x, context)[0])


def test_the_rules_know_every_public_transform():
    known = RULES.kept | RULES.converted.keys() | RULES.containers.keys() | {kind for kind, _ in RULES.refused}
    public = {getattr(ours, name) for name in set(ours.__all__) - NOT_A_TRANSFORM}
    assert all(any(base in known for base in kind.__mro__) for kind in public)


def test_a_whole_flow_is_converted_and_its_base_and_embedding_copied():
    embedding = nn.Linear(3, 2)
    layers = [nflows.AffineCouplingTransform(mask, CONTEXT_NET) for mask in ([1, 0, 1], [0, 1, 0])]
    flow = randomize(Flow(nflows.CompositeTransform(layers), DegenerateGaussian([3]), embedding))
    converted = to_volume_preserving(flow)
    x, context = torch.randn(4, 3), torch.randn(4, 3)
    assert volume_error(converted, x, context=context) < 1e-10
    assert not tensors_of(flow) & tensors_of(converted)
    assert torch.equal(base_of(converted).covariance, base_of(flow).covariance)


def test_simple_real_nvp_is_converted():
    flow = randomize(SimpleRealNVP(FEATURES, 8, num_layers=4, num_blocks_per_layer=1, batch_norm_within_layers=True))
    converted, x = to_volume_preserving(flow.eval()), torch.randn(10, FEATURES)
    assert type(converted) is SimpleRealNVP
    assert volume_error(flow, x) > 0.1
    assert volume_error(converted, x) < 1e-10


def test_initialize_sets_the_converted_actnorms():
    flow = Flow(nflows.CompositeTransform([nflows.ActNorm(3), nflows.ActNorm(3)]), DegenerateGaussian([3]))
    converted, x = to_volume_preserving(flow), 4.0 + torch.tensor([1.0, 3.0, 10.0]) * torch.randn(50, 3)
    assert torch.equal(encode(converted, x), x)  # training mode, and nothing happens
    assert initialize(converted, x) == 2
    torch.testing.assert_close(encode(converted, x).mean(0), torch.zeros(3))


@pytest.mark.parametrize("host", ["nflows", "normflows"])
def test_the_table_of_the_documentation_has_every_layer_of_a_host_that_passes_or_converts(host):
    pytest.importorskip(host)
    rules = import_module(f"nflows_spread.conversion.{host}").RULES
    layers = rules.containers.keys() | rules.kept | rules.converted.keys()
    names = {kind.__name__ for kind in layers if kind.__module__.startswith(f"{host}.") and kind.__name__[0] != "_"}
    text = (Path(__file__).parents[2] / "docs" / "conversion.md").read_text(encoding="utf-8")
    table = text[text.index("## Which layers convert") :]
    missing = {name for name in names if name not in table}
    assert missing <= {"NormalizingFlow", "ConditionalNormalizingFlow", "MultiscaleFlow"}  # "all flows"
