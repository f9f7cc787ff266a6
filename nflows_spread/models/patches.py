"""A Glow that starts as wavelets which the data chose: its first values, from the principal coordinates of patches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch
from nflows.transforms import CompositeTransform, SqueezeTransform
from torch import Tensor, nn

from nflows_spread import validation
from nflows_spread.hosts.first_batch import Initializers, initializers_of_waiting_layers
from nflows_spread.initialization import set_from_data
from nflows_spread.linalg.eigen import eigh_descending
from nflows_spread.linalg.moments import covariance_of
from nflows_spread.models.nets import GlowNet
from nflows_spread.transforms import GlowStep, VolumePreservingActNorm
from nflows_spread.transforms.actnorm import varies


@torch.no_grad()
def initialize_from_patches(flow: nn.Module, x: Tensor, *, context: Tensor | None = None) -> int:
    """In the place of ``initialize``, for a ``volume_preserving_glow``: each block starts by decorrelating its patches.

    The first 1×1 convolution of a block turns patches of 2×2 pixels into their principal coordinates; all that
    follow swap halves. So coarse and fine coordinates condition each other in turn, and it is the coarse
    half that goes on to the next block. A volume-preserving Glow keeps the scales of its channels and starts as an
    orthogonal map of the data, whose latents have the variances of the data; one with free scales normalises
    them, as ``initialize`` does. The first layers of the nets start such that their inputs, multiplied by the
    weights, count as inputs of variance 1. An ``ActNorm`` of a host that waits for its first batch is set too.

    Call it once, before training and before the flow is wrapped or copied to several processes. What it sets is in
    the state dict.

    Args:
        flow: a flow of any host with such a Glow in it.
        x: a batch of data, shape (n, channels, height, width), at least two rows, better hundreds.
        context: conditioning inputs, one row for each row of ``x``, or one for all.

    Returns:
        The number of steps that were set.

    Raises:
        TypeError, ValueError: ``x`` is no finite floating-point batch of two rows or more or does not fit the flow, or
            the flow has no Glow in it; then nothing has changed.
    """
    validation.two_points("x", x)
    initializers: Initializers = {
        (step, "forward"): set_step for block in flow.modules() for step, set_step in _initializers(block)
    }
    if not initializers:
        raise ValueError(f"flow must have a volume_preserving_glow in it, got a {type(flow).__name__} without")
    set_from_data(flow, x, initializers_of_waiting_layers(flow) | initializers, context)
    return len(initializers)


def _initializers(block: nn.Module) -> Iterator[tuple[nn.Module, Callable[[Tensor], None]]]:
    """The steps of a block, and how each is set; nothing for other modules."""
    if not isinstance(block, CompositeTransform):
        return
    squeeze, *steps = block._transforms
    if not isinstance(squeeze, SqueezeTransform):
        return
    for number, step in enumerate(steps):
        # as many swaps follow the first as there are steps after it, and the coarse half has to be the second then
        yield step, partial(_swap, step) if number else partial(_decorrelate, step, coarse_first=len(steps) % 2 == 0)


def _decorrelate(step: GlowStep, inputs: Tensor, *, coarse_first: bool) -> None:
    rows = inputs.movedim(1, -1).flatten(0, 2)
    directions = eigh_descending(covariance_of(rows))[1].mT
    step.actnorm.log_scale.zero_()
    step.actnorm.shift.copy_(-rows.mean(0))
    step.convolution.assign(directions if coarse_first else directions.flip(0))
    _see_unit_variance(step, inputs)


def _swap(step: GlowStep, inputs: Tensor) -> None:
    channels = step.convolution.features
    step.actnorm.initialize(inputs)
    if isinstance(step.actnorm, VolumePreservingActNorm):
        step.actnorm.log_scale.zero_()
        step.actnorm.shift.copy_(-inputs.mean((0, 2, 3)))
    step.convolution.assign(torch.eye(channels, device=inputs.device).roll(channels // 2, 0))
    _see_unit_variance(step, inputs)


def _see_unit_variance(step: GlowStep, inputs: Tensor) -> None:
    """Divide the weights of the net's first layer by the standard deviation of what it sees.

    Where that is rounding alone, as of the colours of grey images, the deviation of all channels takes its place.
    """
    net = step.coupling.transform_net
    if isinstance(net, GlowNet):
        arriving = step.convolution(step.actnorm(inputs)[0])[0]
        seen = arriving[:, : net.first.in_channels]
        std, whole = seen.std(), arriving.std()
        if bool(varies(whole, inputs.abs().max())):
            net.first.weight.div_(std if bool(varies(std, seen.abs().max(), among=whole)) else whole)
