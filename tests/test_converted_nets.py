"""to_volume_preserving: nets whose weights are computed from other parameters before each pass."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from nflows import transforms as nflows
from nflows.distributions import StandardNormal
from nflows.flows import Flow
from nflows.nn.nets import ResidualNet
from torch import nn
from torch.nn.utils import parametrizations, prune

from nflows_spread import encode, to_volume_preserving, volume_error
from nflows_spread.transforms import ExponentialAffineCouplingTransform
from support import randomize

pytestmark = [
    pytest.mark.usefixtures("float64"),
    pytest.mark.filterwarnings("ignore:.*(weight_norm|spectral_norm).*deprecated"),
]

NORMALIZATIONS = {
    "weight_norm": nn.utils.weight_norm,
    "spectral_norm": nn.utils.spectral_norm,
    "pruning": partial(prune.random_unstructured, name="weight", amount=2),
    "parametrized weight_norm": parametrizations.weight_norm,
    "parametrized spectral_norm": parametrizations.spectral_norm,
}


def flow_with(normalize):
    def net(inputs, outputs):
        made = ResidualNet(inputs, outputs, hidden_features=5, num_blocks=1)
        for layer in (made.initial_layer, made.final_layer):
            normalize(layer)
        return made

    kinds = (nflows.AffineCouplingTransform, nflows.AdditiveCouplingTransform, ExponentialAffineCouplingTransform)
    layers = [kind(mask, net) for kind, mask in zip(kinds, ([1, 0, 1], [0, 1, 0], [0, 1, 1]))]
    return Flow(nflows.CompositeTransform(layers), StandardNormal([3]))


@pytest.mark.parametrize("name", NORMALIZATIONS)
@pytest.mark.parametrize("used", [False, True])
def test_normalized_nets_are_kept_and_learn(name, used):
    flow, x = randomize(flow_with(NORMALIZATIONS[name])).eval(), torch.randn(6, 3)
    if used:
        flow.log_prob(x).sum().backward()
    converted = to_volume_preserving(flow)
    assert volume_error(converted, x) < 1e-10
    for mine, theirs in zip(converted._transform._transforms, flow._transform._transforms):
        conditions = torch.randn(6, len(mine.identity_features))
        torch.testing.assert_close(mine.transform_net(conditions), theirs.transform_net(conditions), rtol=0, atol=1e-12)
    before = encode(flow, x).detach()
    encode(converted, x).square().sum().backward()
    assert all(parameter.grad is not None for parameter in converted.parameters())
    changed = encode(converted, x).detach()
    with torch.no_grad():
        for parameter in converted.parameters():
            parameter.add_(0.1)
    assert not torch.allclose(encode(converted, x), changed)
    assert torch.equal(encode(flow, x), before)


class Remembering(ResidualNet):
    """Keeps what it said, as nets do that are looked into."""

    def forward(self, inputs, context=None):
        said = super().forward(inputs, context)
        self.seen = {"last": said, "all": [*getattr(self, "seen", {"all": []})["all"], (said,)]}
        self.seen["itself"] = self.seen
        return said


def test_a_net_that_keeps_results_is_converted_with_their_values():
    layer = nflows.AffineCouplingTransform([0, 1, 1], partial(Remembering, hidden_features=5, num_blocks=1))
    flow, x = Flow(nflows.CompositeTransform([layer]), StandardNormal([3])), torch.randn(6, 3)
    for _ in range(2):
        flow.log_prob(x)
    converted = to_volume_preserving(flow)
    kept = converted._transform._transforms[0].transform_net.seen
    assert torch.equal(kept["all"][1][0], layer.transform_net.seen["last"])
    assert volume_error(converted, x) < 1e-10


def test_what_is_converted_in_inference_mode_learns():
    with torch.inference_mode():
        converted = to_volume_preserving(randomize(flow_with(lambda layer: layer)))
        assert volume_error(converted, torch.randn(6, 3)) < 1e-10
    encode(converted, torch.randn(6, 3)).square().sum().backward()
    assert all(parameter.grad is not None for parameter in converted.parameters())
