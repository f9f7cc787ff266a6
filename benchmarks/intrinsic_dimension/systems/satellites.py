"""Satellites: orbital elements behind positions at several times, by the SGP4 model."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from intrinsic_dimension.systems.system import Array, System

_PACKAGES = ("sgp4",)
_EPOCH, _DRAG = 27000.0, 3e-5
"""Days since 1949-12-31 and the drag term of a small satellite, by the Earth's radius: choices."""

_TURN = (0.0, 2.0 * math.pi)


def _seen_at(minutes: Sequence[float], rest: Sequence[float | None]) -> Callable[[Array], Array]:
    """Positions in thousands of km at some minutes after the epoch.

    Args:
        minutes: when.
        rest: eccentricity, argument of perigee, inclination, mean anomaly, revolutions a day and right ascension of
            the node, in radians; None for those that are the parameters, in this order.
    """
    free = [number for number, value in enumerate(rest) if value is None]

    def measure(parameters: Array) -> Array:
        from sgp4.api import WGS72, Satrec

        seen = []
        for row in parameters:
            elements = [0.0 if value is None else value for value in rest]
            for number, value in zip(free, row):
                elements[number] = float(value)
            eccentricity, perigee, inclination, anomaly, revolutions, node = elements
            satellite = Satrec()
            rate = revolutions * 2.0 * math.pi / 1440.0
            satellite.sgp4init(
                WGS72, "i", 1, _EPOCH, _DRAG, 0.0, 0.0, eccentricity, perigee, inclination, anomaly, rate, node
            )
            places = [satellite.sgp4_tsince(minute)[1] for minute in minutes]
            seen.append(np.ravel(places) / 1000.0)
        return np.stack(seen)

    return measure


SATELLITES = (
    System(
        "six elements of an orbit at four times",
        12,
        6,
        ((0.001, 0.05), _TURN, (0.5, 1.5), _TURN, (14.5, 15.5), _TURN),
        _seen_at((0.0, 17.0, 41.0, 66.0), (None,) * 6),
        _PACKAGES,
        above=(6, 4),
    ),
    System(
        "three elements of an orbit at ten times",
        30,
        3,
        ((0.5, 1.5), _TURN, _TURN),
        _seen_at(tuple(9.0 * step for step in range(10)), (0.01, 1.0, None, None, 15.0, None)),
        _PACKAGES,
    ),
)
