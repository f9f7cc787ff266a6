"""to_volume_preserving for normflows' layers: every one that converts, and what it keeps."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from host_models import FEATURES, mlp
from nflows_spread import to_volume_preserving
from support import randomize
from transform_contract import jacobian_logabsdet

nf = pytest.importorskip("normflows", reason="needs the extra normflows")

pytestmark = pytest.mark.usefixtures("float64")

SPLITS = ["channel", "channel_inv", "checkerboard", "checkerboard_inv"]
PIXELS = (4, 2, 4)


def actnorm(shape):
    layer = nf.flows.ActNorm(shape)
    layer.data_dep_init_done.fill_(1.0)
    return layer


def masked(mask, with_shift=True, with_scale=True):
    net = [mlp(FEATURES, FEATURES) if wanted else None for wanted in (with_shift, with_scale)]
    return nf.flows.MaskedAffineFlow(torch.tensor(mask), *net)


def image_coupling(scale_map="exp", split_mode="channel", scale=True):
    inputs = 2 if "channel" in split_mode else 4
    net = nf.nets.ConvNet2d([inputs, 4, (2 if scale else 1) * inputs], [3, 1], init_zeros=False)
    return nf.flows.AffineCouplingBlock(net, scale, scale_map, split_mode)


CONVERTIBLE = {
    "masked affine": (lambda: masked([1.0, 0.0, 0.0]), (FEATURES,)),
    "masked affine of one": (lambda: masked([1.0, 0.0, 1.0]), (FEATURES,)),
    "masked affine without shift": (lambda: masked([1.0, 0.0, 0.0], with_shift=False), (FEATURES,)),
    "additive masked": (lambda: masked([1.0, 0.0, 0.0], with_scale=False), (FEATURES,)),
    "coupling block": (lambda: nf.flows.AffineCouplingBlock(mlp(2, 4)), (4,)),
    "coupling block, sigmoid": (lambda: nf.flows.AffineCouplingBlock(mlp(2, 4), scale_map="sigmoid"), (4,)),
    "coupling block, sigmoid_inv": (lambda: nf.flows.AffineCouplingBlock(mlp(2, 4), scale_map="sigmoid_inv"), (4,)),
    "additive block": (lambda: nf.flows.AffineCouplingBlock(mlp(2, 2), scale=False), (4,)),
    **{f"image coupling, {mode}": (lambda mode=mode: image_coupling(split_mode=mode), PIXELS) for mode in SPLITS},
    "glow block": (lambda: nf.flows.GlowBlock(4, 5), PIXELS),
    "glow block without LU": (lambda: nf.flows.GlowBlock(4, 5, use_lu=False, scale_map="exp"), PIXELS),
    "additive glow block": (lambda: nf.flows.GlowBlock(4, 5, scale=False), PIXELS),
    "actnorm": (lambda: actnorm(FEATURES), (FEATURES,)),
    "actnorm, images": (lambda: actnorm((4, 1, 1)), PIXELS),
    "actnorm of each pixel": (lambda: actnorm(PIXELS), PIXELS),
    "affine constant": (lambda: nf.flows.AffineConstFlow(FEATURES), (FEATURES,)),
    "affine constant, images": (lambda: nf.flows.AffineConstFlow((1, 2, 1)), PIXELS),
    "constant shift": (lambda: nf.flows.AffineConstFlow(FEATURES, scale=False), (FEATURES,)),
    "1×1 convolution": (lambda: nf.flows.Invertible1x1Conv(4), PIXELS),
    "1×1 convolution, LU": (lambda: nf.flows.Invertible1x1Conv(4, use_lu=True), PIXELS),
    "linear": (lambda: nf.flows.InvertibleAffine(FEATURES, use_lu=False), (FEATURES,)),
    "linear, LU": (lambda: nf.flows.InvertibleAffine(FEATURES), (FEATURES,)),
    "LU and permutation": (lambda: nf.flows.LULinearPermute(FEATURES, identity_init=False), (FEATURES,)),
    "permutation": (lambda: nf.flows.Permute(FEATURES), (FEATURES,)),
    "swap": (lambda: nf.flows.Permute(FEATURES, mode="swap"), (FEATURES,)),
    "squeeze": (nf.flows.Squeeze, PIXELS),
    "shift": (nf.transforms.Shift, (FEATURES,)),
    "reverse": (lambda: nf.flows.Reverse(nf.flows.InvertibleAffine(FEATURES)), (FEATURES,)),
    "composite": (
        lambda: nf.flows.Composite([masked([1.0, 0.0, 0.0]), nf.flows.Permute(FEATURES), actnorm(FEATURES)]),
        (FEATURES,),
    ),
}
ORIGINALLY_VOLUME_PRESERVING = [
    "additive masked",
    "additive block",
    "constant shift",
    "permutation",
    "swap",
    "squeeze",
    "shift",
]
CENTRED_BY_HAND = {
    "affine constant": "s",
    "affine constant, images": "s",
    "actnorm": "s",
    "actnorm, images": "s",
    "actnorm of each pixel": "s",
    "1×1 convolution, LU": "log_S",
    "linear, LU": "log_S",
}
every_layer = pytest.mark.parametrize("name", CONVERTIBLE)


def original(name, rows=3):
    build, shape = CONVERTIBLE[name]
    return randomize(build()), torch.randn(rows, *shape)


def tensors_of(module):
    return {tensor.untyped_storage().data_ptr() for tensor in (*module.parameters(), *module.buffers())} - {0}


def upwards(layer):
    """Data → latent, on a copy of the data, which normflows' Shift would change."""
    return lambda x, _=None: layer.inverse(x.clone())


