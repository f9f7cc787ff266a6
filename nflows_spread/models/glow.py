"""The Glow of section 5.2 and appendix C.6, volume-preserving, and the traditional one to compare it with."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from nflows.transforms import CompositeTransform, SqueezeTransform, Transform

from nflows_spread import validation
from nflows_spread.argument_types import typed
from nflows_spread.models.nets import GlowNet
from nflows_spread.transforms import (
    ExplicitActNorm,
    ExponentialAffineCouplingTransform,
    GlowStep,
    LUOneByOneConvolution,
    MeanCentredAffineCouplingTransform,
    MultiscaleImageTransform,
    TanhLogScale,
    VolumePreservingActNorm,
    VolumePreservingOneByOneConvolution,
)


@typed
def volume_preserving_glow(
    image_shape: Sequence[int],
    *,
    blocks: int = 4,
    layers: int = 20,
    hidden_channels: int = 512,
    context_features: int | None = None,
    volume_preserving: bool = True,
    checkpointing: bool = False,
    channels_last: bool = False,
    generator: torch.Generator | None = None,
) -> Transform:
    """An nflows ``Transform`` from images to flat latents: the paper's Glow, with its defaults.

    Each block squeezes 2×2 pixels into channels and has ``layers`` steps of actnorm, 1×1 convolution and
    coupling; after each block but the last, half of the channels goes to the latent. The log-scales of
    the couplings are scale · tanh(NN) (equation 43). One prior over all D latent dimensions makes it a
    flow: ``Flow(volume_preserving_glow((3, 32, 32)), DegenerateGaussian([3072], factor=SpreadCholeskyFactor))``.
    Call ``initialize(flow, x)`` before training; without it the actnorms start as the identity.

    Args:
        image_shape: (channels, height, width) of an image, without the batch.
        blocks: number of blocks.
        layers: couplings of each block.
        hidden_channels: channels of the hidden layers of the nets.
        context_features: width of the conditioning inputs, such as one-hot classes, or None.
        volume_preserving: centre all log-scales; False is the traditional Glow, with free scales.
        checkpointing: compute each step again in the backward pass and keep only its input.
        channels_last: let the nets compute in torch's ``channels_last`` format.
        generator: source of the fixed permutations of the 1×1 convolutions.

    Raises:
        TypeError: a number is no integer.
        ValueError: the squeezes do not divide the image, or an argument is out of range.

    Example:
        >>> from nflows.flows import Flow
        >>> from nflows_spread import DegenerateGaussian
        >>> transform = volume_preserving_glow((3, 8, 8), blocks=2, layers=2, hidden_channels=8)
        >>> Flow(transform, DegenerateGaussian([192])).sample(4).shape
        torch.Size([4, 3, 8, 8])
    """
    shape = _checked_shape(image_shape, validation.positive_int("blocks", blocks))
    step = partial(
        _step,
        hidden_channels=validation.positive_int("hidden_channels", hidden_channels),
        context_features=None
        if context_features is None
        else validation.positive_int("context_features", context_features),
        volume_preserving=volume_preserving,
        checkpointing=checkpointing,
        generator=generator,
    )
    multiscale = MultiscaleImageTransform(shape, blocks)
    for _ in range(blocks):
        channels, height, width = shape
        squeezed = (4 * channels, height // 2, width // 2)
        steps = [step(squeezed[0]) for _ in range(validation.positive_int("layers", layers))]
        left = multiscale.add_transform(CompositeTransform([SqueezeTransform(), *steps]), squeezed)
        shape = left or squeezed
    return multiscale.to(memory_format=torch.channels_last) if channels_last else multiscale


def _step(
    channels: int,
    *,
    hidden_channels: int,
    context_features: int | None,
    volume_preserving: bool,
    checkpointing: bool,
    generator: torch.Generator | None,
) -> GlowStep:
    actnorm = VolumePreservingActNorm if volume_preserving else ExplicitActNorm
    convolution = VolumePreservingOneByOneConvolution if volume_preserving else LUOneByOneConvolution
    coupling = MeanCentredAffineCouplingTransform if volume_preserving else ExponentialAffineCouplingTransform
    half = channels // 2
    return GlowStep(
        actnorm(channels),
        convolution(channels, generator=generator),
        coupling(
            [0] * half + [1] * half,
            partial(GlowNet, hidden_channels=hidden_channels, context_features=context_features),
            log_scale=TanhLogScale(half),
        ),
        checkpointing=checkpointing,
    )


def _checked_shape(image_shape: Sequence[int], blocks: int) -> tuple[int, int, int]:
    if len(image_shape) != 3 or min(image_shape) < 1:
        raise ValueError(f"image_shape must be (channels, height, width), got {tuple(image_shape)}")
    channels, height, width = image_shape
    divisor = 2**blocks
    if height % divisor or width % divisor:
        raise ValueError(
            f"height and width must be multiples of {divisor} for {blocks} blocks, got {height} and {width}; "
            "pad or crop the images, or use fewer blocks"
        )
    return channels, height, width
