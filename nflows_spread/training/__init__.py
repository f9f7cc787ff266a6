"""Training on Lightning Fabric: ``fit``, schedules and what goes with them. Needs the extra ``train``."""

from nflows_spread.training.loop import FitResult, NotFiniteError, TrainingState, fit
from nflows_spread.training.optimization import default_optimizer, parameter_groups
from nflows_spread.training.schedules import (
    Constant,
    ConstantNoise,
    Cosine,
    CosineNoise,
    Geometric,
    GeometricNoise,
    NoiseSchedule,
    SpreadVarianceSchedule,
    Staircase,
    StaircaseNoise,
)

__all__ = [
    "Constant",
    "ConstantNoise",
    "Cosine",
    "CosineNoise",
    "FitResult",
    "Geometric",
    "GeometricNoise",
    "NoiseSchedule",
    "NotFiniteError",
    "SpreadVarianceSchedule",
    "Staircase",
    "StaircaseNoise",
    "TrainingState",
    "default_optimizer",
    "fit",
    "parameter_groups",
]
