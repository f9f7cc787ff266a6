"""The training loop: one step after another, and what happens between steps."""

from __future__ import annotations

import math
import time
from array import array
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler

from nflows_spread.training.callbacks import Callback, TrainingState
from nflows_spread.training.checkpoint_content import own_state, shared_state
from nflows_spread.training.checkpoints import Checkpoints
from nflows_spread.training.diagnosis import explained, likely_cause, one_number
from nflows_spread.training.evaluation import Evaluation, current_dimension, held_out_loss
from nflows_spread.training.interruptions import Interruptions
from nflows_spread.training.optimization import follows_the_loss
from nflows_spread.training.progress import ProgressBar
from nflows_spread.training.result import FitResult, NotFiniteError
from nflows_spread.training.run_parts import Limits, Parts

_SYNC_SECONDS = 0.25
"""Seconds between synchronizations: often for the eye, rarely for a device that must be waited for. A choice."""

_MOST_STEPS_BETWEEN = 1000
"""Most steps between synchronizations, so that a loss that is not finite is noticed. A choice; not measured."""


_SHORTEST = 1e-6
"""Seconds that some steps have taken, at least: a choice, for clocks that tell no such time."""


class Run:
    """One run. What a resumed run needs of it is in ``checkpoint_content``.

    The processes of a run are synchronized only every quarter of a second: then the losses are
    fetched, the bar moves, and it is decided together whether to stop. One process alone decides
    after every step. Nothing that changes the parameters depends on the clock.
    """

    def __init__(
        self,
        parts: Parts,
        limits: Limits,
        *,
        checkpoints: Checkpoints | None,
        settings: Mapping[str, str],
        visible: bool | None,
    ) -> None:
        self.parts, self.limits = parts, limits
        self.checkpoints, self.settings, self.visible = checkpoints, settings, visible
        self.state = TrainingState(parts.objective, parts.optimizer)
        self.losses = array("d")
        self.evaluations: list[Evaluation] = []
        self.best = math.inf
        self.seconds_before = 0.0
        self.checkpoint: Path | None = None
        self._pending: list[Tensor] = []
        self._parameters = [p for group in parts.optimizer.param_groups for p in group["params"]]
        self._alone = parts.processes.count == 1
        self._reads_at_once = self._alone and parts.processes.device.type == "cpu"
        self.losses_at_checkpoint = 0

    def __call__(self) -> FitResult:
        """Train until there is a reason to stop, and leave a checkpoint.

        Raises:
            NotFiniteError: a loss or a parameter is not finite.
            KeyboardInterrupt: Ctrl-C, after the checkpoint was written; SIGTERM ends the process then.
        """
        interruptions = Interruptions()
        first = self.parts.processes.rank == 0
        visible = self.visible if first else False
        bar = ProgressBar(self.parts.objective, steps=self.limits.steps, done=self.state.step, visible=visible)
        self.parts.objective.train()
        self._start = time.perf_counter()
        try:
            with interruptions.deferred(enabled=self.checkpoints is not None):
                stopped = self._loop(bar, interruptions)
                self._read_losses()
                self._check_parameters()
                self._write_checkpoint()
        finally:
            bar.close()
        interruptions.pass_on()
        return FitResult(
            losses=self.losses.tolist(),
            steps=self.state.step,
            seconds=self.seconds,
            stopped=stopped,
            evaluations=tuple(self.evaluations),
            average=self.parts.average,
            checkpoint=self.checkpoint,
            processes=self.parts.processes.count,
            rank=self.parts.processes.rank,
        )

    def _loop(self, bar: ProgressBar, interruptions: Interruptions) -> str:
        """The reason for which it ended."""
        state, limits, sync_at = self.state, self.limits, self.state.step + 1
        every = self.checkpoints.every if self.checkpoints is not None else 0
        callbacks = [call for call in self.parts.callbacks if self.parts.processes.rank == 0 or _in_every_process(call)]
        first_step = state.step
        while state.step < limits.steps:
            self._train()
            state.step += 1
            synchronizes = state.step >= sync_at or state.step == limits.steps
            reason = self._evaluate() if state.step % limits.evaluate_every == 0 else None
            for callback in callbacks:
                callback(state)
            if synchronizes:
                self._read_losses()
                took = max(time.perf_counter() - self._start, _SHORTEST)
                ahead = int(_SYNC_SECONDS * (state.step - first_step) / took)
                sync_at = state.step + max(1, min(_MOST_STEPS_BETWEEN, ahead))
                bar.update(state.step, self.losses[-1], state.batch)
            if every and state.step % every == 0:
                self._write_checkpoint()
            if self._alone or synchronizes:
                sync_at, reason = self._agree(sync_at, reason, interruptions)
            if reason is not None:
                return reason
        return "steps"

    def _agree(self, sync_at: int, reason: str | None, interruptions: Interruptions) -> tuple[int, str | None]:
        """The step of the next synchronization, and why to stop, the same in all processes."""
        late = time.perf_counter() - self._start >= self.limits.max_seconds and self.state.step < self.limits.steps
        reason = reason or self.state.stop_reason
        if self._alone:
            interrupted = interruptions.received
        else:
            wishes = [float(sync_at), float(interruptions.received), float(late), float(reason is not None)]
            sync_at, interrupted, any_late, wanted = (int(value) for value in self.parts.processes.largest(wishes))
            late = bool(any_late)
            reason = self.parts.processes.from_first(reason) if wanted else None
            interruptions.received = interrupted
        if interrupted:
            return sync_at, "interrupted"
        return sync_at, reason or ("max_minutes" if late else None)

    def _train(self) -> None:
        """One optimizer step."""
        parts, state, count = self.parts, self.state, self.limits.accumulate
        parts.optimizer.zero_grad()
        total: Tensor | None = None
        for part in range(count):
            state.batch = parts.batches.next()
            apart = not self._alone and part < count - 1
            with parts.processes.without_exchange(parts.forward, True) if apart else nullcontext():
                loss = self._loss()
                if self._reads_at_once and not math.isfinite(float(loss.detach())):
                    self._read_losses()
                    raise NotFiniteError(self._cause(state.step + 1, float(loss.detach())))
                parts.processes.backward(loss if count == 1 else loss / count)
            total = loss.detach() if total is None else total + loss.detach()
        if self.limits.gradient_clip is not None:
            state.clipped_from = torch.nn.utils.clip_grad_norm_(self._parameters, self.limits.gradient_clip)
        parts.optimizer.step()
        for schedule in parts.schedules.values():
            if not follows_the_loss(schedule):
                schedule.step()
        if "learning_rate" in parts.schedules and (rate := parts.optimizer.param_groups[0]["lr"]) < 0.0:
            raise ValueError(
                f"learning_rate_schedule must stay at or above 0, got {float(rate)} at step {state.step + 1}"
            )
        if parts.average is not None:
            parts.average.update()
        if total is not None:
            state.last_loss = total if count == 1 else total / count
            self._pending.append(state.last_loss)

    def _loss(self) -> Tensor:
        """Of the batch at hand."""
        try:
            return one_number(self.parts.forward(*self.state.batch))
        except Exception as error:
            first = not self.losses and not self._pending
            reason = explained(error, self.parts.objective, self.state.batch, first=first)
            if reason is error:
                raise
            raise reason from error

    def _read_losses(self) -> None:
        """Fetch the losses since the last time: on an accelerator this waits for it, so it is done rarely."""
        if not self._pending:
            return
        losses = self.parts.processes.mean(torch.stack(self._pending)).tolist()
        self._pending.clear()
        for i, loss in enumerate(losses):
            if not math.isfinite(loss):
                raise NotFiniteError(self._cause(len(self.losses) + i + 1, loss))
        self.losses.extend(losses)

    def _evaluate(self) -> str | None:
        """Evaluate the held-out loss and the dimension where somebody wants them; the reason to stop, or None."""
        parts = self.parts
        if parts.held_out is None and parts.early_stop is None:
            return None
        with parts.average.in_place() if parts.average is not None else nullcontext():
            loss = None if parts.held_out is None else held_out_loss(parts.objective, parts.held_out)
            dimension = current_dimension(parts.objective, *(parts.held_out or self.state.batch))
        evaluation: Evaluation = parts.processes.from_first(Evaluation(self.state.step, loss, dimension))
        self.evaluations.append(evaluation)
        self.state.evaluation = evaluation
        for schedule in parts.schedules.values():
            if isinstance(schedule, LRScheduler) and follows_the_loss(schedule):
                schedule.step(evaluation.loss)  # type: ignore[arg-type]
        return None if parts.early_stop is None else parts.early_stop(evaluation)

    def _write_checkpoint(self) -> None:
        """Write the state of the run, unless it is written already or not fit to be continued."""
        path = None if self.checkpoints is None else self.checkpoints.path_of(self.state.step)
        if self.checkpoints is None or path == self.checkpoint:
            return
        self._read_losses()
        self._check_parameters()
        value = self._value()
        is_best = value < self.best
        self.best = value if is_best else self.best
        own = self.parts.processes.gather(own_state(self))
        if self.parts.processes.rank == 0:
            content = {**shared_state(self), "processes": own, "is_best": is_best}
            self.checkpoints.write(self.state.step, content, is_best=is_best)
        self.checkpoint, self.losses_at_checkpoint = path, len(self.losses)

    def _check_parameters(self) -> None:
        """``NotFiniteError`` if the last step has spoiled a parameter, which the next loss would show."""
        if _not_finite(self.parts.objective) is not None:
            raise NotFiniteError(self._cause(self.state.step, self.losses[-1] if self.losses else math.nan))

    def _value(self) -> float:
        """By which checkpoints are compared: see ``Checkpoints``."""
        if self.parts.held_out is not None:
            found = [evaluation.loss for evaluation in self.evaluations if evaluation.loss is not None]
            return found[-1] if found else math.inf
        recent = self.losses[self.losses_at_checkpoint :]
        return sum(recent) / len(recent) if recent else math.inf

    @property
    def seconds(self) -> float:
        """Time spent training, that before the run was resumed included."""
        return self.seconds_before + time.perf_counter() - self._start

    def _cause(self, step: int, loss: float) -> str:
        """What is known about why training cannot go on, and what is left."""
        bad = _not_finite(self.parts.objective)
        what = (
            f"the parameter {bad} is not finite" if bad else "all parameters are finite, the loss of this batch is not"
        )
        left = f"; the last good checkpoint is {self.checkpoint}" if self.checkpoint is not None else ""
        remedy = likely_cause(self.parts.objective, self.state.batch, first=not self.losses)
        return f"loss and parameters must stay finite, got a loss of {loss} at step {step}: {what}{left}; {remedy}"


def _in_every_process(callback: Callback) -> bool:
    """Whether it changes the model, and so in each of several processes."""
    return bool(getattr(callback, "in_every_process", False))


def _not_finite(objective: nn.Module) -> str | None:
    """The first parameter that holds NaN or infinity, or None."""
    for name, parameter in objective.named_parameters():
        if not bool(torch.isfinite(parameter).all()):
            return name
    return None
