"""Races, contenders and trials of a section of the performance benchmark; their targets are in ``targets.py``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Step = Callable[[], object]


@dataclass(frozen=True)
class Target:
    """A bound on a contender's time over that of another one in the same round.

    Attributes:
        contender: whose time is bounded.
        over: by whose time it is divided.
        at_most: the largest ratio that is good.
        tried: what has been tried, to be said where the target is missed.
    """

    contender: str
    over: str
    at_most: float
    tried: str = ""


@dataclass(frozen=True)
class Race:
    """Contenders that do the same work and take turns in one process.

    Attributes:
        section: which part of the benchmark it belongs to.
        name: what is done, and at which size.
        reference: the contender whose time all others' are set against.
        contenders: by name, what builds the work; it is built when the race starts and freed after it.
        absent: contenders that sit out, each with the reason.
        targets: what must come out.
        series: where this race stands on the axes along which growth is fitted, by the name of the axis.
        repeats: how many training steps one call does; times are given for one of them.
        seconds: how long a contender runs in a round, if it is fast.
        rounds: the most rounds, where fewer than usual are enough.
    """

    section: str
    name: str
    reference: str
    contenders: Mapping[str, Callable[[], Step]]
    absent: Mapping[str, str] = field(default_factory=dict)
    targets: Sequence[Target] = ()
    series: Mapping[str, float] = field(default_factory=dict)
    repeats: int = 1
    seconds: float = 0.2
    rounds: int | None = None


@dataclass(frozen=True)
class GrowthTarget:
    """A bound on the exponent with which a contender's time grows along an axis of a section."""

    section: str
    axis: str
    contender: str
    at_most: float


@dataclass(frozen=True)
class Trial:
    """A whole piece of work that is done once: how long it takes, and whether it comes to the right end.

    Attributes:
        section, name: as for a race.
        run: does it, and returns its ``seconds`` and whatever else is worth a record.
        at_most: the largest number of seconds that is good.
        expected: entries of the record that must be there for the trial to count.
    """

    section: str
    name: str
    run: Callable[[], Mapping[str, Any]]
    at_most: float
    expected: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Section:
    """A part of the benchmark.

    Attributes:
        name: for ``--sections``.
        races: makes the races; ``small`` asks for sizes that a test can afford.
        growth: bounds on exponents.
        trials: makes the trials.
    """

    name: str
    races: Callable[[bool], Sequence[Race]]
    growth: Sequence[GrowthTarget] = ()
    trials: Callable[[bool], Sequence[Trial]] = lambda small: ()
