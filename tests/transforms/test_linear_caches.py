"""Linear layers with ``using_cache``: in evaluation mode too they are what their parameters say."""

from __future__ import annotations

import copy

import pytest
import torch
from nflows import transforms as nflows
from nflows.flows import Flow

import nflows_spread.transforms as ours
from nflows_spread import DegenerateGaussian, decode, encode, to_volume_preserving
from nflows_spread.hosts import encode_with_logabsdet
from support import randomize

FEATURES = 4
OURS = {
    "LU of ours": lambda: ours.VolumePreservingLULinear(FEATURES, using_cache=True),
    "QR of ours": lambda: ours.VolumePreservingQRLinear(FEATURES, 3, using_cache=True),
    "SVD of ours": lambda: ours.VolumePreservingSVDLinear(FEATURES, 2, using_cache=True),
    "converted LU": lambda: to_volume_preserving(nflows.LULinear(FEATURES, using_cache=True)),
}
THEIRS = {
    "LU of nflows": lambda: nflows.LULinear(FEATURES, using_cache=True),
    "QR of nflows": lambda: nflows.QRLinear(FEATURES, 3, using_cache=True),
    "SVD of nflows": lambda: nflows.SVDLinear(FEATURES, 2, using_cache=True),
}


def load_others(layer):
    state = layer.state_dict()
    names = [name for name, _ in layer.named_parameters()]
    layer.load_state_dict(state | {name: state[name] + 0.3 * torch.randn_like(state[name]) for name in names})


def step(layer):
    with torch.no_grad():
        randomize(layer)


def assign(layer):
    for parameter in layer.parameters():
        parameter.data = parameter.data + 0.2


CHANGES = {"load_state_dict": load_others, "step": step, "data": assign}
every_change = pytest.mark.parametrize("change", CHANGES)
gradients = pytest.mark.parametrize("mode", [torch.no_grad, torch.enable_grad, torch.inference_mode])


def assert_is_what_its_parameters_say(results, layer, x):
    """Both directions, and the log-determinants, are those of the layer without a cache."""
    with torch.no_grad():
        expected = [*layer.forward_no_cache(x), *layer.inverse_no_cache(x)]
    for result, value in zip(results, expected):
        torch.testing.assert_close(result, value, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", OURS)
@every_change
@gradients
def test_our_cache_is_that_of_the_parameters(name, change, mode, float64):
    layer, x = randomize(OURS[name]()).eval(), torch.randn(5, FEATURES)
    with mode():
        layer(x), layer.inverse(x)
    CHANGES[change](layer)
    with mode():
        results = [*layer(x), *layer.inverse(x)]
    assert_is_what_its_parameters_say(results, layer, x)


@pytest.mark.parametrize("name", OURS)
def test_our_cache_has_the_dtype_of_its_parameters_and_not_the_default(name, float64):
    layer, x = randomize(OURS[name]()).eval().float(), torch.randn(5, FEATURES, dtype=torch.float32)
    with torch.no_grad():
        results = [*layer(x), *layer.inverse(x)]
        assert all(result.dtype == torch.float32 for result in results)
        for result, exact in zip(results, [*layer.double()(x.double()), *layer.inverse(x.double())]):
            torch.testing.assert_close(result.double(), exact, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", OURS)
def test_our_cache_follows_the_dtype(name):
    layer, x = randomize(OURS[name]()).eval(), torch.randn(5, FEATURES)
    with torch.no_grad():
        layer(x), layer.inverse(x)
        layer.double()
        assert_is_what_its_parameters_say([*layer(x.double()), *layer.inverse(x.double())], layer, x.double())


@pytest.mark.parametrize("name", OURS)
def test_our_cache_is_asked_once_for_parameters_that_stay(name, monkeypatch):
    layer, x, asked = OURS[name]().eval(), torch.randn(5, FEATURES), []
    weight = layer.weight
    monkeypatch.setattr(layer, "weight", lambda: asked.append(1) or weight())
    with torch.no_grad():
        for _ in range(3):
            layer(x)
    assert len(asked) == 1


@pytest.mark.parametrize("name", OURS)
def test_a_layer_with_a_cache_learns_in_evaluation_mode_and_is_copied(name):
    layer, x = randomize(OURS[name]()).eval(), torch.randn(5, FEATURES)
    with torch.no_grad():
        layer(x)
    for _ in range(2):
        layer(x)[0].square().sum().backward()
    assert all(parameter.grad is not None for parameter in layer.parameters() if parameter.numel() > 0)
    assert torch.equal(copy.deepcopy(layer)(x)[0], layer(x)[0])


def flows_around(layer):
    nf = pytest.importorskip("normflows")
    from nflows_spread.transforms.normflows import TransformFlow

    base = DegenerateGaussian([FEATURES])
    return [
        Flow(nflows.CompositeTransform([layer]), base),
        nf.NormalizingFlow(base, [nf.flows.Composite([TransformFlow(layer)])]),
    ]


@pytest.mark.parametrize("name", THEIRS)
@every_change
@gradients
def test_read_outs_of_a_flow_find_no_old_cache_of_its_host(name, change, mode, float64):
    layer, x = randomize(THEIRS[name]()), torch.randn(5, FEATURES)
    for flow in flows_around(layer):
        flow.eval()
        with mode():
            encode(flow, x), decode(flow, x)
        CHANGES[change](layer)
        with mode():
            results = [*encode_with_logabsdet(flow, x), decode(flow, x)]
        assert_is_what_its_parameters_say(results, layer, x)


def test_read_outs_find_no_old_cache_of_the_copy_that_normflows_has_of_the_layer(float64):
    nf = pytest.importorskip("normflows")
    layer = nf.flows.LULinearPermute(FEATURES)
    layer.linear.use_cache(True)
    flow, x = nf.NormalizingFlow(DegenerateGaussian([FEATURES]), [layer]).eval(), torch.randn(5, FEATURES)
    with torch.no_grad():
        encode(flow, x)
        step(layer.linear)
        expected = layer.linear.forward_no_cache(layer.permutation(x)[0])[0]  # its inverse calls torch.trtrs, now gone
        torch.testing.assert_close(encode(flow, x), expected, rtol=0, atol=1e-10)
