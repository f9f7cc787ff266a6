"""The arguments of ``fit`` on their way to the processes, and the schedules that are made of them there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from nflows_spread.training.batches import Data
from nflows_spread.training.callbacks import Callback
from nflows_spread.training.checkpoints import Checkpoints
from nflows_spread.training.optimization import follows_the_loss
from nflows_spread.training.precision import Precision
from nflows_spread.training.run_parts import Limits, Schedule
from nflows_spread.training.schedules import OwnSchedule
from nflows_spread.training.sources import Table
from nflows_spread.training.stop_rules import StopRule

LearningRateSchedule = LRScheduler | Callable[[Optimizer], LRScheduler]
HeldOut = Table


@dataclass(frozen=True)
class Job:
    """The arguments of ``fit`` on their way to the processes."""

    objective: nn.Module
    data: Data
    limits: Limits
    batch_size: int
    learning_rate: float
    weight_decay: float
    optimizer: Optimizer | None
    learning_rate_schedule: LearningRateSchedule | None
    schedules: Mapping[str, OwnSchedule | None]
    average: float | None
    precision: Precision
    compile: bool
    held_out: HeldOut | None
    early_stop: StopRule | None
    checkpoints: Checkpoints | None
    resume: bool
    callbacks: Sequence[Callback]
    progress: bool | None
    generator: torch.Generator


def schedules_of(job: Job, optimizer: Optimizer) -> dict[str, Schedule]:
    """By name, in the order in which they move."""
    schedules: dict[str, Schedule] = {}
    if isinstance(job.learning_rate_schedule, LRScheduler):
        schedules["learning_rate"] = job.learning_rate_schedule
    elif job.learning_rate_schedule is not None:
        schedules["learning_rate"] = _made(job.learning_rate_schedule, optimizer)
    follower = schedules.get("learning_rate")
    if job.held_out is None and follows_the_loss(follower):
        raise ValueError(
            f"a {type(follower).__name__} follows the loss of held-out data, got none; pass held_out, or a schedule of "
            "the steps such as CosineAnnealingLR"
        )
    return schedules | {name: schedule for name, schedule in job.schedules.items() if schedule is not None}


def _made(make: Callable[[Optimizer], LRScheduler], optimizer: Optimizer) -> LRScheduler:
    """The schedule that a function makes."""
    schedule = make(optimizer)
    if not isinstance(schedule, LRScheduler):
        raise TypeError(
            "learning_rate_schedule must be a torch scheduler, or a function that makes one from an optimizer, got one "
            f"that made {schedule!r}; write partial(LambdaLR, lr_lambda=...) for a factor at each step"
        )
    return schedule


def given_schedules(job: Job) -> dict[str, Schedule]:
    """Those that the caller has objects of."""
    schedules: dict[str, Schedule] = {name: given for name, given in job.schedules.items() if given is not None}
    if isinstance(job.learning_rate_schedule, LRScheduler):
        schedules["learning_rate"] = job.learning_rate_schedule
    return schedules
