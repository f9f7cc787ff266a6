"""Runs with everything in them that has a state, to be broken off and resumed."""

import random
from functools import partial

import numpy as np
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR

from nflows_spread import SpreadKLLoss
from nflows_spread.models import TABLE_1, coupling_flow
from nflows_spread.training import (
    Checkpoints,
    Geometric,
    GeometricNoise,
    SpreadVarianceSchedule,
    StopOnHeldOutLoss,
    fit,
)

ROWS = torch.randn(70, 2, generator=torch.Generator().manual_seed(0))


def objective_of(seed, *, own_generator=False):
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed) if own_generator else None
    return SpreadKLLoss(coupling_flow(**TABLE_1), generator=generator)


def train(objective, data, steps, *, seed=1, folder=None, **options):
    """One run with everything in it that has a state."""
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)
    defaults = {
        "batch_size": 10,
        "learning_rate": 1e-2,
        "weight_decay": 0.01,
        "learning_rate_schedule": partial(CosineAnnealingLR, T_max=40),
        "noise_schedule": GeometricNoise(objective, start=0.3, end=0.05, steps=20),
        "spread_variance_schedule": SpreadVarianceSchedule(objective.base, Geometric(1e-2, 1e-4, 30)),
        "gradient_clip": 1.0,
        "accumulate": 2,
        "average": 0.9,
        "held_out": ROWS[:20],
        "evaluate_every": 4,
        "early_stop": StopOnHeldOutLoss(patience=100),
        "checkpoints": None if folder is None else Checkpoints(folder, every=5),
        "generator": torch.Generator().manual_seed(seed),
    }
    return fit(objective, data, steps=steps, **{**defaults, **options})


def tensors_of(objective):
    return {name: value for name, value in objective.state_dict().items() if isinstance(value, torch.Tensor)}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
