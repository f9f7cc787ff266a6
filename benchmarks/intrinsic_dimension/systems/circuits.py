"""Electric circuits: values of components behind voltages, by nodal analysis."""

from __future__ import annotations

import numpy as np

from intrinsic_dimension.systems.system import Array, System

_SIDE = 4
_UNKNOWN = ((0, 1), (1, 5), (5, 6), (6, 10), (10, 14), (9, 13))
"""Resistors of the grid that are free, by their ends; the others have 1 kΩ. A choice."""

_FREQUENCIES = np.logspace(-1.0, 1.0, 30)
"""In units of the filter's own, 1 / 2π√(LC)."""


def _grid_edges() -> list[tuple[int, int]]:
    nodes = range(_SIDE * _SIDE)
    right = [(node, node + 1) for node in nodes if (node + 1) % _SIDE]
    return right + [(node, node + _SIDE) for node in nodes if node + _SIDE < _SIDE * _SIDE]


def _grid(parameters: Array) -> Array:
    """Voltages at all nodes but the earth of a grid of resistors, for 1 mA into two corners, one after the other.

    The parameters are logarithms of resistances in kΩ.
    """
    nodes = _SIDE * _SIDE
    conductances = np.zeros((len(parameters), nodes, nodes))
    for a, b in _grid_edges():
        value = np.exp(-parameters[:, _UNKNOWN.index((a, b))]) if (a, b) in _UNKNOWN else np.ones(len(parameters))
        conductances[:, [a, b], [a, b]] += value[:, None]
        conductances[:, [a, b], [b, a]] -= value[:, None]
    currents = np.zeros((nodes - 1, 2))
    currents[0, 0] = currents[_SIDE - 1, 1] = 1.0
    voltages: Array = np.linalg.solve(
        conductances[:, :-1, :-1], np.broadcast_to(currents, (len(parameters), *currents.shape))
    )
    return voltages.reshape(len(parameters), -1)


def _filter(parameters: Array) -> Array:
    """Real and imaginary part of the voltage behind a ladder of two coils and a capacitor, at 30 frequencies.

    The parameters are logarithms of the source's resistance, a coil, the capacitor, the other coil and the load. Only
    ratios of impedances decide, so that one number of the five has no effect beside the others.
    """
    source, first, capacitor, second, load = (np.exp(column)[:, None] for column in parameters.T)
    s = 1j * _FREQUENCIES[None, :]
    right = s * second + load
    middle = 1.0 / (s * capacitor + 1.0 / right)
    voltage = middle / (source + s * first + middle) * load / right
    return np.concatenate([voltage.real, voltage.imag], axis=1)


CIRCUITS = (
    System("grid of resistors", 30, 6, ((-2.0, 2.0),) * 6, _grid),
    System("ladder filter", 60, 4, ((-0.7, 0.7),) * 5, _filter),
)