@every_layer
def test_the_converted_layer_preserves_volume_in_both_directions(name):
    layer, x = original(name)
    converted = randomize(to_volume_preserving(layer))
    z, logabsdet = upwards(converted)(x)
    assert torch.as_tensor(logabsdet).abs().max() <= 1e-12
    assert jacobian_logabsdet(upwards(converted), x).abs().max() <= 1e-10
    back, logabsdet = converted(z.clone())
    assert torch.as_tensor(logabsdet).abs().max() <= 1e-12
    torch.testing.assert_close(back, x, rtol=0, atol=1e-9)


@every_layer
def test_autocast_does_not_round_what_the_converted_layer_passes_on(name):
    layer, x = original(name)
    converted, x = randomize(to_volume_preserving(layer)).float(), x.float()
    with torch.autocast("cpu", torch.bfloat16):
        z, _ = upwards(converted)(x)
        back, _ = converted(z.clone())
    assert z.dtype == back.dtype == torch.float32
    torch.testing.assert_close(back, x, rtol=0, atol=1e-4)


@every_layer
def test_the_original_stays_and_shares_no_tensor(name):
    layer, x = original(name)
    before, state = upwards(layer)(x)[0], copy.deepcopy(layer.state_dict())
    converted = to_volume_preserving(layer)
    assert not tensors_of(layer) & tensors_of(converted)
    randomize(converted)
    assert torch.equal(upwards(layer)(x)[0], before)
    assert all(torch.equal(value, layer.state_dict()[key]) for key, value in state.items())


@every_layer
def test_a_frozen_layer_stays_frozen(name):
    frozen = to_volume_preserving(original(name)[0].requires_grad_(False))
    assert not any(parameter.requires_grad for parameter in frozen.parameters())


@pytest.mark.parametrize("shape", [FEATURES, (4, 1, 1), PIXELS])
@pytest.mark.parametrize("frozen", ["s", "t"])
def test_an_actnorm_may_be_frozen_by_halves(shape, frozen):
    layer = actnorm(shape)
    getattr(layer, frozen).requires_grad_(False)
    converted = dict(to_volume_preserving(layer).named_parameters())
    trained = [name.rpartition(".")[2] for name, parameter in converted.items() if parameter.requires_grad]
    assert trained in ([["t"], ["shift"]] if frozen == "s" else [["s"], ["log_scale"]])


