"""zuko's lazy transforms, and those that this package makes of them, made volume-preserving."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn
from zuko import transforms as zuko
from zuko.flows.autoregressive import MaskedAutoregressiveTransform
from zuko.flows.continuous import FFJTransform
from zuko.flows.coupling import GeneralCouplingTransform
from zuko.flows.gaussianization import ElementWiseTransform
from zuko.flows.spline import CircularRQSTransform
from zuko.lazy import UnconditionalTransform

from nflows_spread.hosts.conversion_rules import UNKNOWN, Converter, Memo, Rules, UnconvertibleError
from nflows_spread.hosts.nflows.conversion import ELEMENTWISE, SPLINE
from nflows_spread.hosts.zuko.layers import LAYERS_IN
from nflows_spread.transforms.zuko import (
    LazyNflowsTransform,
    VolumePreservingAffineTransform,
    VolumePreservingAutoregressiveTransform,
    VolumePreservingCouplingTransform,
    VolumePreservingElementWiseTransform,
    VolumePreservingLULinearTransform,
    constructor_of,
)

CONTINUOUS = "its log-determinant is the integral of a divergence, and has no scale to centre"
WRAP = "it wraps coordinates around and is not invertible on the whole space"
GRAPH = (
    "its log-scales would have to be centred along an order of the features, which its adjacency does not give; build "
    "it with order or passes"
)

_PRESERVING = (
    zuko.AdditiveTransform,
    zuko.IdentityTransform,
    zuko.PermutationTransform,
    zuko.RotationTransform,
    VolumePreservingAffineTransform,
    VolumePreservingLULinearTransform,
)
"""What ``UnconditionalTransform`` may hold as it is."""

_WHY_NOT: dict[Callable[..., object], str] = {
    zuko.MonotonicRQSTransform: SPLINE,
    CircularRQSTransform: WRAP,
    zuko.CircularShiftTransform: WRAP,
}


def centred(kind: type[nn.Module]) -> Converter:
    """The layer with its own net, of a class that centres its log-scales; one that only shifts as it is."""

    def convert(layer: nn.Module, memo: Memo) -> nn.Module:
        univariate = constructor_of(cast("Callable[..., object]", layer.univariate))
        converted: nn.Module = copy.deepcopy(layer, memo)
        if univariate is zuko.AdditiveTransform:
            return converted
        if univariate is not zuko.MonotonicAffineTransform:
            raise UnconvertibleError(_WHY_NOT.get(univariate, ELEMENTWISE))
        if isinstance(layer, MaskedAutoregressiveTransform) and layer.order is None:
            raise UnconvertibleError(GRAPH)
        converted.__class__ = kind  # zuko's constructors make the same attributes for both
        return converted

    return convert


def unit_unconditional(layer: nn.Module, memo: Memo) -> nn.Module:
    """What does not depend on the context: linear and affine maps over the D-th root of their determinant."""
    kind = constructor_of(cast("Callable[..., object]", layer.f))
    converted: nn.Module = copy.deepcopy(layer, memo)
    if kind in _PRESERVING:
        return converted
    if kind is torch.distributions.AffineTransform:
        return _over_geometric_mean(converted)
    if kind not in (zuko.LULinearTransform, zuko.MonotonicAffineTransform) or kind is not layer.f:
        known = isinstance(kind, type) and issubclass(kind, torch.distributions.Transform)
        raise UnconvertibleError(_WHY_NOT.get(kind, ELEMENTWISE if known else UNKNOWN))
    if kind is zuko.LULinearTransform:
        vars(converted)["f"] = VolumePreservingLULinearTransform
        return converted
    vars(converted)["f"] = VolumePreservingAffineTransform
    shift = cast(Tensor, getattr(converted, "shift" if hasattr(converted, "shift") else "_0"))
    with torch.no_grad():  # in units of the latent
        shift.mul_(torch.exp(-cast(Tensor, layer().log_scale).mean()))
    return converted


def _over_geometric_mean(layer: nn.Module) -> nn.Module:
    """A fixed scale and shift of torch's ``AffineTransform``, as sbi standardises by, over the mean of the scale."""
    names = ("loc", "scale") if hasattr(layer, "scale") else ("_0", "_1")
    tensors = [getattr(layer, name, None) for name in names]
    if any(not isinstance(each, Tensor) or isinstance(each, nn.Parameter) for each in tensors):
        raise UnconvertibleError("its scale is trained, or no tensor; take MonotonicAffineTransform of zuko")
    mean = cast(Tensor, tensors[1]).abs().log().mean().exp()
    for name, each in zip(names, tensors):
        setattr(layer, name, cast(Tensor, each) / mean)
    return layer


RULES = Rules(
    containers={**LAYERS_IN, LazyNflowsTransform: ("transform",)},
    kept=frozenset(
        {
            VolumePreservingAutoregressiveTransform,
            VolumePreservingCouplingTransform,
            VolumePreservingElementWiseTransform,
        }
    ),
    converted={
        GeneralCouplingTransform: centred(VolumePreservingCouplingTransform),
        MaskedAutoregressiveTransform: centred(VolumePreservingAutoregressiveTransform),
        ElementWiseTransform: centred(VolumePreservingElementWiseTransform),
        UnconditionalTransform: unit_unconditional,
    },
    refused=((FFJTransform, CONTINUOUS),),
)
