"""nflows' layers, and this package's, made volume-preserving."""

from __future__ import annotations

import copy
from typing import TypeVar, cast

import torch
from nflows import transforms as nflows
from nflows.transforms.autoregressive import AutoregressiveTransform
from nflows.transforms.coupling import PiecewiseCouplingTransform
from nflows.transforms.nonlinearities import LeakyReLU, LogTanh, Sigmoid, Tanh
from torch import Tensor, nn

from nflows_spread import transforms as ours
from nflows_spread.hosts.conversion_rules import Memo, Rules, UnconvertibleError
from nflows_spread.hosts.nflows.layers import LAYERS_IN
from nflows_spread.transforms.coupling import ActivationLogScale

LayerT = TypeVar("LayerT", bound=nn.Module)

SPLINE = "each bin of a spline has a slope of its own, and centring one number cannot fix their product"
AUTOREGRESSIVE = (
    "its log-scales would have to be centred by a mean that the inverse, which finds them one after the other, "
    "does not know yet; use couplings"
)
BATCH_NORM = "its determinant follows the statistics of the data; use VolumePreservingActNorm and initialize"
ELEMENTWISE = "it stretches each point by another amount, and has no scale to centre"
NAIVE = "nflows' inverse of it calls torch.solve, which torch no longer has; use LULinear"


def centred_coupling(layer: nn.Module, memo: Memo) -> nn.Module:
    """The coupling with its own net and log-scale, centred."""
    _without_unconditional(layer)
    mask = torch.zeros(cast(int, layer.features), dtype=torch.int64)
    mask[cast(Tensor, layer.transform_features).cpu()] = 1
    net = copy.deepcopy(cast(nn.Module, layer.transform_net), memo)
    converted = ours.MeanCentredAffineCouplingTransform(mask, lambda *_: net, log_scale=_log_scale_of(layer, memo))
    return converted.to(cast(Tensor, layer.transform_features).device)


def additive_coupling(layer: nn.Module, memo: Memo) -> nn.Module:
    """A copy: shifts alone preserve volume."""
    _without_unconditional(layer)
    copied = copy.deepcopy(layer, memo)
    vars(copied).pop("scale_activation", None)  # which it never asks for; newer nflows' is a lambda and not pickled
    return copied


def unit_actnorm(layer: nn.Module, memo: Memo) -> nn.Module:
    """The actnorm over the D-th root of its determinant; one that is not initialised yet is the identity."""
    converted = _with_parameters(ours.VolumePreservingActNorm(len(cast(Tensor, layer.log_scale))), layer, memo)
    _scale(converted.shift, -converted.log_scale.mean())
    return converted


def unit_lu(layer: nn.Module, memo: Memo) -> nn.Module:
    """W = LU and the bias over the D-th root of det W; for normflows' copy of nflows' layer too."""
    return _unit_lu(ours.VolumePreservingLULinear(cast(int, layer.features)), layer, memo)


def unit_convolution(layer: nn.Module, memo: Memo) -> nn.Module:
    """W = LUP and the bias over the C-th root of det W, with the same permutation."""
    converted = ours.VolumePreservingOneByOneConvolution(cast(int, layer.features))
    permutation = cast(nn.Module, layer.permutation)
    converted.permutation.load_state_dict(permutation.state_dict())
    return _unit_lu(converted, layer, memo)


def unit_qr(layer: nn.Module, memo: Memo) -> nn.Module:
    """W = QR and the bias over the D-th root of det W."""
    orthogonal = cast(nn.Module, layer.orthogonal)
    converted = ours.VolumePreservingQRLinear(cast(int, layer.features), cast(int, orthogonal.num_transforms))
    _with_parameters(converted, layer, memo)
    for parameter in (converted.upper_entries, converted.bias):
        _scale(parameter, -converted.log_upper_diag.mean())
    return converted


def unit_svd(layer: nn.Module, memo: Memo) -> nn.Module:
    """W = USVᵀ and the bias over the D-th root of det W."""
    orthogonal = cast(nn.Module, layer.orthogonal_1)
    converted = ours.VolumePreservingSVDLinear(cast(int, layer.features), cast(int, orthogonal.num_transforms))
    converted.eps = layer.eps
    _with_parameters(converted, layer, memo)
    _scale(converted.bias, -cast(Tensor, layer.log_diagonal).mean())
    return converted


