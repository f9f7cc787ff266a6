"""What ``fit`` returns, and the error that a run ends with when its numbers are not finite."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nflows_spread.deprecation import moved_names
from nflows_spread.training.averaging import MovingAverage
from nflows_spread.training.evaluation import Evaluation


@dataclass(frozen=True)
class FitResult:
    """What a run did.

    Attributes:
        losses: the loss of every step, in nats, the mean over processes and accumulated batches.
        steps: steps done.
        seconds: time spent training; both count what was done before the run was resumed.
        stopped: why it ended: ``"steps"``, ``"max_minutes"``, or the reason of a stop rule or a callback.
        evaluations: held-out losses and dimensions, in order.
        average: the moving average of the parameters, or None; ``average.copy_to(objective)`` applies it.
        checkpoint: the last checkpoint, or None.
        processes: how many have trained.
        rank: number of this process among them; the first one is 0, and so is one that has started others.
    """

    losses: Sequence[float] = field(repr=False)
    steps: int
    seconds: float
    stopped: str
    evaluations: Sequence[Evaluation] = ()
    average: MovingAverage | None = field(default=None, repr=False)
    checkpoint: Path | None = None
    processes: int = 1
    rank: int = 0


class NotFiniteError(ArithmeticError):
    """Training stopped because the loss or a parameter is not finite; the message names the cause."""


__getattr__ = moved_names(__name__, {"TrainingState": "nflows_spread.training.TrainingState"})
