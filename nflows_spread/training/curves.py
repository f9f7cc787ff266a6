"""Curves for annealing: constant, geometric, a staircase, cosine. Which value belongs to which step.

Lengths are numbers of steps, or shares of a run of any length. ``schedules`` writes the values.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from nflows_spread import validation
from nflows_spread.argument_types import typed

Curve = Callable[[int], float]
"""The value at a step, counted from 0: one of the curves below, or a function of your own."""

Length = int | float
"""A number of steps, an ``int``; or a share of the run, a ``float`` of at most 1."""

_LENGTHS = ("steps", "every", "after")
"""The fields of curves that are lengths."""

_Kind = TypeVar("_Kind", bound="ParametricCurve")


@dataclass(frozen=True)
class ParametricCurve(ABC):
    """A curve whose lengths may be shares of a run, which ``over`` turns into numbers of steps.

    Example:
        >>> Geometric(0.4, 0.1, steps=0.5).over(300)
        Geometric(start=0.4, end=0.1, steps=150)
    """

    def over(self: _Kind, steps: int) -> _Kind:
        """This curve in a run of so many steps; one in steps is the same in each run."""
        steps, shares = validation.positive_int("steps", steps), self._shares()
        least = {name: int(name != "after") for name in shares}
        return replace(self, **{name: max(least[name], round(share * steps)) for name, share in shares.items()})

    def __call__(self, step: int) -> float:
        """The value at a step, counted from 0.

        Raises:
            ValueError: lengths are shares of a run.
        """
        if self._shares():
            raise ValueError(f"a curve has values at steps once its lengths are in steps, got {self}; call over(steps)")
        return self._at(step)

    @abstractmethod
    def _at(self, step: int) -> float: ...

    def _shares(self) -> dict[str, float]:
        lengths = {name: getattr(self, name, None) for name in _LENGTHS}
        return {name: value for name, value in lengths.items() if isinstance(value, float) and value != 0.0}


def over_run(curve: Curve, steps: int) -> Curve:
    """A curve in a run of so many steps; a function of your own is the same in each."""
    return curve.over(steps) if isinstance(curve, ParametricCurve) else curve


@typed
@dataclass(frozen=True)
class Constant(ParametricCurve):
    """The same value at every step."""

    value: float

    def __post_init__(self) -> None:
        validation.non_negative("value", self.value)

    def _at(self, step: int) -> float:
        return self.value


@typed
@dataclass(frozen=True)
class Geometric(ParametricCurve):
    """From ``start`` to ``end`` at a constant ratio over ``steps``, by default the whole run, then ``end``."""

    start: float
    end: float
    steps: Length = 1.0

    def __post_init__(self) -> None:
        validation.positive("start", self.start)
        validation.positive("end", self.end)
        _check_length("steps", self.steps)

    def _at(self, step: int) -> float:
        if step >= self.steps:
            return self.end
        return self.start * (self.end / self.start) ** (step / self.steps)


@typed
@dataclass(frozen=True)
class Staircase(ParametricCurve):
    """``start``, multiplied by ``factor`` with each ``every`` that passes once ``after`` is over, not below ``floor``.

    The paper's annealing (appendix C): the first multiplication happens ``every`` after ``after``. Of its 300k steps,
    every=1/30 and after=1/3 are every 10k after the first 100k.
    """

    start: float
    factor: float
    every: Length
    after: Length = 0
    floor: float = 0.0

    def __post_init__(self) -> None:
        validation.non_negative("start", self.start)
        validation.positive("factor", self.factor)
        _check_length("every", self.every)
        if self.after != 0:  # none at all, as a share too
            _check_length("after", self.after, validation.non_negative_int)
        validation.non_negative("floor", self.floor)

    def _at(self, step: int) -> float:
        return max(self.start * self.factor ** (max(0, step - self.after) // self.every), self.floor)

    @classmethod
    def by_epoch(
        cls, steps_per_epoch: int, *, start: float = 0.01, factor: float = 0.9, hold: int = 20, decay: int = 20
    ) -> Staircase:
        """``start`` for ``hold`` epochs, then times ``factor`` at each of ``decay`` more (section 5.2, colour images).

        The defaults are the paper's: 0.01 for twenty epochs, 0.009 in the next, 0.0012 from the fortieth on.

        Args:
            steps_per_epoch: rows of the data over rows of a step, rounded down.
            start: σ_x of the first epochs.
            factor: what an epoch multiplies it by, at most 1.
            hold: epochs at ``start``, at least 1.
            decay: epochs that multiply; after them the value stays.
        """
        if factor > 1.0:
            raise ValueError(f"factor must be at most 1, got {factor}")
        steps = validation.positive_int("steps_per_epoch", steps_per_epoch)
        after = (validation.positive_int("hold", hold) - 1) * steps
        floor = start * validation.positive("factor", factor) ** validation.positive_int("decay", decay)
        return cls(start, factor, every=steps, after=after, floor=floor)


@typed
@dataclass(frozen=True)
class Cosine(ParametricCurve):
    """From ``start`` to ``end`` along half a cosine over ``steps``, by default the whole run, then ``end``."""

    start: float
    end: float
    steps: Length = 1.0

    def __post_init__(self) -> None:
        validation.non_negative("start", self.start)
        validation.non_negative("end", self.end)
        _check_length("steps", self.steps)

    def _at(self, step: int) -> float:
        if step >= self.steps:
            return self.end
        return self.end + 0.5 * (self.start - self.end) * (1.0 + math.cos(math.pi * step / self.steps))


def _check_length(name: str, value: Length, check: Callable[[str, int], int] = validation.positive_int) -> None:
    if not isinstance(value, float):
        check(name, value)
    elif not 0.0 < value <= 1.0:
        raise ValueError(
            f"{name} must be a whole number of steps, or a share of the run above 0 and at most 1, got {value}"
        )
