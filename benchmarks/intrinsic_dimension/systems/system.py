"""Degrees of freedom of a measured system, as the rank of the numerical Jacobian of its measurements."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

SHARES = (0.01, 0.1)
"""Shares of the data's scale at which a direction is thin: where the recipe's noise ends, and neighbours; a choice."""


@dataclass(frozen=True)
class System:
    """Measurements that a few numbers decide, drawn evenly from a box.

    Attributes:
        name: in tables.
        features: D, how many measurements.
        dimension: K, the rank of the Jacobian of the measurements, at most the number of parameters.
        box: lower and upper bound of each parameter.
        measure: parameters (n, P) to measurements (n, D), row by row.
        packages: what must be installed for it, by the names in ``import``.
        above: in how many of the K directions a point moves by more than each of ``SHARES`` of the data's scale, the
            median over the box; K if None. At those scales this is the dimension.
        step: of the differences, as a share of a parameter's range; larger where the model iterates to a tolerance.
    """

    name: str
    features: int
    dimension: int
    box: tuple[tuple[float, float], ...]
    measure: Callable[[Array], Array]
    packages: tuple[str, ...] = ()
    above: tuple[int, int] | None = None
    step: float = 1e-5

    @property
    def dimensions_above(self) -> tuple[int, int]:
        """That above each of ``SHARES``."""
        return self.above or (self.dimension, self.dimension)

    def parameters(self, n: int, generator: np.random.Generator) -> Array:
        """Draw n of them, (n, P)."""
        low, high = np.array(self.box).T
        return generator.uniform(low, high, size=(n, len(self.box)))

    def sample(self, n: int, seed: int) -> Array:
        """Measurements of n systems, (n, D).

        Raises:
            ModuleNotFoundError: a package that models them is missing.
        """
        return self.measure(self.parameters(n, np.random.default_rng(seed)))

    def singular_values(self, parameters: Array) -> Array:
        """Those of the Jacobian at each of the parameters (n, P), by central differences, (n, min(P, D)).

        A column is what a standard deviation of its parameter does, and the unit is the data's scale, the root of the
        mean variance of a feature.
        """
        low, high = np.array(self.box).T
        columns = []
        for number, width in enumerate(high - low):
            move = np.zeros(len(low))
            move[number] = self.step * width
            difference = self.measure(parameters + move) - self.measure(parameters - move)
            columns.append(difference / (2.0 * self.step) / np.sqrt(12.0))
        scale = np.sqrt(self.measure(parameters).var(axis=0).mean())
        values: Array = np.linalg.svd(np.stack(columns, axis=2), compute_uv=False) / scale
        return values
