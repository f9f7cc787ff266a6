"""Stop rules: early stopping by the held-out loss, or by a stable dimension."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from nflows_spread import validation
from nflows_spread.argument_types import typed
from nflows_spread.training.evaluation import Evaluation


class StopRule(Protocol):
    """Says after each evaluation whether to go on. Its state travels in checkpoints."""

    def __call__(self, evaluation: Evaluation) -> str | None:
        """The reason to stop, or None."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...


class _Resumable:
    """State and settings in the fields of a dataclass."""

    def state_dict(self) -> dict[str, Any]:
        """All fields."""
        return asdict(self)  # type: ignore[call-overload]

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from ``state_dict``."""
        for name, value in state.items():
            setattr(self, name, value)


@typed
@dataclass
class StopOnHeldOutLoss(_Resumable):
    """Stop when the held-out loss has not fallen by ``min_improvement`` nats in ``patience`` evaluations."""

    patience: int = 10
    min_improvement: float = 0.0
    best: float = field(default=math.inf, repr=False)
    waited: int = field(default=0, repr=False)

    def __post_init__(self) -> None:
        validation.positive_int("patience", self.patience)
        validation.non_negative("min_improvement", self.min_improvement)

    def __call__(self, evaluation: Evaluation) -> str | None:
        if evaluation.loss is None:
            raise ValueError("StopOnHeldOutLoss needs held-out data, got none; pass held_out to fit")
        if evaluation.loss < self.best - self.min_improvement:
            self.best, self.waited = evaluation.loss, 0
            return None
        self.waited += 1
        if self.waited < self.patience:
            return None
        return f"the held-out loss has not improved in {self.waited} evaluations"


@typed
@dataclass
class StopOnStableDimension(_Resumable):
    """Stop when ``patience`` evaluations in a row gave the same dimension, once ``after`` steps are done.

    With a noise schedule let ``after`` be its number of steps: the dimension may change with the noise. Evaluations of
    a flow that has no dimension yet are passed over.
    """

    patience: int = 10
    after: int = 0
    dimension: int | None = field(default=None, repr=False)
    seen: int = field(default=0, repr=False)

    def __post_init__(self) -> None:
        validation.positive_int("patience", self.patience)
        validation.non_negative("after", self.after)

    def __call__(self, evaluation: Evaluation) -> str | None:
        if evaluation.step < self.after or evaluation.dimension is None or not self.count(evaluation.dimension):
            return None
        return f"the dimension was {self.dimension} in {self.seen} evaluations in a row"

    def count(self, dimension: int | None) -> bool:
        """Whether this one makes it ``patience`` equal ones in a row; after None the count starts anew."""
        self.seen = self.seen + 1 if dimension == self.dimension else 1
        self.dimension = dimension
        return dimension is not None and self.seen >= self.patience
