"""Training within a budget of processor seconds or of steps: cosine learning rate, and the best held-out check kept.

Rivals are compared at equal processor time. How many steps that is depends on the system, so the learning rate follows
the share of the budget that is spent and not a number of steps.
"""

from __future__ import annotations

import copy
import math
import time
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from nflows_spread.training import TrainingState, fit
from nflows_spread.training.randomness import generators_of, isolated_randomness

_CHECKS = 25
"""Looks at the held-out rows, evenly over the budget: as many as the estimator's chart has."""

_WARM_UP = 0.05
"""Share of the budget over which the learning rate rises. A choice; dense couplings at high rates need some."""

_GRADIENT_CLIP = 5.0
"""Largest norm of the gradient, as of the estimator's recipe."""

_VALIDATION_FRACTION = 0.1
"""Share of the rows that are held out for the checks, as of the estimator's recipe."""

_COPIES = 4
"""Of the held-out rows at a check of a loss that draws noise: a choice, for time and for less chance."""

_MOST_STEPS = 10**7


@dataclass(frozen=True)
class Budget:
    """What a training may take, whichever is spent first.

    Attributes:
        seconds: of this process's processors.
        steps: of the optimizer.
    """

    seconds: float = math.inf
    steps: int = _MOST_STEPS

    def part(self, share: float) -> Budget:
        """A share of it, at least one step."""
        return Budget(self.seconds * share, max(1, round(self.steps * share)))


@runtime_checkable
class Validated(Protocol):
    """An objective whose held-out rows are judged by something else than its loss, which may be of chance or a part."""

    def validation_loss(self, x: Tensor) -> Tensor:
        """What is to be small on held-out rows (n, D)."""


@runtime_checkable
class Progressing(Protocol):
    """An objective that changes with the share of the budget that is spent."""

    progress: float


def train_within(
    objective: nn.Module,
    x: Tensor,
    budget: Budget,
    *,
    learning_rate: float,
    batch_size: int,
    seed: int,
    weight_decay: float = 0.0,
    optimizer: Optimizer | None = None,
) -> int:
    """Train an objective on rows (n, D) until the budget is spent; it ends at the best of its 25 held-out checks.

    Args:
        objective: takes a batch and gives the loss; see ``Validated`` and ``Progressing`` for what it may have.
        x: rows, a tenth of which are held out for the checks.
        budget: when to stop.
        learning_rate: the largest, of Adam; it rises over a twentieth of the budget and falls to nothing on a cosine.
        batch_size: rows a step.
        seed: of the held-out rows and the order of the others.
        weight_decay: of the nets' weights.
        optimizer: in the place of Adam, with the largest rates of its own; the two before are then not looked at.

    Returns:
        The steps that were done.
    """
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(x), generator=generator)
    held_out, rows = x[order].tensor_split([max(1, round(_VALIDATION_FRACTION * len(x)))])
    began, best, kept, checked, done = time.process_time(), math.inf, objective.state_dict(), 0, 0

    def spent(step: int) -> float:
        return min(1.0, max(step / budget.steps, (time.process_time() - began) / budget.seconds))

    def after_a_step(state: TrainingState) -> None:
        nonlocal best, kept, checked, done
        done, share = state.step, spent(state.step)
        if isinstance(objective, Progressing):
            objective.progress = share
        if share >= (checked + 1) / _CHECKS:
            checked = int(share * _CHECKS)
            loss = _held_out_loss(objective, held_out)
            if loss < best:
                best, kept = loss, copy.deepcopy(objective.state_dict())
        if share >= 1.0:
            state.stop_reason = "the budget is spent"

    def schedule(optimizer: Optimizer) -> LambdaLR:
        return LambdaLR(optimizer, lambda step: _rate(spent(step)))

    fit(
        objective,
        rows,
        steps=budget.steps,
        batch_size=min(batch_size, len(rows)),
        learning_rate=learning_rate,
        learning_rate_schedule=schedule,
        weight_decay=weight_decay,
        optimizer=optimizer,
        gradient_clip=_GRADIENT_CLIP,
        callbacks=[after_a_step],
        generator=generator,
        progress=False,
        processes=1,
    )
    objective.load_state_dict(kept)
    objective.eval()
    return done


def _held_out_loss(objective: nn.Module, held_out: Tensor) -> float:
    """Its own validation loss, or its loss; what is not finite is never the best.

    What its generators draw is the same at each check, in so many copies of the rows, and they go on as if there had
    been none.
    """
    judged = objective.validation_loss if isinstance(objective, Validated) else objective
    copies = _COPIES if generators_of(objective) else 1
    with torch.no_grad(), isolated_randomness(objective):
        loss = float(judged(held_out.repeat(copies, 1)))
    return loss if math.isfinite(loss) else math.inf


def _rate(share: float) -> float:
    """The learning rate at a share of the budget, over the largest."""
    return min(1.0, (share + 1e-3) / _WARM_UP) * 0.5 * (1.0 + math.cos(math.pi * share))
