"""The parts of a run, objects that do the work in a process, and its limits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from nflows_spread.training.averaging import MovingAverage
from nflows_spread.training.batches import Batches
from nflows_spread.training.callbacks import Callback
from nflows_spread.training.engine import Processes
from nflows_spread.training.schedules import OwnSchedule
from nflows_spread.training.sources import Batch
from nflows_spread.training.stop_rules import StopRule

Schedule = LRScheduler | OwnSchedule


@dataclass(frozen=True)
class Parts:
    """What a run consists of. ``forward`` is the objective as the engine wraps it."""

    objective: nn.Module
    forward: Callable[..., Tensor]
    optimizer: Optimizer
    batches: Batches
    schedules: Mapping[str, Schedule]
    average: MovingAverage | None
    held_out: Batch | None
    early_stop: StopRule | None
    callbacks: Sequence[Callback]
    generators: Sequence[torch.Generator]
    processes: Processes


@dataclass(frozen=True)
class Limits:
    """How far and how often."""

    steps: int
    accumulate: int
    gradient_clip: float | None
    evaluate_every: int
    max_seconds: float
