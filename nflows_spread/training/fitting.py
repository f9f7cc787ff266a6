"""``fit``: what a caller may ask for, checked, put together, and started in as many processes as wished."""

from __future__ import annotations

import math
import pickle
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from nflows_spread import validation
from nflows_spread.training import randomness
from nflows_spread.training.averaging import MovingAverage
from nflows_spread.training.batches import Batch, Data, Share, batches_of
from nflows_spread.training.checkpoints import Checkpoints, check_same_shapes
from nflows_spread.training.engine import Fabric, Processes, check_engine, engine_for, launch, launched_from_outside
from nflows_spread.training.evaluation import Evaluation, StopRule
from nflows_spread.training.files import read_archive, write_archive
from nflows_spread.training.loop import Limits, Parts, Run, Schedule
from nflows_spread.training.optimization import default_optimizer
from nflows_spread.training.precision import Precision, nets_in
from nflows_spread.training.result import Callback, FitResult, NotFiniteError
from nflows_spread.training.schedules import NoiseSchedule, SpreadVarianceSchedule
from nflows_spread.training.settings import check_same_settings, settings_of

LearningRateSchedule = LRScheduler | Callable[[Optimizer], LRScheduler]
HeldOut = Tensor | Sequence[Tensor] | np.ndarray[Any, Any]


def fit(
    objective: nn.Module,
    data: Data,
    *,
    steps: int,
    batch_size: int = 100,
    accumulate: int = 1,
    learning_rate: float = 5e-4,
    weight_decay: float = 0.0,
    optimizer: Optimizer | None = None,
    learning_rate_schedule: LearningRateSchedule | None = None,
    noise_schedule: NoiseSchedule | None = None,
    spread_variance_schedule: SpreadVarianceSchedule | None = None,
    gradient_clip: float | None = None,
    average: float | None = None,
    precision: Precision = "32-true",
    held_out: HeldOut | None = None,
    evaluate_every: int = 500,
    early_stop: StopRule | None = None,
    max_minutes: float | None = None,
    checkpoints: Checkpoints | None = None,
    resume: bool = False,
    callbacks: Sequence[Callback] = (),
    progress: bool | None = None,
    generator: torch.Generator | None = None,
    device: torch.device | str | None = None,
    processes: int = 1,
    engine: Fabric | None = None,
) -> FitResult:
    """Train an objective on data.

    Args:
        objective: any module with ``objective(x)``, or ``objective(x, context)``, a scalar loss.
        data: a tensor (n, ...), a tensor and its context, a NumPy array, the path of an ``.npy``
            file (which is mapped and not read), a ``Dataset``, a ``DataLoader``, or a function
            ``sampler(n, generator)``. Rows are visited in random order, epoch after epoch; those
            that do not fill a step are left out until the next epoch.
        steps: number of optimizer steps, those of a resumed run included.
        batch_size: rows of a batch of one process. A ``DataLoader`` has its own.
        accumulate: batches of one step.
        learning_rate: of the default optimizer, Adam.
        weight_decay: of the default optimizer; A, scales and biases never decay.
        optimizer: in place of the default one.
        learning_rate_schedule: a torch scheduler of ``optimizer``, or a function that makes one from
            an optimizer: ``partial(CosineAnnealingLR, T_max=steps)``. It moves on at every step.
        noise_schedule: a schedule of ``objective.data_noise``.
        spread_variance_schedule: a schedule of the prior's ``spread_variance``.
        gradient_clip: largest norm of the gradient, or None.
        average: decay of an exponential moving average of the parameters, or None. Evaluations use it.
        precision: ``"bf16-mixed"`` runs the nets inside the transforms in bf16; the flow's own
            arithmetic stays as it is.
        held_out: rows to evaluate on.
        evaluate_every: steps between evaluations, if there are held-out rows or a stop rule.
        early_stop: ``StopOnHeldOutLoss``, ``StopOnStableDimension``, or a rule of your own.
        max_minutes: stop after so many minutes of this call.
        checkpoints: where to leave them; with it, Ctrl-C and SIGTERM leave one too.
        resume: continue from the last checkpoint in the folder, or start where there is none.
        callbacks: functions of a ``TrainingState``, called after every step in the first process.
        progress: show a progress bar; by default when the standard error is a terminal.
        generator: source of the order of the data. By default seeded from torch's global generator.
        device: where to train; by default where the objective is.
        processes: how many to start on this machine; the objective has the result afterwards. The
            calling script needs ``if __name__ == "__main__":``, and arguments that can be pickled.
            Under ``fabric run`` the processes are there already, and ``device`` and ``processes`` are its.
        engine: a launched Fabric of your own, in place of ``device`` and ``processes``.

    Returns:
        What was done. The trained parameters are in ``objective``.

    Raises:
        TypeError, ValueError: an argument is out of range; the data is empty, smaller than a step, or
            not finite; the folder holds a run with other settings.
        FileExistsError: the folder holds a run, and ``resume`` is False.
        OSError: a checkpoint cannot be written.
        NotFiniteError: the loss is not finite. Checkpoints are from before.

    Example:
        >>> from nflows_spread import SpreadKLLoss
        >>> from nflows_spread.models import coupling_flow
        >>> objective = SpreadKLLoss(coupling_flow(2, layers=2), data_noise=0.1)
        >>> fit(objective, torch.randn(200, 2), steps=3).steps
        3
    """
    limits = Limits(
        steps=validation.positive_int("steps", steps),
        accumulate=validation.positive_int("accumulate", accumulate),
        gradient_clip=None if gradient_clip is None else validation.positive("gradient_clip", gradient_clip),
        evaluate_every=validation.positive_int("evaluate_every", evaluate_every),
        max_seconds=math.inf if max_minutes is None else 60.0 * validation.positive("max_minutes", max_minutes),
    )
    if resume and checkpoints is None:
        raise ValueError("resume needs a folder, got no checkpoints; pass checkpoints=Checkpoints(folder)")
    if isinstance(learning_rate_schedule, LRScheduler) and learning_rate_schedule.optimizer is not optimizer:
        raise ValueError(
            "learning_rate_schedule must be a scheduler of the optimizer that is passed, got one of another; "
            "pass both, or a function that makes a scheduler from an optimizer"
        )
    job = _Job(
        objective=objective,
        data=data,
        limits=limits,
        batch_size=validation.positive_int("batch_size", batch_size),
        learning_rate=validation.positive("learning_rate", learning_rate),
        weight_decay=validation.non_negative("weight_decay", weight_decay),
        optimizer=optimizer,
        learning_rate_schedule=learning_rate_schedule,
        schedules={"noise": noise_schedule, "spread_variance": spread_variance_schedule},
        average=average,
        precision=precision,
        held_out=held_out,
        early_stop=early_stop,
        checkpoints=checkpoints,
        resume=resume,
        callbacks=tuple(callbacks),
        progress=progress,
        generator=generator or torch.Generator().manual_seed(randomness.draw_seed()),
    )
    place = next(objective.parameters()).device if device is None else torch.device(device)
    if engine is None and processes > 1 and not launched_from_outside():
        return _fit_in_new_processes(engine_for(place, processes), job)
    return _train(engine or engine_for(place, processes), job).result


