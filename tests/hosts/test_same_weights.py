"""The same weights in two hosts: the same loss and dimension."""

from __future__ import annotations

from functools import partial

import nflows.flows
import pytest
import torch
from nflows.nn.nets import ResidualNet
from nflows.transforms import (
    AffineCouplingTransform,
    CompositeTransform,
    LULinear,
    PiecewiseRationalQuadraticCouplingTransform,
    RandomPermutation,
)
from torch import nn

from host_models import FEATURES
from nflows_spread import (
    DegenerateGaussian,
    SpreadKLLoss,
    intrinsic_dimension,
)
from support import randomize
from swapped_flows import curve


def generator(device="cpu"):
    return torch.Generator(device).manual_seed(3)


class OneParameter(nn.Module):
    """A coupling net of nflows as a net of normflows' ``MaskedAffineFlow``, which is given the masked vector.

    nflows maps data to latents by y = σx + t, normflows latents to data by x = y e^s + t′, so that s = −log σ
    and t′ = −t / σ.
    """

    def __init__(self, coupling, parameter):
        super().__init__()
        self.coupling, self.parameter = [coupling], parameter

    def forward(self, masked):
        (coupling,) = self.coupling
        scale, shift = coupling._scale_and_shift(coupling.transform_net(masked[:, coupling.identity_features]))
        outputs = torch.zeros_like(masked)
        outputs[:, coupling.transform_features] = -scale.log() if self.parameter == "s" else -shift / scale
        return outputs


def real_nvp_pair():
    nf = pytest.importorskip("normflows")
    masks = ([1, 0, 1], [0, 1, 0], [0, 0, 1])
    net = partial(ResidualNet, hidden_features=8, num_blocks=1)
    couplings = [randomize(AffineCouplingTransform(mask, net)) for mask in masks]
    layers = [
        nf.flows.MaskedAffineFlow(1.0 - torch.tensor(mask), *(OneParameter(coupling, p) for p in "ts"))
        for mask, coupling in zip(masks, couplings)
    ]
    return couplings, layers[::-1]


def neural_spline_pair():
    nf = pytest.importorskip("normflows")
    net = partial(ResidualNet, hidden_features=8, num_blocks=1)
    ours, theirs = [], []
    for _ in range(2):
        coupling = nf.flows.CoupledRationalQuadraticSpline(FEATURES, 1, 8, num_bins=4, tail_bound=4.0)
        linear = nf.flows.LULinearPermute(FEATURES)
        theirs += [randomize(linear, 0.1), randomize(coupling, 0.1)]
        mask = torch.zeros(FEATURES)
        mask[coupling.prqct.transform_features] = 1.0
        counterpart = PiecewiseRationalQuadraticCouplingTransform(
            mask, net, num_bins=4, tails="linear", tail_bound=4.0, apply_unconditional_transform=True
        )
        parts = [RandomPermutation(FEATURES), LULinear(FEATURES), counterpart]
        for part, source in zip(parts, (linear.permutation, linear.linear, coupling.prqct)):
            part.load_state_dict(source.state_dict())
        ours += parts
    return ours, theirs[::-1]


@pytest.mark.parametrize("pair", [real_nvp_pair, neural_spline_pair])
def test_the_same_weights_in_both_hosts_give_the_same_loss_and_dimension(pair, float64):
    nf = pytest.importorskip("normflows")
    ours, theirs = pair()
    base = randomize(DegenerateGaussian([FEATURES]))
    base.data_noise = 0.1
    flows = [nflows.flows.Flow(CompositeTransform(ours), base), nf.NormalizingFlow(base, theirs)]
    x = curve(200)
    losses = [SpreadKLLoss(flow, data_noise=0.1, generator=generator())(x) for flow in flows]
    torch.testing.assert_close(*losses, rtol=0, atol=1e-10)
    dimensions = [intrinsic_dimension(flow.eval(), x, generator=generator()) for flow in flows]
    assert dimensions[0] == dimensions[1]
    torch.testing.assert_close(*(d.spectrum.signal_to_noise for d in dimensions), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(*(torch.tensor(d.gap) for d in dimensions), rtol=0, atol=1e-10)
