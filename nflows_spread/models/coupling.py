"""Flows of fully connected couplings: tables 1 and 2 of the paper and their like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
from nflows.distributions import Distribution
from nflows.flows import Flow
from nflows.transforms import CompositeTransform, Transform

from nflows_spread import validation
from nflows_spread.argument_types import typed
from nflows_spread.distributions import DegenerateGaussian
from nflows_spread.models.nets import ScaleAndShiftNet
from nflows_spread.transforms import (
    ChannelPermutation,
    ExponentialAffineCouplingTransform,
    MeanCentredAffineCouplingTransform,
    TanhLogScale,
)

TABLE_1: Mapping[str, Any] = MappingProxyType({"features": 2, "layers": 2, "hidden_features": (24, 24, 24)})
"""Arguments of ``coupling_flow`` for the paper's table 1, the network of its toys in the plane."""
TABLE_2: Mapping[str, Any] = MappingProxyType({"features": 3, "layers": 6, "hidden_features": (24, 24, 24)})
"""Those for table 2, the network of its S-curve."""


@typed
def coupling_flow(
    features: int,
    *,
    layers: int,
    hidden_features: Sequence[int] = (24, 24, 24),
    context_features: int | None = None,
    permute: bool = False,
    volume_preserving: bool = True,
    bounded_scale: bool = False,
    base: Distribution | None = None,
    generator: torch.Generator | None = None,
) -> Flow:
    """An nflows ``Flow`` of affine couplings of two halves, each layer with nets of its own for s and t.

    ``coupling_flow(**TABLE_1)`` is the paper's network for the 2-D toys, ``coupling_flow(**TABLE_2)``
    that for the S-curve.

    Args:
        features: D, at least 2.
        layers: number of couplings. They transform the second part given the first and the first
            given the second in turn; the first part is the larger one when D is odd.
        hidden_features: widths of the hidden layers of each net.
        context_features: width of the conditioning inputs, or None.
        permute: put a fixed random permutation between couplings. The paper has none for vectors.
        volume_preserving: centre the log-scales (equation 42); False is the paper's traditional flow.
        bounded_scale: log-scales of the form scale · tanh(NN) (equation 43), which keep samples finite
            where many dense couplings follow each other; the paper's dense nets are free.
        base: base distribution; a ``DegenerateGaussian`` if None.
        generator: source of the permutations.

    Raises:
        ValueError: ``features`` is below 2 or ``layers`` below 1.
    """
    couplings = coupling_layers(
        features,
        layers=layers,
        hidden_features=hidden_features,
        context_features=context_features,
        permute=permute,
        volume_preserving=volume_preserving,
        bounded_scale=bounded_scale,
        generator=generator,
    )
    return Flow(CompositeTransform(couplings), DegenerateGaussian([features]) if base is None else base)


def coupling_layers(
    features: int,
    *,
    layers: int,
    hidden_features: Sequence[int],
    context_features: int | None,
    permute: bool,
    volume_preserving: bool,
    bounded_scale: bool,
    generator: torch.Generator | None,
) -> list[Transform]:
    """The transforms of ``coupling_flow``, for a flow that has others too. Arguments and errors are the same."""
    if validation.positive_int("features", features) < 2:
        raise ValueError(f"features must be at least 2 for a coupling, got {features}")
    transforms: list[Transform] = []
    for layer in range(validation.positive_int("layers", layers)):
        if permute and layer > 0:
            transforms.append(ChannelPermutation(features, generator=generator))
        transforms.append(
            dense_coupling(
                features,
                layer,
                hidden_features=hidden_features,
                context_features=context_features,
                volume_preserving=volume_preserving,
                bounded_scale=bounded_scale,
            )
        )
    return transforms


def dense_coupling(
    features: int,
    layer: int,
    *,
    hidden_features: Sequence[int],
    context_features: int | None,
    volume_preserving: bool,
    bounded_scale: bool,
) -> Transform:
    """The coupling of the given place in the sequence: even places transform the second part, odd ones the first."""
    first = (features + 1) // 2
    mask = torch.arange(features) >= first
    coupling = MeanCentredAffineCouplingTransform if volume_preserving else ExponentialAffineCouplingTransform
    net = partial(ScaleAndShiftNet, hidden_features=hidden_features, context_features=context_features)
    mask = mask if layer % 2 == 0 else ~mask
    return coupling(mask.int(), net, log_scale=TanhLogScale(int(mask.sum())) if bounded_scale else None)
