"""Burnt gas in chemical equilibrium: temperature, pressure and elements behind mole fractions, by Cantera."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from intrinsic_dimension.systems.system import Array, System

_PACKAGES = ("cantera",)
_ABSENT = ("AR",)
_HEAT, _PRESSURE = (1500.0, 2800.0), (-1.0, 1.0)


def _equilibrium(mechanism: str, mix: Callable[[Array], dict[str, float]]) -> Callable[[Array], Array]:
    """Decimal logarithms of the mole fractions at a temperature in K and the decimal logarithm of a pressure in atm.

    Args:
        mechanism: a file of Cantera's, whose species and their thermodynamics are taken.
        mix: the parameters beyond these two to the moles that are mixed.
    """

    def measure(parameters: Array) -> Array:
        import cantera

        gas = cantera.Solution(mechanism)
        kept = np.array([name not in _ABSENT for name in gas.species_names])
        fractions = []
        for temperature, pressure, *mixture in parameters:
            gas.TPX = temperature, cantera.one_atm * 10.0**pressure, mix(np.array(mixture))
            gas.equilibrate("TP", rtol=1e-12, max_steps=5000)
            fractions.append(gas.X[kept])
        logs: Array = np.log10(np.stack(fractions))
        return logs

    return measure


def _methane(mixture: Array) -> dict[str, float]:
    fuel, dilution, nitrogen = map(float, mixture)
    return {"CH4": fuel, "CO2": dilution, "O2": 2.0, "N2": 2.0 * nitrogen}


def _hydrogen(mixture: Array) -> dict[str, float]:
    return {"H2": 2.0 * float(mixture[0]), "O2": 1.0, "N2": 3.76}


GASES = (
    System(
        "burnt methane",
        52,
        5,
        (_HEAT, _PRESSURE, (0.6, 1.5), (0.0, 1.0), (2.0, 5.0)),
        _equilibrium("gri30.yaml", _methane),
        _PACKAGES,
        above=(5, 3),
        step=1e-3,
    ),
    System(
        "burnt hydrogen",
        9,
        3,
        (_HEAT, _PRESSURE, (0.6, 1.5)),
        _equilibrium("h2o2.yaml", _hydrogen),
        _PACKAGES,
        step=1e-3,
    ),
)
