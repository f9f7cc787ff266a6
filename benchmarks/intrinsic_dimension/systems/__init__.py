"""Real systems with a known number of degrees of freedom: robots, molecules, orbits, gases, fluids, images, optics."""

from intrinsic_dimension.systems.circuits import CIRCUITS
from intrinsic_dimension.systems.fluids import FLUIDS
from intrinsic_dimension.systems.gases import GASES
from intrinsic_dimension.systems.lenses import LENSES
from intrinsic_dimension.systems.molecules import MOLECULES
from intrinsic_dimension.systems.photographs import PHOTOGRAPHS
from intrinsic_dimension.systems.robots import ROBOTS
from intrinsic_dimension.systems.satellites import SATELLITES
from intrinsic_dimension.systems.system import System

SYSTEMS: tuple[System, ...] = (
    *ROBOTS,
    *MOLECULES,
    *SATELLITES,
    *GASES,
    *FLUIDS,
    *PHOTOGRAPHS,
    *LENSES,
    *CIRCUITS,
)
"""By the packages that model them."""
