"""nflows transforms that preserve volume by construction: |det J| = 1 whatever their parameters."""

from nflows_spread.transforms.coupling import (
    ExponentialAffineCouplingTransform,
    MeanCentredAffineCouplingTransform,
    SigmoidLogScale,
    TanhLogScale,
)
from nflows_spread.transforms.linear import VolumePreservingLULinear, VolumePreservingOneByOneConvolution
from nflows_spread.transforms.normalization import VolumePreservingActNorm
from nflows_spread.transforms.orthogonal import VolumePreservingQRLinear, VolumePreservingSVDLinear
from nflows_spread.transforms.reshape import ChannelPermutation, CheckerboardSqueeze, Flatten

__all__ = [
    "ChannelPermutation",
    "CheckerboardSqueeze",
    "ExponentialAffineCouplingTransform",
    "Flatten",
    "MeanCentredAffineCouplingTransform",
    "SigmoidLogScale",
    "TanhLogScale",
    "VolumePreservingActNorm",
    "VolumePreservingLULinear",
    "VolumePreservingOneByOneConvolution",
    "VolumePreservingQRLinear",
    "VolumePreservingSVDLinear",
]
