"""Flows of convolutional couplings for grey images: tables 3 and 4 of the paper."""

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
from nflows_spread.models.coupling import dense_coupling
from nflows_spread.models.nets import ConvolutionalNet
from nflows_spread.transforms import (
    ChannelPermutation,
    CheckerboardSqueeze,
    ExponentialAffineCouplingTransform,
    Flatten,
    MeanCentredAffineCouplingTransform,
)

TABLE_3: Mapping[str, Any] = MappingProxyType({"image_shape": (1, 32, 32), "blocks": (2, 2)})
"""Arguments of ``convolutional_flow`` for the paper's table 3, the network of its fading square."""
TABLE_4: Mapping[str, Any] = MappingProxyType({"image_shape": (1, 28, 28), "blocks": (4, 4)})
"""Those for table 4, the network of its MNIST."""


@typed
def convolutional_flow(
    image_shape: Sequence[int],
    *,
    blocks: Sequence[int] = (2, 2),
    hidden_channels: int = 16,
    dense_layers: int = 2,
    hidden_features: Sequence[int] = (24, 24, 24),
    volume_preserving: bool = True,
    base: Distribution | None = None,
    generator: torch.Generator | None = None,
) -> Flow:
    """An nflows ``Flow``: for each block a checkerboard squeeze and couplings, then dense couplings on the flat latent.

    Each coupling of a block but the last is followed by a random permutation of the channels (section
    C.1). ``convolutional_flow(**TABLE_3)`` is the paper's network for the fading square,
    ``convolutional_flow(**TABLE_4)`` that for MNIST.

    Args:
        image_shape: (channels, height, width); the squeezes must divide height and width.
        blocks: number of convolutional couplings in each block.
        hidden_channels: channels of the hidden layers of the convolutional nets.
        dense_layers: number of fully connected couplings at the end.
        hidden_features: widths of the hidden layers of their nets.
        volume_preserving: centre the log-scales over all transformed entries (equation 42); False is
            the paper's traditional flow.
        base: base distribution over the flat latent; a ``DegenerateGaussian`` if None.
        generator: source of the permutations.

    Raises:
        ValueError: the squeezes do not divide the image, or an argument is out of range.
    """
    if len(image_shape) != 3 or min(image_shape) < 1:
        raise ValueError(f"image_shape must be (channels, height, width), got {tuple(image_shape)}")
    channels, height, width = image_shape
    validation.non_negative_int("dense_layers", dense_layers)
    divisor = 2 ** len(blocks)
    if not blocks or height % divisor or width % divisor:
        raise ValueError(
            f"height and width must be multiples of {divisor} for {len(blocks)} blocks of at least one, "
            f"got {height} and {width}; pad or crop the images, or use fewer blocks"
        )
    coupling = MeanCentredAffineCouplingTransform if volume_preserving else ExponentialAffineCouplingTransform
    net = partial(ConvolutionalNet, hidden_channels=validation.positive_int("hidden_channels", hidden_channels))
    transforms: list[Transform] = []
    for couplings in blocks:
        transforms.append(CheckerboardSqueeze())
        channels, height, width = 4 * channels, height // 2, width // 2
        mask = torch.arange(channels) >= channels // 2
        for layer in range(validation.positive_int("blocks", couplings)):
            if layer > 0:
                transforms.append(ChannelPermutation(channels, generator=generator))
            transforms.append(coupling((mask if layer % 2 == 0 else ~mask).int(), net))
    transforms.append(Flatten((channels, height, width)))
    features = channels * height * width
    transforms += [
        dense_coupling(
            features,
            layer,
            hidden_features=hidden_features,
            context_features=None,
            volume_preserving=volume_preserving,
            bounded_scale=False,
        )
        for layer in range(dense_layers)
    ]
    return Flow(CompositeTransform(transforms), DegenerateGaussian([features]) if base is None else base)
