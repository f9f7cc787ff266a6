"""From the arguments of ``fit`` to a run, in this process or in new ones."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from nflows_spread import validation
from nflows_spread.factors.running_average import averages_of_this_process
from nflows_spread.hosts.first_batch import layers_waiting_for_a_batch
from nflows_spread.training import randomness
from nflows_spread.training.averaging import MovingAverage
from nflows_spread.training.batches import Data, batches_of
from nflows_spread.training.checkpoints import Checkpoints, check_same_model
from nflows_spread.training.compilation import transforms_compiled
from nflows_spread.training.engine import Fabric, Processes, check_engine, launch
from nflows_spread.training.evaluation import Evaluation, StopRule
from nflows_spread.training.files import read_archive, write_archive
from nflows_spread.training.loop import Run
from nflows_spread.training.optimization import default_optimizer, follows_the_loss
from nflows_spread.training.parts import Limits, Parts, Schedule
from nflows_spread.training.precision import Precision, nets_in
from nflows_spread.training.result import Callback, FitResult, NotFiniteError
from nflows_spread.training.schedules import NoiseSchedule, SpreadVarianceSchedule
from nflows_spread.training.settings import check_same_settings, settings_of
from nflows_spread.training.snapshot import continue_from, shared_state
from nflows_spread.training.sources import Batch, Share, Table
from nflows_spread.training.tables import as_tensors

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
    schedules: Mapping[str, NoiseSchedule | SpreadVarianceSchedule | None]
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


class _Trained:
    """A run that is over."""

    def __init__(self, run: Run, result: FitResult) -> None:
        self.run, self.result = run, result


def train(fabric: Fabric, job: Job) -> _Trained:
    """The part of ``fit`` that each process does."""
    processes, objective = Processes(fabric), job.objective
    generators = randomness.generators_of(objective)
    generator = job.generator
    if processes.count > 1:
        _check_initialized(objective)
        generator = torch.Generator(job.generator.device)  # the order of the data, without what noise draws from it
        generator.set_state(processes.from_first(job.generator.get_state()))
        randomness.separate(generators, processes.rank)
    forward = processes.wrap(objective)
    optimizer = job.optimizer or default_optimizer(
        objective, learning_rate=job.learning_rate, weight_decay=job.weight_decay
    )
    dtype = next(parameter.dtype for parameter in objective.parameters() if parameter.is_floating_point())
    share = Share(job.batch_size, processes.rank, processes.count, processes.device, dtype)
    parts = Parts(
        objective=objective,
        forward=forward,
        optimizer=optimizer,
        batches=batches_of(job.data, share, generator),
        schedules=_schedules(job, optimizer),
        average=None if job.average is None else MovingAverage(objective, job.average),
        held_out=_held_out(job.held_out, share),
        early_stop=job.early_stop,
        callbacks=job.callbacks,
        generators=randomness.generators_of(generator, *generators),
        processes=processes,
    )
    settings = settings_of(parts, job.limits, batch_size=job.batch_size, precision=job.precision)
    run = Run(parts, job.limits, checkpoints=job.checkpoints, settings=settings, visible=job.progress)
    if job.checkpoints is not None:
        _prepare_folder(job.checkpoints, run, resume=job.resume)
    graphs = processes.count == 1 and job.limits.accumulate == 1
    with (
        averages_of_this_process(objective) if processes.count == 1 else nullcontext(),
        nets_in(job.precision, objective, processes.device.type),
        transforms_compiled(objective, enabled=job.compile, graphs=graphs),
    ):
        return _Trained(run, run())


def _prepare_folder(checkpoints: Checkpoints, run: Run, *, resume: bool) -> None:
    """Make the folder ready, and continue the run that is in it if that is wished."""
    processes = run.parts.processes
    content: dict[str, Any] | None = None
    if processes.rank == 0:
        checkpoints.prepare(resume=resume)
        content = checkpoints.read_latest() if resume else None
    content = processes.from_first(content)
    if content is not None:
        where = f"the run in {checkpoints.folder}"
        check_same_model(where, content, run.parts.objective)
        check_same_settings(where, content["settings"], run.settings)
        continue_from(run, content)


def train_in_new_processes(fabric: Fabric, job: Job) -> FitResult:
    """Train in processes of their own, and bring the state home through a file.

    The arguments are pickled here, so that each process has its own copy of all tensors and not, as
    torch's way of passing tensors has it, one memory for all.
    """
    check_engine(fabric)
    try:
        packed = pickle.dumps(job)
    except (TypeError, AttributeError, pickle.PicklingError) as error:
        raise TypeError(
            f"with processes above 1 all arguments must be picklable, got one that is not ({error}); "
            "use functions of a module and functools.partial in place of lambdas"
        ) from error
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "result.pt"
        launch(fabric, _train_and_write, packed, path)
        content = read_archive(path, "result", 1)
    if content["not_finite"] is not None:
        raise NotFiniteError(content["not_finite"])
    state = content["state"]
    job.objective.load_state_dict(state["objective"])
    if job.optimizer is not None:
        job.optimizer.load_state_dict(state["optimizer"])
    for name, schedule in _given_schedules(job).items():
        schedule.load_state_dict(state["schedules"][name])
    average = None if job.average is None else MovingAverage(job.objective, job.average)
    if average is not None:
        average.load_state_dict(state["average"])
    return FitResult(
        losses=state["losses"].tolist(),
        steps=state["step"],
        seconds=state["seconds"],
        stopped=content["stopped"],
        evaluations=tuple(Evaluation(**evaluation) for evaluation in state["evaluations"]),
        average=average,
        checkpoint=None if content["checkpoint"] is None else Path(content["checkpoint"]),
        processes=content["processes"],
    )


def _train_and_write(fabric: Fabric, packed: bytes, path: Path) -> None:
    """What a new process runs. The first one writes the result."""
    content: dict[str, Any] = {
        "not_finite": None,
        "state": None,
        "stopped": "",
        "checkpoint": None,
        "processes": fabric.world_size,
    }
    try:
        trained = train(fabric, pickle.loads(packed))
        checkpoint = trained.result.checkpoint
        content |= {
            "state": shared_state(trained.run),
            "stopped": trained.result.stopped,
            "checkpoint": None if checkpoint is None else str(checkpoint),
        }
    except NotFiniteError as error:
        content["not_finite"] = str(error)
    if fabric.global_rank == 0:
        write_archive(path, "result", 1, content)


def _schedules(job: Job, optimizer: Optimizer) -> dict[str, Schedule]:
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


def _given_schedules(job: Job) -> dict[str, Schedule]:
    """Those that the caller has objects of."""
    schedules: dict[str, Schedule] = {name: given for name, given in job.schedules.items() if given is not None}
    if isinstance(job.learning_rate_schedule, LRScheduler):
        schedules["learning_rate"] = job.learning_rate_schedule
    return schedules


def _held_out(held_out: HeldOut | None, share: Share) -> Batch | None:
    """The held-out rows where training happens."""
    if held_out is None:
        return None
    parts = as_tensors("held_out", held_out)
    if parts is None:
        raise TypeError(
            "held_out must be a tensor, a NumPy array, a data frame or a list of rows, or a pair of one and its "
            f"context, got {type(held_out).__name__}"
        )
    validation.points("held_out", parts[0])
    if any(len(part) != len(parts[0]) for part in parts):
        raise ValueError(f"held_out and its context must have as many rows, got {[len(part) for part in parts]}")
    return tuple(part.to(share.device, share.dtype if part.is_floating_point() else None) for part in parts)


def _check_initialized(objective: nn.Module) -> None:
    """``ValueError`` if a layer would set itself from its first batch, which is another one in each process."""
    for name, layer in layers_waiting_for_a_batch(objective).items():
        raise ValueError(
            "layers must be initialised before training in several processes, "
            f"got {name} ({type(layer).__name__}) that waits for its first batch; "
            "call nflows_spread.initialize(flow, x), or pass a batch through the flow, before"
        )
