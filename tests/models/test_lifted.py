"""An autoencoder as two additive couplings of zero-padded data: exact inverse, volume, start at principal axes."""

import pytest
import torch

from nflows_spread.hosts import decode, encode
from nflows_spread.models.lifted import LinearAndNet, lifted_couplings, lifted_flow
from nflows_spread.transforms.lifted import LiftedCouplings
from support import randomize, refused
from transform_contract import jacobian_logabsdet

pytestmark = pytest.mark.usefixtures("float64")


def axes(features=4, rank=2):
    return torch.linalg.qr(torch.randn(features, rank)).Q


def test_every_row_comes_back_whatever_the_nets():
    flow = randomize(lifted_flow(axes()))
    x = torch.randn(6, 4)
    z = encode(flow, x)
    assert z.shape == (6, 6)
    torch.testing.assert_close(decode(flow, z), x, rtol=0, atol=1e-12)


def test_without_nets_and_at_the_start_it_is_the_projection_on_the_axes():
    a, x = axes(), torch.randn(6, 4)
    for flow in (lifted_flow(a), lifted_flow(a, encoder_features=(), decoder_features=(5,), scale=torch.ones(2))):
        rest, code = encode(flow, x).split([4, 2], dim=1)
        torch.testing.assert_close(code, x @ a)
        torch.testing.assert_close(rest, x - x @ a @ a.mT)


def test_in_all_its_features_the_couplings_preserve_volume():
    couplings = randomize(lifted_couplings(axes(), encoder_features=(7,), decoder_features=(7,)))

    def padded(inputs, context=None):
        x, pad = inputs.split([4, 2], dim=1)
        code = pad + couplings.encoder(x)
        return torch.cat([x - couplings.decoder(code), code], dim=1), x.new_zeros(len(x))

    x = torch.randn(3, 4)
    torch.testing.assert_close(padded(torch.cat([x, torch.zeros(3, 2)], dim=1))[0], couplings(x)[0])
    assert jacobian_logabsdet(padded, torch.randn(3, 6)).abs().max() <= 1e-10


@pytest.mark.parametrize("hidden", [(), (5,), (6, 5, 4)])
@pytest.mark.parametrize("scaled", [False, True])
def test_tangents_are_those_of_autograd(hidden, scaled):
    net = randomize(LinearAndNet(axes().mT, hidden, scale=torch.tensor([0.5, 3.0]) if scaled else None))
    code = torch.randn(3, 2)
    points, tangents = net.with_tangents(code)
    torch.testing.assert_close(points, net(code))
    for row, found in zip(code, tangents):
        expected = torch.autograd.functional.jacobian(lambda c: net(c.unsqueeze(0))[0], row)
        torch.testing.assert_close(found.mT, expected)


@pytest.mark.parametrize(("way", "width"), [("forward", 4), ("inverse", 6)])
def test_inputs_of_another_width_are_refused(way, width):
    couplings = lifted_couplings(axes())
    with refused(ValueError, f"inputs must have shape (n, {width}), got (3, 5)"):
        getattr(couplings, way)(torch.randn(3, 5))


def test_axes_that_are_no_matrix_are_refused():
    with refused(ValueError, "axes must be a matrix (D, K), got shape (3,)"):
        lifted_flow(torch.ones(3))
    with refused(ValueError, "rank must be at least 1, got 0"):
        LiftedCouplings(torch.nn.Identity(), torch.nn.Identity(), features=3, rank=0)


@pytest.mark.parametrize("scale", [None, torch.tensor([2.0, 0.5])])
@pytest.mark.parametrize("hidden", [(), (5, 7)])
def test_outputs_are_linear_in_the_features(hidden, scale):
    decoder = randomize(LinearAndNet(torch.randn(2, 4), hidden, scale=scale))
    x = torch.randn(6, 2)
    weight, bias = decoder.last_layer
    torch.testing.assert_close(decoder.features(x) @ weight + bias, decoder(x))


def test_a_last_layer_that_is_set_is_the_last_layer():
    decoder, x = LinearAndNet(torch.randn(2, 4), (5,)), torch.randn(6, 2)
    weight, bias = torch.randn(7, 4), torch.randn(4)
    decoder.set_last_layer(weight, bias)
    torch.testing.assert_close(decoder(x), decoder.features(x) @ weight + bias)
    with refused(ValueError, "the map must have a net to have a last layer, got none"):
        LinearAndNet(torch.randn(2, 4), ()).set_last_layer(weight, bias)
