"""Training on Lightning Fabric: ``fit``, schedules, checkpoints, saved models. Needs the extra ``train``."""

from nflows_spread.training.averaging import MovingAverage
from nflows_spread.training.callbacks import Callback, TrainingState
from nflows_spread.training.checkpoints import Checkpoints, read_checkpoint, restore_objective
from nflows_spread.training.curves import Constant, Cosine, Geometric, Staircase
from nflows_spread.training.evaluation import Evaluation, current_dimension
from nflows_spread.training.fitting import fit
from nflows_spread.training.invertibility import InvertibilityCheck
from nflows_spread.training.late_pieces import LatePieces
from nflows_spread.training.optimization import default_optimizer, parameter_groups
from nflows_spread.training.restarted_pieces import RestartedPieces
from nflows_spread.training.result import FitResult, NotFiniteError
from nflows_spread.training.saving import load_model, save_model
from nflows_spread.training.schedules import (
    ConstantNoise,
    CosineNoise,
    GeometricNoise,
    NoiseSchedule,
    SpreadVarianceSchedule,
    StaircaseNoise,
    WeightSchedule,
)
from nflows_spread.training.stop_rules import StopOnHeldOutLoss, StopOnStableDimension, StopRule
from nflows_spread.training.tensorboard import TensorBoard

__all__ = [
    "Callback",
    "Checkpoints",
    "Constant",
    "ConstantNoise",
    "Cosine",
    "CosineNoise",
    "Evaluation",
    "FitResult",
    "Geometric",
    "GeometricNoise",
    "InvertibilityCheck",
    "LatePieces",
    "MovingAverage",
    "NoiseSchedule",
    "NotFiniteError",
    "RestartedPieces",
    "SpreadVarianceSchedule",
    "Staircase",
    "StaircaseNoise",
    "StopOnHeldOutLoss",
    "StopOnStableDimension",
    "StopRule",
    "TensorBoard",
    "TrainingState",
    "WeightSchedule",
    "current_dimension",
    "default_optimizer",
    "fit",
    "load_model",
    "parameter_groups",
    "read_checkpoint",
    "restore_objective",
    "save_model",
]
