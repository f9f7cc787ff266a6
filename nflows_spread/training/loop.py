"""The training loop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from nflows_spread import validation
from nflows_spread.training.batches import Batch, Batches, Data, Share, batches_of
from nflows_spread.training.engine import Fabric, engine_for
from nflows_spread.training.optimization import default_optimizer
from nflows_spread.training.progress import ProgressBar
from nflows_spread.training.schedules import NoiseSchedule

_PULSE_SECONDS = 0.25


@dataclass(frozen=True)
class FitResult:
    """What a run did.

    Attributes:
        losses: the loss of every step, in nats.
        steps: steps done.
        seconds: time spent in the loop.
        stopped: why it ended: ``"steps"``, ``"max_minutes"``, or what a callback gave as its reason.
    """

    losses: list[float]
    steps: int
    seconds: float
    stopped: str


class NotFiniteError(ArithmeticError):
    """Training stopped because the loss is not finite."""


@dataclass
class TrainingState:
    """Where a run stands, as callbacks see it.

    Attributes:
        objective: what is trained, unwrapped.
        optimizer: the optimizer; gradients of the last step are still there.
        step: steps done.
        batch: the last batch.
        loss: of the last step, in nats.
        stop_reason: set it to a text to end the run after this step.
    """

    objective: nn.Module
    optimizer: Optimizer
    step: int
    batch: Batch
    loss: float
    stop_reason: str | None = None


Callback = Callable[[TrainingState], object]


def fit(
    objective: nn.Module,
    data: Data,
    *,
    steps: int,
    batch_size: int = 100,
    learning_rate: float = 5e-4,
    weight_decay: float = 0.0,
    optimizer: Optimizer | None = None,
    learning_rate_schedule: LRScheduler | Callable[[Optimizer], LRScheduler] | None = None,
    noise_schedule: NoiseSchedule | None = None,
    gradient_clip: float | None = None,
    generator: torch.Generator | None = None,
    device: torch.device | str | None = None,
    progress: bool | None = None,
    callbacks: Sequence[Callback] = (),
    max_minutes: float | None = None,
) -> FitResult:
    """Train an objective on data.

    Args:
        objective: any module with ``objective(x)``, or ``objective(x, context)``, a scalar loss.
        data: a tensor (n, ...), a tensor and its context, a NumPy array, the path of an ``.npy``
            file, a ``Dataset``, a ``DataLoader``, or a function ``sampler(n, generator)``.
        steps: number of optimizer steps.
        batch_size: rows of a batch. A ``DataLoader`` has its own.
        learning_rate: of the default optimizer, Adam.
        weight_decay: of the default optimizer; A, scales and biases never decay.
        optimizer: in place of the default one.
        learning_rate_schedule: a torch scheduler of ``optimizer``, or a function that makes one.
        noise_schedule: a schedule of ``objective.data_noise``.
        gradient_clip: largest norm of the gradient, or None.
        generator: source of the order of the data. By default seeded from torch's global generator.
        device: where to train; by default where the objective is.
        progress: show a progress bar; by default when the standard error is a terminal.
        callbacks: functions of a ``TrainingState``, called after every step.
        max_minutes: stop after so many minutes.

    Raises:
        TypeError, ValueError: an argument is out of range, or the data is empty, too small or not finite.
        NotFiniteError: the loss is not finite; the parameters are those before that step.

    Example:
        >>> from nflows_spread import SpreadKLLoss
        >>> from nflows_spread.models import coupling_flow
        >>> objective = SpreadKLLoss(coupling_flow(2, layers=2), data_noise=0.1)
        >>> fit(objective, torch.randn(200, 2), steps=3).steps
        3
    """
    validation.positive_int("steps", steps)
    validation.positive_int("batch_size", batch_size)
    parameter = next(objective.parameters())
    engine = engine_for(parameter.device if device is None else torch.device(device))
    engine.to_device(objective)
    optimizer = optimizer or default_optimizer(objective, learning_rate=learning_rate, weight_decay=weight_decay)
    if learning_rate_schedule is not None and not isinstance(learning_rate_schedule, LRScheduler):
        learning_rate_schedule = learning_rate_schedule(optimizer)
    if generator is None:
        generator = torch.Generator().manual_seed(int(torch.randint(2**62, ())))
    share = Share(batch_size, engine.global_rank, engine.world_size, engine.device, parameter.dtype)
    run = _Run(
        objective,
        optimizer,
        batches_of(data, share, generator),
        schedules=[schedule for schedule in (learning_rate_schedule, noise_schedule) if schedule is not None],
        gradient_clip=None if gradient_clip is None else validation.positive("gradient_clip", gradient_clip),
        callbacks=callbacks,
        deadline=math.inf if max_minutes is None else 60.0 * validation.positive("max_minutes", max_minutes),
        engine=engine,
    )
    return run(steps, ProgressBar(objective, steps=steps, visible=progress))


class _Run:
    """The moving parts of one call of ``fit``."""

    def __init__(
        self,
        objective: nn.Module,
        optimizer: Optimizer,
        batches: Batches,
        *,
        schedules: Sequence[NoiseSchedule | LRScheduler],
        gradient_clip: float | None,
        callbacks: Sequence[Callback],
        deadline: float,
        engine: Fabric,
    ) -> None:
        self._objective, self._optimizer, self._batches = objective, optimizer, batches
        self._schedules, self._callbacks = schedules, callbacks
        self._gradient_clip, self._deadline, self._engine = gradient_clip, deadline, engine
        self._parameters = [p for group in optimizer.param_groups for p in group["params"]]
        self._losses: list[float] = []
        self._pending: list[Tensor] = []

    def __call__(self, steps: int, bar: ProgressBar) -> FitResult:
        self._objective.train()
        step, start, next_pulse, stopped = 0, time.perf_counter(), 1, "steps"
        while step < steps:
            batch = self._batches.next()
            loss = self._train(batch)
            step += 1
            self._pending.append(loss)
            if step >= next_pulse or step == steps or self._callbacks:
                self._read_losses()
            if step >= next_pulse or step == steps:
                seconds = time.perf_counter() - start
                next_pulse = step + max(1, min(1000, int(_PULSE_SECONDS * step / seconds)))
                bar.update(step, self._losses[-1], batch[0])
            if self._callbacks:
                state = TrainingState(self._objective, self._optimizer, step, batch, self._losses[-1])
                for callback in self._callbacks:
                    callback(state)
                if state.stop_reason is not None:
                    stopped = state.stop_reason
                    break
            if time.perf_counter() - start >= self._deadline and step < steps:
                stopped = "max_minutes"
                break
        self._read_losses()
        bar.close()
        return FitResult(self._losses, step, time.perf_counter() - start, stopped)

    def _train(self, batch: Batch) -> Tensor:
        """One step; the detached loss."""
        self._optimizer.zero_grad()
        loss: Tensor = self._objective(*batch)
        detached = loss.detach()
        if detached.device.type == "cpu" and not math.isfinite(float(detached)):
            self._read_losses()
            raise NotFiniteError(_cause(self._objective, len(self._losses), float(detached)))
        loss.backward()
        if self._gradient_clip is not None:
            torch.nn.utils.clip_grad_norm_(self._parameters, self._gradient_clip)
        self._optimizer.step()
        for schedule in self._schedules:
            schedule.step()
        return detached

    def _read_losses(self) -> None:
        """Fetch the losses since the last time: on an accelerator this waits for it, so it is done rarely."""
        if not self._pending:
            return
        losses = torch.stack(self._pending).tolist()
        self._pending.clear()
        for i, loss in enumerate(losses):
            if not math.isfinite(loss):
                raise NotFiniteError(_cause(self._objective, len(self._losses) + i, loss))
        self._losses.extend(losses)


def _cause(objective: nn.Module, step: int, loss: float) -> str:
    bad = [name for name, parameter in objective.named_parameters() if not bool(torch.isfinite(parameter).all())]
    where = (
        f"the parameter {bad[0]} is not finite" if bad else "all parameters are finite, the loss of the batch is not"
    )
    return f"the loss at step {step} is {loss}: {where}; lower the learning rate or set gradient_clip"
