"""Invertibility of a flow while it trains: the error of decode(encode(x)), tracked, with a warning past a bound."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from nflows_spread import validation
from nflows_spread.argument_types import typed
from nflows_spread.chart.inverse import rows_off
from nflows_spread.hosts import decode, encode
from nflows_spread.hosts.evaluation_mode import evaluating
from nflows_spread.linalg.moments import root_mean_variance
from nflows_spread.losses import SpreadKLLoss
from nflows_spread.training.callbacks import TrainingState
from nflows_spread.training.randomness import isolated_randomness

_ROWS = 64
"""Rows that go there and back, at most: a choice, for time."""

_BOUND = 0.01
"""Error over the scale of the data from which on there is a warning: a choice, a thirtieth of that at which read-outs
refuse a flow, and a thousand times that of the flows that the tests build in float32."""


class InvertibilityCheck:
    """A callback of ``fit`` that tracks how far a flow is from having an inverse in its arithmetic.

    Every layer has an inverse on paper. A deep flow that was trained too fast may stretch some direction by orders of
    magnitude; what is rounded on the way there is then blown up on the way back, the density stays plausible, and
    samples and reconstructions are wrong. The error is the largest root mean squared difference of a row of
    decode(encode(x)) from x, over the root of the mean variance of a feature; ∞ where it is not finite.

    Args:
        x: rows, (n, ...), of which up to 64 are taken; by default those of the last batch.
        every: steps between checks.
        bound: an error above it is warned of, once.
        stop: end the training at the first error above the bound.

    Attributes:
        errors: (step, error) of each check.

    Raises:
        TypeError, ValueError: an argument is of another type or out of range; in ``fit``, the objective has no flow.

    Example:
        >>> from nflows_spread.models import coupling_flow
        >>> from nflows_spread.training import fit
        >>> x = torch.randn(100, 2)
        >>> check = InvertibilityCheck(x, every=2)
        >>> result = fit(SpreadKLLoss(coupling_flow(2, layers=2), data_noise=0.1), x, steps=4, callbacks=[check])
        >>> [step for step, _ in check.errors], check.errors[-1][1] < 1e-3
        ([2, 4], True)
    """

    @typed
    def __init__(self, x: Tensor | None = None, *, every: int = 500, bound: float = _BOUND, stop: bool = False) -> None:
        self.x = None if x is None else validation.points("x", x)[:_ROWS]
        self.every = validation.positive_int("every", every)
        self.bound = validation.positive("bound", bound)
        self.stop = validation.switch("stop", stop)
        self.errors: list[tuple[int, float]] = []
        self._warned = False

    def __call__(self, state: TrainingState) -> None:
        """Check if it is time to."""
        if state.step % self.every:
            return
        if not isinstance(state.objective, SpreadKLLoss):
            raise TypeError(
                f"the objective must be a SpreadKLLoss, which has a flow, got {type(state.objective).__name__}; leave "
                "InvertibilityCheck out of callbacks"
            )
        given = self.x is None and len(state.batch) > 1
        x, context = state.batch[0] if self.x is None else self.x, state.batch[1][:_ROWS] if given else None
        with evaluating(state.objective), isolated_randomness(state.objective):
            error = inverse_error(state.objective.flow, x[:_ROWS], context)
        self.errors.append((state.step, error))
        if error <= self.bound:
            return
        said = (
            f"decode(flow, encode(flow, x)) must be x to within {self.bound:g} of the scale of the data, "
            f"got {error:.3g} at step {state.step}"
        )
        if self.stop:
            state.stop_reason = state.stop_reason or said
        if not self._warned:
            self._warned = True
            validation.warn(f"{said}; lower the learning rate, set gradient_clip, or take fewer layers or float64")


@torch.no_grad()
def inverse_error(flow: nn.Module, x: Tensor, context: Tensor | None = None) -> float:
    """The largest error of a row of decode(encode(x)), over the scale of the rows; ∞ where it is not finite."""
    place = next(flow.parameters(), x)
    x = x.to(place.device)
    scale = float(root_mean_variance(x.double())) or float(x.double().square().mean().sqrt()) or 1.0
    try:
        worst = float(rows_off(x, decode(flow, encode(flow, x, context), context)).max())
    except (ValueError, RuntimeError, AssertionError):  # layers say so where they have no inverse at what they meet
        return math.inf
    return worst / scale if math.isfinite(worst) else math.inf
