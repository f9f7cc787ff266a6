"""normflows' layers, and those that this package makes of them, made volume-preserving."""

from __future__ import annotations

import copy
from typing import cast

import torch
from nflows.transforms import CompositeTransform, Permutation
from normflows import flows as normflows
from normflows.flows.affine.autoregressive import Autoregressive
from normflows.flows.mixing import _Permutation
from normflows.transforms import Logit, Shift
from torch import Tensor, nn

from nflows_spread import transforms as ours
from nflows_spread.hosts.conversion_rules import Memo, Rules
from nflows_spread.hosts.nflows.conversion import AUTOREGRESSIVE, BATCH_NORM, ELEMENTWISE, SPLINE, unit_lu
from nflows_spread.hosts.normflows.layers import LAYERS_IN
from nflows_spread.transforms.normflows import (
    TransformFlow,
    VolumePreservingAffineConst,
    VolumePreservingAffineCoupling,
    VolumePreservingInvertible1x1Conv,
    VolumePreservingInvertibleAffine,
    VolumePreservingMaskedAffineFlow,
    unit_weight,
)

CLASS_CONDITIONAL = "its scale depends on a class, which the flow does not hand to its layers"
STOCHASTIC = "it is random and has no inverse"
WRAP = "it wraps coordinates around and is not invertible on the whole space"


def centred_coupling(layer: nn.Module, memo: Memo) -> nn.Module:
    """The coupling with its own net and scale map, centred; an additive one as it is."""
    if not layer.scale:
        return copy.deepcopy(layer, memo)
    return VolumePreservingAffineCoupling(
        copy.deepcopy(cast(nn.Module, layer.param_map), memo), cast(str, layer.scale_map)
    )


def centred_masked_flow(layer: nn.Module, memo: Memo) -> nn.Module:
    """The masked coupling with its own nets, centred; one without scales as it is."""
    s, t, mask = layer.s, layer.t, cast(Tensor, layer.b)
    if not isinstance(s, nn.Module):
        return copy.deepcopy(layer, memo)
    shift = copy.deepcopy(t, memo) if isinstance(t, nn.Module) else None
    return VolumePreservingMaskedAffineFlow(mask[0].clone(), shift, copy.deepcopy(s, memo))


def unit_affine_const(layer: nn.Module, memo: Memo) -> nn.Module:
    """Its scale over the geometric mean of it; the shift, which is in data units, as it is."""
    converted = VolumePreservingAffineConst(cast(Tensor, layer.s).shape[1:])
    for name in ("s", "t"):
        value = getattr(layer, name)
        if not isinstance(value, nn.Parameter):
            delattr(converted, name)
            converted.register_buffer(name, value.detach().clone())
        else:
            setattr(converted, name, copy.deepcopy(value, memo))
    return converted


def unit_actnorm(layer: nn.Module, memo: Memo) -> nn.Module:
    """An actnorm that only ``initialize`` sets from data, which normflows' does at any first call."""
    s, t = cast(Tensor, layer.s), cast(Tensor, layer.t)
    one_per_channel = s.numel() == s.shape[1] and s.dim() in (2, 4)
    if not (one_per_channel and isinstance(s, nn.Parameter) and isinstance(t, nn.Parameter)):
        return unit_affine_const(layer, memo)
    converted = ours.VolumePreservingActNorm(len(s.flatten())).to(device=s.device, dtype=s.dtype)
    with torch.no_grad():
        converted.log_scale.copy_(-s.flatten())
        converted.shift.copy_(-t.flatten() * converted.scale)
    converted.log_scale.requires_grad_(s.requires_grad)
    converted.shift.requires_grad_(t.requires_grad)
    return TransformFlow(converted)


def unit_linear(layer: nn.Module, memo: Memo) -> nn.Module:
    """W over the D-th root of its determinant."""
    on_images = isinstance(layer, normflows.Invertible1x1Conv)
    kind = VolumePreservingInvertible1x1Conv if on_images else VolumePreservingInvertibleAffine
    converted: nn.Module = kind(cast(int, layer.num_channels), use_lu=cast(bool, layer.use_lu))
    for name, parameter in layer.named_parameters():
        setattr(converted, name, copy.deepcopy(parameter, memo))
    for name, buffer in layer.named_buffers():
        setattr(converted, name, buffer.clone())
    with torch.no_grad():
        if layer.use_lu:
            cast(Tensor, converted.U).mul_(torch.exp(-cast(Tensor, layer.log_S).mean()))
        else:
            cast(Tensor, converted.W).copy_(unit_weight(layer))
    return converted


def unit_lu_permute(layer: nn.Module, memo: Memo) -> nn.Module:
    """The permutation and nflows' LU layer, of which normflows has a copy."""
    permutation = cast(Tensor, cast(nn.Module, layer.permutation)._permutation)
    return TransformFlow(
        CompositeTransform([Permutation(permutation.clone()), unit_lu(cast(nn.Module, layer.linear), memo)])
    )


RULES = Rules(
    containers={**LAYERS_IN, TransformFlow: ("transform",)},
    kept=frozenset(
        {
            Shift,
            _Permutation,
            normflows.Permute,
            normflows.Merge,
            normflows.Split,
            normflows.Squeeze,
            VolumePreservingAffineConst,
            VolumePreservingAffineCoupling,
            VolumePreservingInvertible1x1Conv,
            VolumePreservingInvertibleAffine,
            VolumePreservingMaskedAffineFlow,
        }
    ),
    converted={
        normflows.AffineCoupling: centred_coupling,
        normflows.MaskedAffineFlow: centred_masked_flow,
        normflows.AffineConstFlow: unit_affine_const,
        normflows.ActNorm: unit_actnorm,
        normflows.Invertible1x1Conv: unit_linear,
        normflows.InvertibleAffine: unit_linear,
        normflows.LULinearPermute: unit_lu_permute,
    },
    refused=(
        (normflows.CoupledRationalQuadraticSpline, SPLINE),
        (normflows.CircularCoupledRationalQuadraticSpline, SPLINE),
        (normflows.AutoregressiveRationalQuadraticSpline, SPLINE),
        (normflows.CircularAutoregressiveRationalQuadraticSpline, SPLINE),
        (Autoregressive, AUTOREGRESSIVE),
        (normflows.BatchNorm, BATCH_NORM),
        (normflows.CCAffineConst, CLASS_CONDITIONAL),
        (normflows.MetropolisHastings, STOCHASTIC),
        (normflows.HamiltonianMonteCarlo, STOCHASTIC),
        (normflows.PeriodicWrap, WRAP),
        (normflows.PeriodicShift, WRAP),
        *((kind, ELEMENTWISE) for kind in (normflows.Planar, normflows.Radial, normflows.Residual, Logit)),
    ),
)
