"""nflows' own flows, as a user has them, with the base swapped for a DegenerateGaussian."""

from __future__ import annotations

from functools import partial

import torch
from nflows.flows import Flow, MaskedAutoregressiveFlow, SimpleRealNVP
from nflows.nn.nets import ResidualNet
from nflows.transforms import (
    AffineCouplingTransform,
    CompositeTransform,
    LULinear,
    PiecewiseRationalQuadraticCouplingTransform,
    ReversePermutation,
)
from torch import nn

from nflows_spread import DegenerateGaussian
from nflows_spread.models import coupling_flow

FEATURES = 3
CONTEXT = 2
EMBEDDED = 4


def real_nvp() -> Flow:
    return SimpleRealNVP(FEATURES, hidden_features=16, num_layers=3, num_blocks_per_layer=1)


def masked_autoregressive() -> Flow:
    return MaskedAutoregressiveFlow(FEATURES, hidden_features=16, num_layers=2, num_blocks_per_layer=1)


def neural_spline() -> Flow:
    net = partial(ResidualNet, hidden_features=16, num_blocks=1)
    layers: list[nn.Module] = []
    for mask in ([1, 0, 1], [0, 1, 0]):
        layers.append(LULinear(FEATURES))
        layers.append(
            PiecewiseRationalQuadraticCouplingTransform(mask, net, num_bins=5, tails="linear", tail_bound=4.0)
        )
    return Flow(CompositeTransform(layers), DegenerateGaussian([FEATURES]))


def conditional() -> Flow:
    net = partial(ResidualNet, hidden_features=16, num_blocks=1, context_features=EMBEDDED)
    layers: list[nn.Module] = []
    for mask in ([1, 0, 1], [0, 1, 0]):
        layers += [AffineCouplingTransform(mask, net), ReversePermutation(FEATURES)]
    embedding = nn.Sequential(nn.Linear(CONTEXT, EMBEDDED), nn.Tanh())
    return Flow(CompositeTransform(layers), DegenerateGaussian([FEATURES]), embedding)


def volume_preserving() -> Flow:
    return coupling_flow(FEATURES, layers=3)


FLOWS = {
    "SimpleRealNVP": real_nvp,
    "MaskedAutoregressiveFlow": masked_autoregressive,
    "neural spline flow": neural_spline,
    "conditional flow with an embedding net": conditional,
    "volume-preserving coupling flow": volume_preserving,
}


def swapped(name: str, **options: float) -> Flow:
    """The flow with a degenerate base put in, however it was built."""
    flow = FLOWS[name]()
    flow._distribution = DegenerateGaussian([FEATURES], **options)
    return flow


def context_for(name: str, rows: int) -> torch.Tensor | None:
    return torch.randn(rows, CONTEXT) if name.startswith("conditional") else None


def curve(rows: int) -> torch.Tensor:
    """Points of a curve in three dimensions."""
    t = torch.randn(rows, 1)
    return torch.cat([t, t.sin(), 0.5 * t], dim=1)
