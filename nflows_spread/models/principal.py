"""A flow for images on a manifold: couplings on the leading principal coordinates, which pixels are turned into first.

Pixels are redundant: almost all variance of digits is in a hundred of their 784 principal coordinates, and what is
left is noise to any flow. A rotation preserves volume, so the flow stays one of the paper's kind; couplings of the
leading coordinates alone cost little, and their nets see signals where those of pixels see noise.

On a curved manifold the leading coordinates also determine the trailing ones. So the first couplings halve: half of
the coordinates tell the other half, then a quarter the second quarter, and what was told is noise from there on. A few
leading coordinates are left, which couplings with random permutations straighten.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from nflows.distributions import Distribution
from nflows.flows import Flow
from nflows.transforms import CompositeTransform, Transform
from torch import Tensor, nn

from nflows_spread import validation
from nflows_spread.argument_types import typed
from nflows_spread.deprecation import replaced_by
from nflows_spread.distributions import DegenerateGaussian
from nflows_spread.initialization import initialize
from nflows_spread.models.coupling import coupling_layers, dense_coupling
from nflows_spread.models.nets import ScaleAndShiftNet
from nflows_spread.transforms import ExplicitActNorm, Flatten, LeadingFeatures, PrincipalRotation


@typed
def principal_flow(
    image_shape: Sequence[int],
    *,
    leading: int = 128,
    core: int = 32,
    layers: int = 8,
    hidden_features: Sequence[int] = (256, 256),
    core_hidden_features: Sequence[int] = (128, 128),
    identity_start: bool = False,
    volume_preserving: bool = True,
    base: Distribution | None = None,
    generator: torch.Generator | None = None,
) -> Flow:
    """Couplings of the leading principal coordinates of images: halving ones, then mixed ones of the core.

    Args:
        image_shape: (channels, height, width).
        leading: number of coordinates that the couplings see.
        core: number of coordinates that the mixed couplings see; the halving ones go on to a quarter of it.
        layers: number of mixed couplings, with random permutations between them.
        hidden_features: widths of the hidden layers of the halving couplings' nets.
        core_hidden_features: widths of the hidden layers of the mixed couplings' nets.
        identity_start: start with couplings that do nothing, for a prior in pieces that is fitted to the coordinates;
            by default their nets have random weights.
        volume_preserving: centre the log-scales; False leaves them free, and adds an actnorm, without which a standard
            Gaussian could not hold coordinates that are noise alone.
        base: over the flat latent; a ``DegenerateGaussian`` if None.
        generator: source of the permutations.

    ``nflows_spread.initialize(flow, x)`` takes the rotation from data; until then it is the identity.

    Example:
        >>> flow = principal_flow((1, 8, 8), leading=16, core=8, layers=2)
        >>> flow.log_prob(torch.rand(5, 1, 8, 8)).shape
        torch.Size([5])
    """
    features = validation.shape("image_shape", image_shape).numel()
    validation.positive_int("leading", leading)
    validation.positive_int("core", core)
    coupling = partial(
        dense_coupling, layer=0, context_features=None, volume_preserving=volume_preserving, bounded_scale=True
    )
    halving: list[Transform] = []
    half = leading // 2
    while half >= max(1, core // 4):
        halving.append(LeadingFeatures(coupling(2 * half, hidden_features=hidden_features), 2 * half))
        half //= 2
    mixed = coupling_layers(
        core,
        layers=layers,
        hidden_features=core_hidden_features,
        context_features=None,
        permute=True,
        volume_preserving=volume_preserving,
        bounded_scale=True,
        generator=generator,
    )
    transforms: list[Transform] = [
        Flatten(image_shape),
        PrincipalRotation(features),
        *halving,
        LeadingFeatures(CompositeTransform(mixed), core),
    ]
    if not volume_preserving:
        transforms.append(ExplicitActNorm(features))
    if identity_start:
        for net in CompositeTransform(transforms).modules():
            if isinstance(net, ScaleAndShiftNet):
                nn.init.zeros_(net.weights[-1])
                nn.init.zeros_(net.biases[-1])
    return Flow(CompositeTransform(transforms), DegenerateGaussian([features]) if base is None else base)


@replaced_by("initialize(flow, x, only=PrincipalRotation)")
def initialize_from_principal_coordinates(flow: nn.Module, x: Tensor) -> int:
    """Let each ``PrincipalRotation`` of a flow take its mean and directions from data, once, before training.

    ``nflows_spread.initialize`` does so too, for rotations that are still the identity.

    Args:
        flow: a flow with such rotations, or with none.
        x: data, shape (n, ...), at least two rows, better several times as many as there are features.

    Returns:
        The number of rotations that were set.

    Raises:
        TypeError, ValueError: ``x`` is no finite floating-point batch of two rows or more; then nothing has changed.
    """
    return initialize(flow, x, only=PrincipalRotation)
