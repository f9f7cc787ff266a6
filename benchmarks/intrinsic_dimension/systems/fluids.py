"""Properties of fluids: temperature, pressure and humidity behind density, enthalpy and others, by CoolProp."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from intrinsic_dimension.systems.system import Array, System

_PACKAGES = ("CoolProp",)


def _state(fluid: str, columns: Sequence[tuple[str, float]]) -> Callable[[Array], Array]:
    """Properties at a temperature in K and a pressure in MPa.

    Args:
        fluid: by CoolProp's name.
        columns: names of methods of CoolProp's state and the unit of each, which brings it to about 1.
    """

    def measure(parameters: Array) -> Array:
        import CoolProp

        state = CoolProp.AbstractState("HEOS", fluid)
        rows = []
        for temperature, pressure in parameters:
            state.update(CoolProp.PT_INPUTS, float(pressure) * 1e6, float(temperature))
            rows.append([getattr(state, name)() / unit for name, unit in columns])
        return np.array(rows)

    return measure


def _humid_air(parameters: Array) -> Array:
    """Eight properties of moist air at a temperature in K, a pressure in kPa and a relative humidity."""
    from CoolProp.HumidAirProp import HAPropsSI

    columns = (("W", 0.03), ("B", 20.0), ("D", 20.0), ("H", 5e4), ("S", 200.0), ("V", 0.2), ("M", 1e-6), ("K", 1e-3))
    return np.array(
        [
            [HAPropsSI(name, "T", row[0], "P", 1e3 * row[1], "R", row[2]) / unit for name, unit in columns]
            for row in parameters
        ]
    )


def _refrigerator(parameters: Array) -> Array:
    """Pressures, and temperature, enthalpy, entropy and density at the four corners of a cycle of R134a.

    Of evaporating and condensing temperature in K, superheat, subcooling and the compressor's efficiency.
    """
    import CoolProp

    state = CoolProp.AbstractState("HEOS", "R134a")
    rows = []
    for cold, hot, superheat, subcooling, efficiency in parameters.tolist():
        state.update(CoolProp.QT_INPUTS, 1.0, cold)
        low = state.p()
        state.update(CoolProp.QT_INPUTS, 0.0, hot)
        high = state.p()
        corners = [low / 1e6, high / 1e6]
        state.update(CoolProp.PT_INPUTS, low, cold + superheat)
        corners += _corner(state)
        enthalpy = state.hmass()
        state.update(CoolProp.PSmass_INPUTS, high, state.smass())
        enthalpy += (state.hmass() - enthalpy) / efficiency
        state.update(CoolProp.HmassP_INPUTS, enthalpy, high)
        corners += _corner(state)
        state.update(CoolProp.PT_INPUTS, high, hot - subcooling)
        corners += _corner(state)
        state.update(CoolProp.HmassP_INPUTS, state.hmass(), low)
        rows.append(corners + _corner(state))
    return np.array(rows)


def _corner(state: object) -> list[float]:
    units = (("T", 30.0), ("hmass", 5e4), ("smass", 200.0), ("rhomass", 100.0))
    return [getattr(state, name)() / unit for name, unit in units]


FLUIDS = (
    System(
        "water",
        9,
        2,
        ((280.0, 600.0), (15.0, 100.0)),
        _state(
            "Water",
            (
                *(("rhomass", 100.0), ("hmass", 5e5), ("smass", 1e3), ("cpmass", 500.0), ("cvmass", 500.0)),
                *(("speed_sound", 300.0), ("viscosity", 5e-4), ("conductivity", 0.1), ("Prandtl", 3.0)),
            ),
        ),
        _PACKAGES,
    ),
    System("moist air", 8, 3, ((278.0, 318.0), (80.0, 105.0), (0.2, 0.95)), _humid_air, _PACKAGES, step=1e-3),
    System(
        "refrigerator",
        18,
        5,
        ((255.0, 275.0), (300.0, 330.0), (3.0, 15.0), (2.0, 10.0), (0.5, 0.9)),
        _refrigerator,
        _PACKAGES,
        step=1e-3,
    ),
)
"""In units that bring the columns to like widths, since one scale serves them all."""