def unit_affine(layer: nn.Module, memo: Memo) -> nn.Module:
    """A fixed scale and shift over the geometric mean of the scale."""
    scale, shift = cast(Tensor, layer._scale), cast(Tensor, layer._shift)
    mean = scale.log().mean().exp()
    converted: nn.Module = nflows.PointwiseAffineTransform(shift / mean, scale / mean)
    return converted


RULES = Rules(
    containers={
        **LAYERS_IN,
        ours.GlowStep: ("actnorm", "convolution", "coupling"),
        ours.LeadingFeatures: ("transform",),
        ours.MultiscaleImageTransform: LAYERS_IN[nflows.MultiscaleCompositeTransform],
    },
    kept=frozenset(
        {
            nflows.IdentityTransform,
            nflows.Permutation,
            nflows.SqueezeTransform,
            nflows.HouseholderSequence,
            ours.ChannelPermutation,
            ours.CheckerboardSqueeze,
            ours.Flatten,
            ours.MeanCentredAffineCouplingTransform,
            ours.PrincipalRotation,
            ours.VolumePreservingActNorm,
            ours.VolumePreservingLULinear,
            ours.VolumePreservingOneByOneConvolution,
            ours.VolumePreservingQRLinear,
            ours.VolumePreservingSVDLinear,
        }
    ),
    converted={
        nflows.AdditiveCouplingTransform: additive_coupling,
        nflows.AffineCouplingTransform: centred_coupling,
        ours.ExponentialAffineCouplingTransform: centred_coupling,
        ours.ExplicitActNorm: unit_actnorm,
        ours.LUOneByOneConvolution: unit_convolution,
        nflows.ActNorm: unit_actnorm,
        nflows.LULinear: unit_lu,
        nflows.OneByOneConvolution: unit_convolution,
        nflows.QRLinear: unit_qr,
        nflows.SVDLinear: unit_svd,
        nflows.PointwiseAffineTransform: unit_affine,
    },
    refused=(
        (PiecewiseCouplingTransform, SPLINE),
        (ours.MarginalSpline, SPLINE),
        (AutoregressiveTransform, AUTOREGRESSIVE),
        (nflows.BatchNorm, BATCH_NORM),
        (nflows.NaiveLinear, NAIVE),
        *((kind, ELEMENTWISE) for kind in (Tanh, LogTanh, LeakyReLU, Sigmoid)),
    ),
)


def _log_scale_of(layer: nn.Module, memo: Memo) -> nn.Module:
    """Where a coupling of nflows has its scale's activation as an attribute, as newer versions do, with that."""
    if isinstance(layer, ours.ExponentialAffineCouplingTransform):
        return copy.deepcopy(layer.log_scale, memo)
    activation = getattr(layer, "scale_activation", None)
    if activation is None:
        return ours.SigmoidLogScale()
    kind = nflows.AffineCouplingTransform  # and no subclass, which the converted layer does not know
    name = next((name for name in dir(kind) if getattr(kind, name) is activation), None)
    return ActivationLogScale(copy.deepcopy(activation, memo) if name is None else name)


def _without_unconditional(layer: nn.Module) -> None:
    if layer.unconditional_transform is not None:
        raise UnconvertibleError("it transforms its other half too, by an unconditional transform; make that a layer")


def _unit_lu(converted: LayerT, layer: nn.Module, memo: Memo) -> LayerT:
    converted.eps = layer.eps
    _with_parameters(converted, layer, memo)
    log_mean = cast(Tensor, layer.upper_diag).log().mean()
    for parameter in (converted.upper_entries, converted.bias):
        _scale(cast(nn.Parameter, parameter), -log_mean)
    return converted


def _with_parameters(converted: LayerT, layer: nn.Module, memo: Memo) -> LayerT:
    """The new layer on the old one's device, with copies of its parameters, which have the same names."""
    names = [name for name, _ in layer.named_parameters()]
    if set(names) != {name for name, _ in converted.named_parameters()}:
        raise UnconvertibleError(
            f"its parameters are not those of its class but {', '.join(names)}; take parametrizations off it"
        )
    for name, parameter in layer.named_parameters():
        owner, _, leaf = name.rpartition(".")
        setattr(converted.get_submodule(owner), leaf, copy.deepcopy(parameter, memo))
    if isinstance(converted, nflows.LULinear | nflows.QRLinear | nflows.SVDLinear):
        converted.using_cache = layer.using_cache
    return converted.to(next(layer.parameters()).device)


def _scale(parameter: nn.Parameter, log_factor: Tensor) -> None:
    with torch.no_grad():
        parameter.mul_(log_factor.exp())
