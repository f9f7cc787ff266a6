"""Sets of data of known dimension: scikit-dimension's 24 manifolds, 30 held out, random ones, and those of others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

from intrinsic_dimension import bi_lafaye
from intrinsic_dimension.embedded_manifold import EmbeddedManifold
from intrinsic_dimension.geomle import GEOMLE
from intrinsic_dimension.held_out import HELD_OUT
from intrinsic_dimension.random_manifolds import random_manifold
from intrinsic_dimension.systems import SYSTEMS

Array = NDArray[np.float64]

_RANDOM_MANIFOLDS = 30

_NOISE_STREAM = 1
"""Parts the generator of the ambient noise from that of the points, which starts from the same seed."""


@dataclass(frozen=True)
class Problem:
    """One manifold to find the dimension of.

    Attributes:
        name: of the manifold.
        features: D.
        dimension: K, the declared truth.
        draw: (n, seed) to n points without noise, (n, D).
        thick: in how many of the K directions the data is wider than a tenth of its scale, where that is known to be
            fewer. At that scale, which is that of neighbours in many dimensions, this is the dimension.
    """

    name: str
    features: int
    dimension: int
    draw: Callable[[int, int], Array]
    thick: int | None = None

    def sample(self, n: int, *, seed: int, noise: float = 0.0) -> Array:
        """Points of the manifold with Gaussian noise in all D directions, (n, D).

        Args:
            n: number of points.
            seed: of points and noise.
            noise: standard deviation in units of the data's scale, the root of the mean variance of a feature.
        """
        x = self.draw(n, seed)
        if noise == 0.0:
            return x
        scale = float(np.sqrt(x.var(axis=0).mean()))
        return x + noise * scale * np.random.default_rng([seed, _NOISE_STREAM]).normal(size=x.shape)


def problems(which: str) -> dict[str, Problem]:
    """The problems of a set, by name and in order.

    Raises:
        ValueError: there is no such set.
    """
    if which not in SETS:
        raise ValueError(f"the set of manifolds must be one of {', '.join(SETS)}, got {which!r}")
    return {problem.name: problem for problem in SETS[which]()}


def benchmark() -> list[Problem]:
    """The 24 of ``skdim.datasets.BenchmarkManifolds`` (Campadelli et al. 2015, Rozza et al. 2012, and further).

    Raises:
        ModuleNotFoundError: scikit-dimension or pandas is missing.
    """
    from skdim.datasets import BenchmarkManifolds

    truth = BenchmarkManifolds(random_state=0).truth
    return [
        Problem(name, features=features, dimension=dimension, draw=_BenchmarkDraw(name))
        for name, dimension, features, _ in truth.itertuples()
    ]


def held_out() -> list[Problem]:
    """The 30 of ``intrinsic_dimension.held_out``, which no recipe was adjusted on."""
    return [_problem(manifold) for manifold in HELD_OUT]


def random() -> list[Problem]:
    """The first 30 of ``intrinsic_dimension.random_manifolds``."""
    return [_problem(random_manifold(seed)) for seed in range(_RANDOM_MANIFOLDS)]


def geomle() -> list[Problem]:
    """The 45 of ``intrinsic_dimension.geomle``."""
    return [_problem(manifold) for manifold in GEOMLE]


def bi_lafaye_even() -> list[Problem]:
    """The 18 of ``intrinsic_dimension.bi_lafaye``, evenly sampled."""
    return [_problem(manifold) for manifold in bi_lafaye.EVEN]


def bi_lafaye_skewed() -> list[Problem]:
    """The 18, with Beta densities."""
    return [_problem(manifold) for manifold in bi_lafaye.SKEWED]


def bi_lafaye_noisy() -> list[Problem]:
    """The 18, evenly sampled, with noise in every direction."""
    return [_problem(manifold, noise=bi_lafaye.NOISE) for manifold in bi_lafaye.EVEN]


def systems() -> list[Problem]:
    """The real systems of ``intrinsic_dimension.systems``; to draw from one takes the package that models it."""
    return [
        Problem(
            system.name,
            system.features,
            system.dimension,
            _SystemDraw(system.name),
            None if system.above is None else system.above[-1],
        )
        for system in SYSTEMS
    ]


SETS: dict[str, Callable[[], list[Problem]]] = {
    "benchmark": benchmark,
    "held-out": held_out,
    "random": random,
    "geomle": geomle,
    "bi-lafaye": bi_lafaye_even,
    "bi-lafaye-skewed": bi_lafaye_skewed,
    "bi-lafaye-noisy": bi_lafaye_noisy,
    "systems": systems,
}

POINTS = {"geomle": 1000}
"""How many points a set has where nothing is said, by those who made it; ``MANY_POINTS`` for the others."""

MANY_POINTS = 2000


PACKAGES = {
    "systems": ("pin", "example-robot-data", "rdkit", "sgp4", "cantera", "CoolProp", "scikit-image"),
}
"""What a set is made with beside scikit-dimension, by the names in registries; their versions matter."""


def _problem(manifold: EmbeddedManifold, *, noise: float = 0.0) -> Problem:
    return Problem(manifold.name, manifold.features, manifold.dimension, _EmbeddedDraw(manifold, noise))


@dataclass(frozen=True)
class _BenchmarkDraw:
    name: str

    def __call__(self, n: int, seed: int) -> Array:
        return _all_benchmark_points(n, seed)[self.name]


@dataclass(frozen=True)
class _EmbeddedDraw:
    """Points of a manifold with noise of its own, in units of the data, which belongs to the problem."""

    manifold: EmbeddedManifold
    noise: float

    def __call__(self, n: int, seed: int) -> Array:
        generator = torch.Generator().manual_seed(seed)
        points = self.manifold.sample(n, generator=generator)
        if self.noise:
            points = points + self.noise * torch.randn(points.shape, generator=generator, dtype=points.dtype)
        x: Array = points.numpy()
        return x


@dataclass(frozen=True)
class _SystemDraw:
    name: str

    def __call__(self, n: int, seed: int) -> Array:
        return _system_points(self.name, n, seed)


@lru_cache(maxsize=1)
def _system_points(name: str, n: int, seed: int) -> Array:
    """Measurements of a system, some of which take seconds."""
    return next(system for system in SYSTEMS if system.name == name).sample(n, seed)


@lru_cache(maxsize=1)
def _all_benchmark_points(n: int, seed: int) -> dict[str, Array]:
    """All sets of one generator, in scikit-dimension's order, which is how published figures draw them."""
    from skdim.datasets import BenchmarkManifolds

    points: dict[str, Array] = BenchmarkManifolds(random_state=seed).generate("all", n=n)
    return points
