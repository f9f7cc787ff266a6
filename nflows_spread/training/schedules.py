"""Schedules, annealing, of the data noise σ_x, the spread variance σ_Z² and the weight of a chart in training.

A schedule writes the value of its curve where the number lives, the way a torch learning-rate scheduler changes its
optimizer: it is built with what it changes, sets the first value at once, and moves on with ``step()``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from nflows_spread.deprecation import moved_names
from nflows_spread.training.curves import Constant, Cosine, Curve, Geometric, Staircase


class _Schedule:
    """A curve, the number of steps done, and where the value goes."""

    def __init__(self, owner: nn.Module, attribute: str, curve: Curve) -> None:
        if not hasattr(owner, attribute):
            loss = "ChartLoss" if attribute == "weight" else "SpreadKLLoss"
            got = f"got {type(owner).__name__}; build it with the {loss} that is trained"
            raise TypeError(f"the schedule needs something with {attribute!r}, {got}")
        self._owner, self._attribute, self.curve = owner, attribute, curve
        self.steps_done = 0
        self._write()

    @property
    def value(self) -> float:
        """What the coming training step uses."""
        return self.curve(self.steps_done)

    def step(self) -> None:
        """Move to the next training step."""
        before = self.value
        self.steps_done += 1
        value = self.value
        if value != before:
            setattr(self._owner, self._attribute, value)

    def _write(self) -> None:
        setattr(self._owner, self._attribute, self.value)

    def state_dict(self) -> dict[str, Any]:
        """The number of steps done; the curve is configuration and not state."""
        return {"steps_done": self.steps_done}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where ``state_dict`` was taken, and write that step's value."""
        self.steps_done = int(state["steps_done"])
        self._write()

    def __repr__(self) -> str:
        curve = getattr(self.curve, "__qualname__", None) or repr(self.curve)
        return f"{type(self).__name__}({curve})"


class NoiseSchedule(_Schedule):
    """Any curve for the data noise of an objective.

    Args:
        objective: what is trained; its ``data_noise`` is set, in data units.
        curve: ``Constant``, ``Geometric``, ``Staircase`` or ``Cosine`` with lengths in steps, or a function of the
            step.

    Raises:
        TypeError: the objective has no ``data_noise``.
        ValueError: the curve gives a negative value.

    Example:
        >>> from nflows_spread import SpreadKLLoss
        >>> from nflows_spread.models import coupling_flow
        >>> objective = SpreadKLLoss(coupling_flow(2, layers=2))
        >>> schedule = NoiseSchedule(objective, Geometric(0.4, 0.1, steps=2))
        >>> for _ in range(3):
        ...     print(f"{objective.data_noise:.2f}")
        ...     schedule.step()
        0.40
        0.20
        0.10
    """

    def __init__(self, objective: nn.Module, curve: Curve) -> None:
        super().__init__(objective, "data_noise", curve)


class ConstantNoise(NoiseSchedule):
    """``NoiseSchedule`` of a ``Constant``."""

    def __init__(self, objective: nn.Module, value: float) -> None:
        super().__init__(objective, Constant(value))


class GeometricNoise(NoiseSchedule):
    """``NoiseSchedule`` of a ``Geometric`` curve."""

    def __init__(self, objective: nn.Module, *, start: float, end: float, steps: int) -> None:
        super().__init__(objective, Geometric(start, end, steps))


class StaircaseNoise(NoiseSchedule):
    """``NoiseSchedule`` of a ``Staircase``, the paper's."""

    def __init__(
        self, objective: nn.Module, *, start: float, factor: float, every: int, after: int = 0, floor: float = 0.0
    ) -> None:
        super().__init__(objective, Staircase(start, factor, every, after, floor))


class CosineNoise(NoiseSchedule):
    """``NoiseSchedule`` of a ``Cosine``."""

    def __init__(self, objective: nn.Module, *, start: float, end: float, steps: int) -> None:
        super().__init__(objective, Cosine(start, end, steps))


class SpreadVarianceSchedule(_Schedule):
    """Any curve for σ_Z², in latent units squared.

    Args:
        base: the flow's ``DegenerateGaussian``; its ``spread_variance`` is set.
        curve: as for ``NoiseSchedule``; always above 0.
    """

    def __init__(self, base: nn.Module, curve: Curve) -> None:
        super().__init__(base, "spread_variance", curve)


class WeightSchedule(_Schedule):
    """Any curve for the ``weight`` of an objective that is a ``ChartLoss``."""

    def __init__(self, objective: nn.Module, curve: Curve) -> None:
        super().__init__(objective, "weight", curve)


OwnSchedule = NoiseSchedule | SpreadVarianceSchedule | WeightSchedule
"""Those of this package, beside torch's of the learning rate."""

__getattr__ = moved_names(
    __name__,
    {name: f"nflows_spread.training.curves.{name}" for name in ("Length", "ParametricCurve", "over_run")},
)
