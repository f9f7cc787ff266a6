"""``fit``: argument validation, and the start of training in one process or several."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeVar

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from nflows_spread import validation
from nflows_spread.argument_types import typed
from nflows_spread.hosts import host_of
from nflows_spread.training.batches import Data
from nflows_spread.training.callbacks import Callback
from nflows_spread.training.checkpoints import Checkpoints
from nflows_spread.training.curves import Curve, over_run
from nflows_spread.training.engine import Fabric, engine_for, launched_from_outside
from nflows_spread.training.fit_arguments import HeldOut, Job, LearningRateSchedule
from nflows_spread.training.new_processes import train_in_new_processes
from nflows_spread.training.one_process import train
from nflows_spread.training.optimization import check_optimizer, check_trainable
from nflows_spread.training.precision import Precision
from nflows_spread.training.randomness import draw_seed
from nflows_spread.training.result import FitResult
from nflows_spread.training.run_parts import Limits
from nflows_spread.training.schedules import NoiseSchedule, SpreadVarianceSchedule, WeightSchedule
from nflows_spread.training.stop_rules import StopOnHeldOutLoss, StopRule

ScheduleKind = TypeVar("ScheduleKind", NoiseSchedule, SpreadVarianceSchedule, WeightSchedule)


@typed
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
    noise_schedule: NoiseSchedule | Curve | None = None,
    spread_variance_schedule: SpreadVarianceSchedule | Curve | None = None,
    weight_schedule: WeightSchedule | Curve | None = None,
    gradient_clip: float | None = None,
    average: float | None = None,
    precision: Precision = "32-true",
    compile: bool = False,
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
    processes: int | None = None,
    engine: Fabric | None = None,
) -> FitResult:
    """Train an objective on data.

    Args:
        objective: any module with ``objective(x)``, or ``objective(x, context)``, a scalar loss.
        data: a tensor (n, ...), a NumPy array, a data frame or a list of rows, or a pair of one of them
            and its context; the path of an ``.npy`` file (which is mapped and not read), a ``Dataset``, a
            ``DataLoader``, or a function ``sampler(n, generator)``. Labels that come with rows are a
            context too: pass rows alone to a flow that takes none. Rows are visited in random order, epoch
            after epoch; those that do not fill a step are left out until the next epoch.
        steps: number of optimizer steps, those of a resumed run included.
        batch_size: rows of a batch of one process. A ``DataLoader`` has its own.
        accumulate: batches of one step.
        learning_rate: of the default optimizer, Adam.
        weight_decay: of the default optimizer; A, scales and biases never decay.
        optimizer: in place of the default one.
        learning_rate_schedule: a torch scheduler of ``optimizer``, or a function that makes one from
            an optimizer: ``partial(CosineAnnealingLR, T_max=steps)``. It moves on at every step; one that
            follows the loss, ``ReduceLROnPlateau``, at every evaluation by the loss of ``held_out``.
        noise_schedule: of ``objective.data_noise``: a ``NoiseSchedule``, or just its curve, whose lengths may be
            shares of ``steps``, as 0.7 in ``Geometric(0.3, 0.05, steps=0.7)``.
        spread_variance_schedule: of the prior's ``spread_variance``: a ``SpreadVarianceSchedule``, or just its curve.
        weight_schedule: of the ``weight`` of a ``ChartLoss``: a ``WeightSchedule``, or just its curve.
        gradient_clip: largest norm of the gradient, or None.
        average: decay of an exponential moving average of the parameters, or None. Evaluations use it.
        precision: ``"bf16-mixed"`` runs the nets inside the layers in bf16; the flow's own
            arithmetic stays as it is.
        compile: pass batches through the flow's layers by ``torch.compile``, or, where that fails, as
            ever and with a warning. On a GPU a transform that is compiled as a whole is replayed as CUDA
            graphs. It takes seconds to minutes at the start, and on a CPU pays for some image models and
            not for small ones; see the performance guide.
        held_out: rows to evaluate on.
        evaluate_every: steps between evaluations, if there are held-out rows or a stop rule.
        early_stop: ``StopOnHeldOutLoss``, ``StopOnStableDimension``, or a rule of your own.
        max_minutes: stop after so many minutes of this call.
        checkpoints: where to leave them; with it, Ctrl-C and SIGTERM leave one too.
        resume: continue from the last checkpoint in the folder, or start where there is none.
        callbacks: functions of a ``TrainingState``, called after every step in the first process; those that change
            the model in each.
        progress: show a progress bar; by default when the standard error is a terminal.
        generator: source of the order of the data. By default seeded from torch's global generator.
        device: where to train; by default where the objective is.
        processes: how many to start on this machine; the objective has the result afterwards. The
            calling script needs ``if __name__ == "__main__":``, and arguments that can be pickled. By default
            one, or all those of ``torchrun`` or ``fabric run``, each of which must call ``fit`` then; 1 is this
            process alone under them too. The tasks of a scheduler such as SLURM train each for itself; see
            ``engine``.
        engine: a launched Fabric of your own, in place of ``device`` and ``processes``.

    Returns:
        What was done. The trained parameters are in ``objective``.

    Raises:
        TypeError, ValueError: an argument is out of range; the data is empty, smaller than a step, or
            not finite; the folder holds a run with other settings.
        FileExistsError: the folder holds a run, and ``resume`` is False.
        OSError: a checkpoint cannot be written.
        RuntimeError: one of several processes has died.
        NotFiniteError: the loss is not finite. Checkpoints are from before.

    Example:
        >>> from nflows_spread import SpreadKLLoss
        >>> from nflows_spread.models import coupling_flow
        >>> objective = SpreadKLLoss(coupling_flow(2, layers=2), data_noise=0.1)
        >>> fit(objective, torch.randn(200, 2), steps=3).steps
        3
    """
    _check_objective(objective)
    limits = Limits(
        steps=validation.positive_int("steps", steps),
        accumulate=validation.positive_int("accumulate", accumulate),
        gradient_clip=None if gradient_clip is None else validation.positive("gradient_clip", gradient_clip),
        evaluate_every=validation.positive_int("evaluate_every", evaluate_every),
        max_seconds=math.inf if max_minutes is None else 60.0 * validation.positive("max_minutes", max_minutes),
    )
    if resume and checkpoints is None:
        raise ValueError("resume needs a folder, got no checkpoints; pass checkpoints=Checkpoints(folder)")
    check_trainable(objective)
    if optimizer is not None:
        check_optimizer(optimizer, objective)
    if isinstance(learning_rate_schedule, LRScheduler) and learning_rate_schedule.optimizer is not optimizer:
        raise ValueError(
            "learning_rate_schedule must be a scheduler of the optimizer that is passed, got one of another; "
            "pass both, or a function that makes a scheduler from an optimizer"
        )
    if isinstance(early_stop, StopOnHeldOutLoss) and held_out is None:
        raise ValueError("StopOnHeldOutLoss needs held-out data, got none; pass held_out to fit")
    job = Job(
        objective=objective,
        data=data,
        limits=limits,
        batch_size=validation.positive_int("batch_size", batch_size),
        learning_rate=validation.positive("learning_rate", learning_rate),
        weight_decay=validation.non_negative("weight_decay", weight_decay),
        optimizer=optimizer,
        learning_rate_schedule=learning_rate_schedule,
        schedules={
            "noise": _schedule(NoiseSchedule, noise_schedule, objective, "noise_schedule", steps),
            "spread_variance": _schedule(
                SpreadVarianceSchedule,
                spread_variance_schedule,
                getattr(objective, "base", objective),
                "spread_variance_schedule",
                steps,
            ),
            "weight": _schedule(WeightSchedule, weight_schedule, objective, "weight_schedule", steps),
        },
        average=average,
        precision=precision,
        compile=compile,
        held_out=held_out,
        early_stop=early_stop,
        checkpoints=checkpoints,
        resume=resume,
        callbacks=tuple(callbacks),
        progress=progress,
        generator=generator or torch.Generator().manual_seed(draw_seed()),
    )
    place = next(objective.parameters()).device if device is None else torch.device(device)
    if engine is None and processes is not None and processes > 1 and not launched_from_outside():
        return train_in_new_processes(engine_for(place, processes), job)
    _, result = train(engine or engine_for(place, processes), job)
    return result


def _check_objective(objective: nn.Module) -> None:
    """``TypeError`` for a flow, which is no loss, before anything is asked of it."""
    try:
        host_of(objective)
    except TypeError:  # no flow, or one with methods of its own
        return
    raise TypeError(
        f"objective must be a loss, got {type(objective).__name__}, which is a flow; pass SpreadKLLoss(flow)"
    )


def _schedule(
    kind: type[ScheduleKind], given: ScheduleKind | Curve | None, owner: nn.Module, name: str, steps: int
) -> ScheduleKind | None:
    """The schedule that is given, or one of the curve that is; either ends at or above 0."""
    if given is None:
        return None
    schedule = given if isinstance(given, kind) else None
    curve: Any = given if schedule is None else schedule.curve
    if not callable(curve):
        raise TypeError(
            f"{name} must be a {kind.__name__}, a curve such as Geometric(0.3, 0.05, steps=0.7), or a function of the "
            f"step, got {given!r}"
        )
    curve = over_run(curve, steps)
    if not curve(steps) >= 0.0:
        raise ValueError(f"{name} must end at or above 0, got {curve(steps)} after {steps} steps")
    return schedule if schedule is not None else kind(owner, curve)
