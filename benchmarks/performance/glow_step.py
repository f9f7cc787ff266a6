"""What a step of a Glow costs over its convolutional net alone: forward and backward, ours beside nflows and normflows.

The net is ``GlowNet`` (kernels 3, 1, 3) on half of the channels, with gradients for its inputs. The costs over the same
net in ``channels_last`` have a race of their own, because a faster layout makes everything else count for more.
``nflows`` is its ``ActNorm``, ``OneByOneConvolution`` and ``AffineCouplingTransform`` with the same net; ``normflows``
its ``GlowBlock``, which brings its own. A stack of steps shows what checkpointing saves in memory and costs in time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec

import torch
from nflows import transforms as nflows
from torch import Tensor, nn

from nflows_spread.models import volume_preserving_glow
from nflows_spread.models.nets import GlowNet
from nflows_spread.transforms import (
    GlowStep,
    MeanCentredAffineCouplingTransform,
    TanhLogScale,
    VolumePreservingActNorm,
    VolumePreservingOneByOneConvolution,
)
from performance import targets
from performance.races import Race, Section, Step

NAME = "glow"
NET, OURS, NFLOWS, NORMFLOWS = "the net alone", "ours", "nflows' parts", "normflows' GlowBlock"
BF16 = "ours, nets in bf16"
SHAPE, HIDDEN_CHANNELS, LAYERS = (32, 12, 16, 16), 64, 8
SMALL_SHAPE, SMALL_HIDDEN_CHANNELS, SMALL_LAYERS = (2, 4, 4, 4), 4, 2
Build = Callable[[], nn.Module]


def ours(channels: int, net: Callable[..., nn.Module]) -> GlowStep:
    """The step as ``volume_preserving_glow`` builds it."""
    return GlowStep(
        VolumePreservingActNorm(channels),
        VolumePreservingOneByOneConvolution(channels),
        MeanCentredAffineCouplingTransform(mask(channels), net, log_scale=TanhLogScale(channels // 2)),
    )


def nflows_parts(channels: int, net: Callable[..., nn.Module]) -> nn.Module:
    """The same out of nflows' own transforms."""
    return nflows.CompositeTransform(
        [
            nflows.ActNorm(channels),
            nflows.OneByOneConvolution(channels),
            nflows.AffineCouplingTransform(mask(channels), net),
        ]
    )


def normflows_block(channels: int, hidden_channels: int) -> nn.Module:
    """Coupling, 1×1 convolution and actnorm with a net of its own."""
    from normflows.flows import GlowBlock

    return GlowBlock(channels, hidden_channels)


def mask(channels: int) -> list[int]:
    """The second half is transformed."""
    return [0] * (channels // 2) + [1] * (channels - channels // 2)


def step_of(build: Build, shape: Sequence[int], *, channels_last: bool = False, autocast: bool = False) -> Step:
    """Forward and backward, with gradients for the inputs, as every step of a flow but the first needs them."""
    module = build()
    perturb(module)
    if channels_last:
        module.to(memory_format=torch.channels_last)
    is_net = isinstance(module, GlowNet)
    shape = (shape[0], shape[1] // 2, *shape[2:]) if is_net else shape
    layout = torch.channels_last if channels_last and is_net else torch.contiguous_format
    x = torch.randn(*shape).to(memory_format=layout).requires_grad_()

    def step() -> None:
        module.zero_grad()
        x.grad = None
        with torch.autocast(x.device.type, torch.bfloat16, enabled=autocast):
            found = module(x)
        outputs: Sequence[Tensor] = found if isinstance(found, tuple) else (found,)
        sum(part.sum() for part in outputs).backward()

    return step


@torch.no_grad()
def perturb(module: nn.Module) -> None:
    """Off the start, where the last convolution is zero."""
    for parameter in module.parameters():
        parameter.add_(torch.randn_like(parameter), alpha=0.02)


def single(shape: Sequence[int], hidden_channels: int, *, channels_last: bool) -> Race:
    """One step and its net, in one layout."""
    channels = shape[1]
    net = partial(GlowNet, hidden_channels=hidden_channels)
    here = partial(step_of, shape=shape, channels_last=channels_last)
    contenders = {
        NET: partial(here, partial(net, channels // 2, channels)),
        OURS: partial(here, partial(ours, channels, net)),
        NFLOWS: partial(here, partial(nflows_parts, channels, net)),
    }
    absent: dict[str, str] = {}
    if channels_last:
        contenders[BF16] = partial(here, partial(ours, channels, net), autocast=True)
    elif find_spec("normflows") is None:
        absent[NORMFLOWS] = "normflows is not installed"
    else:
        contenders[NORMFLOWS] = partial(here, partial(normflows_block, channels, hidden_channels))
    return Race(
        section=NAME,
        name=f"Glow step, {'×'.join(map(str, shape[1:]))}, batch {shape[0]}{', channels_last' * channels_last}",
        reference=NET,
        contenders=contenders,
        absent=absent,
        targets=targets.GLOW["channels_last" if channels_last else "contiguous"],
    )


def stack(shape: Sequence[int], hidden_channels: int, layers: int) -> Race:
    """A block of steps as one transform, with and without checkpointing."""
    image = (shape[1] // 4, 2 * shape[2], 2 * shape[3])
    build = partial(volume_preserving_glow, image, blocks=1, layers=layers, hidden_channels=hidden_channels)
    contenders = {
        name: partial(step_of, partial(build, checkpointing=name == "checkpointing"), (shape[0], *image))
        for name in ("no checkpointing", "checkpointing")
    }
    return Race(NAME, f"{layers} Glow steps, batch {shape[0]}", "no checkpointing", contenders)


def races(small: bool) -> Sequence[Race]:
    """One step in both layouts, and a stack of them."""
    shape, hidden, layers = (
        (SMALL_SHAPE, SMALL_HIDDEN_CHANNELS, SMALL_LAYERS) if small else (SHAPE, HIDDEN_CHANNELS, LAYERS)
    )
    return [
        single(shape, hidden, channels_last=False),
        single(shape, hidden, channels_last=True),
        stack(shape, hidden, layers),
    ]


SECTION = Section(NAME, races)
