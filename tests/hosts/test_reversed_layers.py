"""Layers of normflows that run backwards inside a flow, alone and in one another."""

import normflows
import pytest
import torch
from normflows.flows import AffineConstFlow, Composite, Reverse

from nflows_spread import DegenerateGaussian, decode, encode, swap_base
from nflows_spread.hosts import encode_with_logabsdet


def layer(value):
    """x exp(value) + value, latent → data."""
    flow = AffineConstFlow((3,))
    with torch.no_grad():
        flow.s.fill_(value)
        flow.t.fill_(value)
    return flow


LAYERS = {
    "reversed": lambda: [layer(0.5), Reverse(layer(0.3))],
    "reversed twice": lambda: [Reverse(Reverse(layer(0.3)))],
    "several reversed": lambda: [Reverse(Composite([layer(0.5), layer(-0.2)])), layer(0.1)],
}


@pytest.mark.parametrize("layers", LAYERS.values(), ids=LAYERS)
def test_a_reversed_layer_runs_as_in_normflows(layers):
    own = normflows.NormalizingFlow(normflows.distributions.DiagGaussian(3), layers())
    flow = swap_base(own, DegenerateGaussian([3]))
    x = torch.randn(5, 3)
    z, logabsdet = encode_with_logabsdet(flow, x)
    expected, of_normflows = own.inverse_and_log_det(x)
    torch.testing.assert_close(z, expected)
    torch.testing.assert_close(logabsdet, of_normflows.expand(5))
    torch.testing.assert_close(decode(flow, encode(flow, x)), x)
