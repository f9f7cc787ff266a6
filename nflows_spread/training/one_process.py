"""What one process of a run does: from the arguments of ``fit`` to the parts of a run, and on from its checkpoint."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
from torch import nn

from nflows_spread import validation
from nflows_spread.factors.running_average import averages_of_this_process
from nflows_spread.hosts.first_batch import layers_waiting_for_a_batch
from nflows_spread.training import randomness
from nflows_spread.training.averaging import MovingAverage
from nflows_spread.training.batches import batches_of
from nflows_spread.training.checkpoint_content import continue_from
from nflows_spread.training.checkpoints import Checkpoints, check_same_model
from nflows_spread.training.compilation import layers_compiled
from nflows_spread.training.engine import Fabric, Processes
from nflows_spread.training.fit_arguments import HeldOut, Job, schedules_of
from nflows_spread.training.loop import Run
from nflows_spread.training.optimization import default_optimizer
from nflows_spread.training.precision import nets_in
from nflows_spread.training.result import FitResult
from nflows_spread.training.run_parts import Parts
from nflows_spread.training.run_settings import check_same_settings, settings_of
from nflows_spread.training.sources import Batch, Shard
from nflows_spread.training.tables import as_tensors


def train(fabric: Fabric, job: Job) -> tuple[Run, FitResult]:
    """The part of ``fit`` that each process does: the run, which is over, and its result."""
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
    shard = Shard(job.batch_size, processes.rank, processes.count, processes.device, dtype)
    parts = Parts(
        objective=objective,
        forward=forward,
        optimizer=optimizer,
        batches=batches_of(job.data, shard, generator),
        schedules=schedules_of(job, optimizer),
        average=None if job.average is None else MovingAverage(objective, job.average),
        held_out=_held_out(job.held_out, shard),
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
        layers_compiled(objective, enabled=job.compile, graphs=graphs),
    ):
        return run, run()


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


def _held_out(held_out: HeldOut | None, shard: Shard) -> Batch | None:
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
    return tuple(part.to(shard.device, shard.dtype if part.is_floating_point() else None) for part in parts)


def _check_initialized(objective: nn.Module) -> None:
    """``ValueError`` if a layer would set itself from its first batch, which is another one in each process."""
    for name, layer in layers_waiting_for_a_batch(objective).items():
        raise ValueError(
            "layers must be initialised before training in several processes, "
            f"got {name} ({type(layer).__name__}) that waits for its first batch; "
            "call nflows_spread.initialize(flow, x), or pass a batch through the flow, before"
        )