@dataclass(frozen=True)
class _Job:
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


def _train(fabric: Fabric, job: _Job) -> _Trained:
    """The part of ``fit`` that each process does."""
    processes, objective = Processes(fabric), job.objective
    generators = randomness.generators_of(objective)
    generator = job.generator
    if processes.count > 1:
        _check_initialized(objective)
        generator = torch.Generator().manual_seed(processes.from_first(randomness.draw_seed(job.generator)))
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
    with nets_in(job.precision, objective, processes.device.type):
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
        check_same_shapes(where, content["objective"], run.parts.objective)
        check_same_settings(where, content["settings"], run.settings)
        run.load_state_dict(content)


def _fit_in_new_processes(fabric: Fabric, job: _Job) -> FitResult:
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
    )


def _train_and_write(fabric: Fabric, packed: bytes, path: Path) -> None:
    """What a new process runs. The first one writes the result."""
    content: dict[str, Any] = {"not_finite": None, "state": None, "stopped": "", "checkpoint": None}
    try:
        trained = _train(fabric, pickle.loads(packed))
        checkpoint = trained.result.checkpoint
        content |= {
            "state": trained.run.state_dict(),
            "stopped": trained.result.stopped,
            "checkpoint": None if checkpoint is None else str(checkpoint),
        }
    except NotFiniteError as error:
        content["not_finite"] = str(error)
    if fabric.global_rank == 0:
        write_archive(path, "result", 1, content)


def _schedules(job: _Job, optimizer: Optimizer) -> dict[str, Schedule]:
    """By name, in the order in which they move."""
    schedules: dict[str, Schedule] = {}
    if isinstance(job.learning_rate_schedule, LRScheduler):
        schedules["learning_rate"] = job.learning_rate_schedule
    elif job.learning_rate_schedule is not None:
        schedules["learning_rate"] = job.learning_rate_schedule(optimizer)
    return schedules | {name: schedule for name, schedule in job.schedules.items() if schedule is not None}


def _given_schedules(job: _Job) -> dict[str, Schedule]:
    """Those that the caller has objects of."""
    schedules: dict[str, Schedule] = {name: given for name, given in job.schedules.items() if given is not None}
    if isinstance(job.learning_rate_schedule, LRScheduler):
        schedules["learning_rate"] = job.learning_rate_schedule
    return schedules


def _held_out(held_out: HeldOut | None, share: Share) -> Batch | None:
    """The held-out rows where training happens."""
    if held_out is None:
        return None
    if isinstance(held_out, np.ndarray):
        held_out = torch.from_numpy(held_out)
    parts = (held_out,) if isinstance(held_out, Tensor) else tuple(held_out)
    validation.points("held_out", parts[0])
    return tuple(part.to(share.device, share.dtype if part.is_floating_point() else None) for part in parts)


def _check_initialized(objective: nn.Module) -> None:
    """``ValueError`` if a layer would set itself from its first batch, which is another one in each process."""
    for name, module in objective.named_modules():
        flag = getattr(module, "initialized", None)
        if isinstance(flag, Tensor) and not bool(flag):
            raise ValueError(
                "layers must be initialised before training in several processes, "
                f"got {name} ({type(module).__name__}) that waits for its first batch; "
                "pass a batch through the flow, or use VolumePreservingActNorm "
                "and nflows_spread.initialize"
            )
