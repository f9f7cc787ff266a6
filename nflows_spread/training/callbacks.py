"""Callbacks of ``fit``, and the state of the run that they are called with after every step."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from nflows_spread.training.evaluation import Evaluation
from nflows_spread.training.sources import Batch


class TrainingState:
    """Where a run stands, as callbacks see it. Reading ``loss`` or a norm waits for the device.

    Attributes:
        objective: what is trained, unwrapped.
        optimizer: the optimizer; the gradients of the last step are still there.
        step: steps done.
        batch: the last batch of this process.
        evaluation: the last one, or None.
        stop_reason: set it to a text to end the run.
    """

    def __init__(self, objective: nn.Module, optimizer: Optimizer) -> None:
        self.objective, self.optimizer = objective, optimizer
        self.step = 0
        self.batch: Batch = ()
        self.evaluation: Evaluation | None = None
        self.stop_reason: str | None = None
        self.last_loss = torch.tensor(math.nan)
        self.clipped_from: Tensor | None = None

    @property
    def loss(self) -> float:
        """The loss of the last step of this process, in nats."""
        return float(self.last_loss)

    @property
    def learning_rate(self) -> float:
        """That of the first group of parameters."""
        return float(self.optimizer.param_groups[0]["lr"])

    @property
    def data_noise(self) -> float | None:
        """σ_x of the objective, in data units, or None if it has none."""
        noise = getattr(self.objective, "data_noise", None)
        return None if noise is None else float(noise)

    @property
    def gradient_norm(self) -> float:
        """The norm of the gradient of the last step, before clipping."""
        if self.clipped_from is not None:
            return float(self.clipped_from)
        gradients = [p.grad for p in self.objective.parameters() if p.grad is not None]
        return math.sqrt(sum(float(gradient.double().square().sum()) for gradient in gradients))


Callback = Callable[[TrainingState], object]
"""Called after every step: in the first process, or in each where its attribute ``in_every_process`` is True."""
