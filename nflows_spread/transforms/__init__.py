"""nflows transforms that preserve volume by construction: |det J| = 1 and their counterparts that do not."""

from nflows_spread.deprecation import moved_module
from nflows_spread.transforms.actnorm import ExplicitActNorm, VolumePreservingActNorm
from nflows_spread.transforms.coupling import (
    ExponentialAffineCouplingTransform,
    MeanCentredAffineCouplingTransform,
    SigmoidLogScale,
    TanhLogScale,
)
from nflows_spread.transforms.glow import GlowStep, MultiscaleImageTransform
from nflows_spread.transforms.linear import (
    LUOneByOneConvolution,
    VolumePreservingLULinear,
    VolumePreservingOneByOneConvolution,
)
from nflows_spread.transforms.marginal import MarginalSpline
from nflows_spread.transforms.orthogonal import VolumePreservingQRLinear, VolumePreservingSVDLinear
from nflows_spread.transforms.principal import LeadingFeatures, PrincipalRotation
from nflows_spread.transforms.reshape import ChannelPermutation, CheckerboardSqueeze, Flatten

__all__ = [
    "ChannelPermutation",
    "CheckerboardSqueeze",
    "ExplicitActNorm",
    "ExponentialAffineCouplingTransform",
    "Flatten",
    "GlowStep",
    "LUOneByOneConvolution",
    "LeadingFeatures",
    "MarginalSpline",
    "MeanCentredAffineCouplingTransform",
    "MultiscaleImageTransform",
    "PrincipalRotation",
    "SigmoidLogScale",
    "TanhLogScale",
    "VolumePreservingActNorm",
    "VolumePreservingLULinear",
    "VolumePreservingOneByOneConvolution",
    "VolumePreservingQRLinear",
    "VolumePreservingSVDLinear",
]

moved_module(
    f"{__name__}.normalization",
    {name: f"{__name__}.{name}" for name in ("ExplicitActNorm", "VolumePreservingActNorm")},
)
