"""Evaluation of a run while it lasts: the loss of held-out rows, and the intrinsic dimension as it stands."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nflows_spread.deprecation import moved_names
from nflows_spread.dimension import rules
from nflows_spread.dimension.quick_spectrum import quick_signal_to_noise
from nflows_spread.dimension.spectra import spectrum
from nflows_spread.hosts.evaluation_mode import evaluating
from nflows_spread.losses import SpreadKLLoss
from nflows_spread.training.randomness import isolated_randomness
from nflows_spread.training.sources import Batch

_ROWS = 256
"""Rows that the dimension is read off. A choice; not measured."""

_CHUNK = 1024
"""Held-out rows that are evaluated at once, for the sake of memory. A choice; not measured."""

_LARGEST_MEASURED = 64
"""Features up to which the dimension is that of the whole spectrum, beyond them of a quick one. A choice."""


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation of a run has found.

    Attributes:
        step: steps done.
        loss: held-out loss in nats a row, or None without held-out data.
        dimension: the intrinsic dimension as it stands, or None where it cannot be told.
    """

    step: int
    loss: float | None
    dimension: int | None


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


_STOP_RULES = ("StopOnHeldOutLoss", "StopOnStableDimension", "StopRule")

__getattr__ = moved_names(__name__, {name: f"nflows_spread.training.{name}" for name in _STOP_RULES})
