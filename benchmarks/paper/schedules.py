"""How a number changes over a training of any length: a curve whose times are shares of the steps.

A declaration names a course; a profile then changes the number of steps and nothing else has to follow.
The curves over steps themselves are those of ``nflows_spread.training``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from nflows_spread.training import schedules
from nflows_spread.training.schedules import Curve


class Course(Protocol):
    """A curve for each number of steps."""

    def over(self, steps: int) -> Curve:
        """The value at each step of a training of so many."""


@dataclass(frozen=True)
class Constant:
    """The same value throughout."""

    value: float

    def over(self, steps: int) -> Curve:
        """The value at each step of a training of so many."""
        return schedules.Constant(self.value)


@dataclass(frozen=True)
class Geometric:
    """From ``start`` to ``end`` at a constant ratio until that share of the steps is done, then ``end``."""

    start: float
    end: float
    until: float = 0.7

    def over(self, steps: int) -> Curve:
        """The value at each step of a training of so many."""
        return schedules.Geometric(self.start, self.end, _steps(self.until, steps))


@dataclass(frozen=True)
class Cosine:
    """From ``start`` to ``end`` along half a cosine over all steps."""

    start: float
    end: float

    def over(self, steps: int) -> Curve:
        """The value at each step of a training of so many."""
        return schedules.Cosine(self.start, self.end, steps)


@dataclass(frozen=True)
class Staircase:
    """The paper's: ``start``, times ``factor`` at every share ``every`` of the steps once ``after`` is done.

    Never below ``floor``. Of 300k steps, every=1/30 and after=1/3 are every 10k after the first 100k.
    """

    start: float
    factor: float
    every: float
    after: float = 0.0
    floor: float = 0.0

    def over(self, steps: int) -> Curve:
        """The value at each step of a training of so many."""
        every, after = _steps(self.every, steps), round(self.after * steps)
        return schedules.Staircase(self.start, self.factor, every, after, self.floor)


def _steps(share: float, steps: int) -> int:
    return max(1, round(share * steps))
