"""How a run is judged while it lasts: held-out loss, dimension, and when that is reason to stop."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from nflows_spread import validation
from nflows_spread.dimension import rules
from nflows_spread.dimension.quick import quick_signal_to_noise
from nflows_spread.dimension.spectra import spectrum
from nflows_spread.losses import SpreadKLLoss
from nflows_spread.training.randomness import isolated_randomness
from nflows_spread.training.sources import Batch

_ROWS = 256
_CHUNK = 1024
_LARGEST_MEASURED = 64


@dataclass(frozen=True)
class Evaluation:
    """One look at a run.

    Attributes:
        step: steps done.
        loss: held-out loss in nats a row, or None without held-out data.
        dimension: the intrinsic dimension as it stands, or None where it cannot be told.
    """

    step: int
    loss: float | None
    dimension: int | None


class StopRule(Protocol):
    """Says after each evaluation whether to go on. Its state travels in checkpoints."""

    def __call__(self, evaluation: Evaluation) -> str | None:
        """The reason to stop, or None."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...


class _Patience:
    """State and settings in the fields of a dataclass."""

    def state_dict(self) -> dict[str, Any]:
        """All fields."""
        return asdict(self)  # type: ignore[call-overload]

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from ``state_dict``."""
        for name, value in state.items():
            setattr(self, name, value)


@dataclass
class StopOnHeldOutLoss(_Patience):
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


@dataclass
class StopOnStableDimension(_Patience):
    """Stop when ``patience`` evaluations in a row gave the same dimension, once ``after`` steps are done.

    With a noise schedule let ``after`` be its number of steps: the dimension may change with the noise.
    """

    patience: int = 10
    after: int = 0
    dimension: int | None = field(default=None, repr=False)
    seen: int = field(default=0, repr=False)

    def __post_init__(self) -> None:
        validation.positive_int("patience", self.patience)
        validation.non_negative("after", self.after)

    def __call__(self, evaluation: Evaluation) -> str | None:
        if evaluation.step < self.after or evaluation.dimension is None:
            return None
        self.seen = self.seen + 1 if evaluation.dimension == self.dimension else 1
        self.dimension = evaluation.dimension
        if self.seen < self.patience:
            return None
        return f"the dimension was {self.dimension} in {self.seen} evaluations in a row"


@torch.no_grad()
def held_out_loss(objective: nn.Module, held_out: Batch) -> float:
    """The mean loss on held-out rows, in evaluation mode and with the same noise each time."""
    total, rows = 0.0, len(held_out[0])
    with evaluating(objective), isolated_randomness(objective):
        for parts in zip(*(part.split(_CHUNK) for part in held_out)):
            total += float(objective(*parts)) * len(parts[0])
    return total / rows


def current_dimension(objective: nn.Module, x: Tensor, context: Tensor | None = None) -> int | None:
    """The intrinsic dimension as it stands, or None for an objective that has none to show.

    By the signal-to-noise rule of ``intrinsic_dimension``, from at most 256 rows; above 64 features from 4 Jacobians
    too, for which some 8 D rows pass through the flow, beyond 1024 features 3 D. It draws from a generator of its own.
    """
    if not isinstance(objective, SpreadKLLoss):
        return None
    base = objective.base
    try:
        with evaluating(objective):
            generator = torch.Generator(x.device).manual_seed(0)
            rows, part = x[:_ROWS], None if context is None else context[:_ROWS]
            if base.features <= _LARGEST_MEASURED:
                return int(rules.decide(spectrum(objective.flow, rows, context=part, generator=generator)))
            variance, noise = float(base.spread_variance), base.data_noise or 0.0
            found = quick_signal_to_noise(
                objective.flow,
                rows,
                data_noise=noise,
                spread_variance=variance,
                context=part,
                generator=generator,
            ).cpu()
            return int(rules.decide(rules.Spectrum(found.new_empty(0), found, variance, noise)))
    except (ValueError, RuntimeError):  # a flow that is not finite or not invertible yet has no dimension
        return None


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Inside, the module is in evaluation mode."""
    was_training = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(was_training)