@pytest.mark.parametrize("name", ORIGINALLY_VOLUME_PRESERVING)
def test_what_preserved_volume_computes_the_same_map(name):
    layer, x = original(name)
    assert torch.equal(upwards(to_volume_preserving(layer))(x)[0], upwards(layer)(x)[0])


@pytest.mark.parametrize("name", CENTRED_BY_HAND)
def test_a_linear_layer_that_preserved_volume_computes_the_same_map(name):
    layer, x = original(name)
    with torch.no_grad():
        parameter = getattr(layer, CENTRED_BY_HAND[name])
        parameter.sub_(parameter.mean())
    torch.testing.assert_close(upwards(to_volume_preserving(layer))(x)[0], upwards(layer)(x)[0], rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    "name", ["1×1 convolution", "1×1 convolution, LU", "linear", "linear, LU", "LU and permutation"]
)
def test_a_constant_determinant_is_divided_out(name):
    layer, x = original(name)
    z, logabsdet = layer.inverse(x)
    expected = z * torch.exp(-logabsdet.reshape(-1)[0] / x[0].numel())
    torch.testing.assert_close(to_volume_preserving(layer).inverse(x)[0], expected, rtol=1e-9, atol=1e-9)


def test_converting_twice_is_converting_once():
    for name in CONVERTIBLE:
        layer, x = original(name)
        once = to_volume_preserving(layer)
        assert torch.equal(upwards(to_volume_preserving(once))(x)[0], upwards(once)(x)[0])


@pytest.mark.parametrize("scale_map", ["exp", "sigmoid", "sigmoid_inv"])
def test_a_coupling_keeps_its_net_and_centres_its_scales(scale_map):
    block = randomize(nf.flows.AffineCouplingBlock(mlp(2, 4), scale_map=scale_map))
    z = torch.randn(5, 4)
    x = to_volume_preserving(block)(z)[0]
    shift, raw = block.flows[1].param_map(z[:, :2]).reshape(5, 2, 2).unbind(2)
    s = {"exp": raw, "sigmoid": -torch.sigmoid(raw + 2).log(), "sigmoid_inv": torch.sigmoid(raw + 2).log()}[scale_map]
    expected = z[:, 2:] * torch.exp(s - s.mean(1, keepdim=True)) + shift
    torch.testing.assert_close(x[:, 2:], expected, rtol=0, atol=1e-12)
    assert torch.equal(x[:, :2], z[:, :2])


def test_a_masked_coupling_keeps_its_nets_and_centres_over_what_it_transforms():
    layer, z = randomize(masked([1.0, 0.0, 0.0])), torch.randn(5, FEATURES)
    x = to_volume_preserving(layer)(z)[0]
    fixed = z * layer.b
    s = layer.s(fixed)[:, 1:]
    expected = z[:, 1:] * torch.exp(s - s.mean(1, keepdim=True)) + layer.t(fixed)[:, 1:]
    torch.testing.assert_close(x[:, 1:], expected, rtol=0, atol=1e-12)


class Centred(nn.Module):
    """A net whose log-scales, in the given columns of its output, sum to 0."""

    def __init__(self, net, columns):
        super().__init__()
        self.net, self.columns = net, columns

    def forward(self, inputs):
        outputs = self.net(inputs).clone()
        outputs[:, self.columns] -= outputs[:, self.columns].mean(1, keepdim=True)
        return outputs


@pytest.mark.parametrize("kind", ["masked", "block"])
def test_an_affine_coupling_that_preserved_volume_computes_the_same_map(kind):
    if kind == "masked":
        layer, features = masked([1.0, 0.0, 0.0]), FEATURES
        layer.s = Centred(layer.s, slice(1, 3))
    else:
        layer, features = nf.flows.AffineCouplingBlock(Centred(mlp(2, 4), slice(1, 4, 2))), 4
    randomize(layer)
    z = torch.randn(5, features)
    x, logabsdet = layer(z)
    assert logabsdet.abs().max() < 1e-12
    torch.testing.assert_close(to_volume_preserving(layer)(z)[0], x, rtol=0, atol=1e-12)
    assert not torch.allclose(x, z)
