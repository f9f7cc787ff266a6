"""A manifold for every seed: as many as one likes beside the two fixed lists."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from intrinsic_dimension.embedded_manifold import EmbeddedManifold, normal, skewed, uniform
from intrinsic_dimension.embeddings import fourier, hills, layered
from intrinsic_dimension.surfaces import (
    flat,
    flat_torus,
    orthonormal_pairs,
    pieces,
    placed,
    spheres,
    torus_knot,
    uneven_ellipsoid,
)

LARGEST_DIMENSION = 30
LARGEST_WIDTH = 100
_KNOTS = ((2, 3), (2, 5), (3, 4), (2, 7))


def random_manifold(seed: int) -> EmbeddedManifold:
    """A manifold of a random kind and size, K from 1 to 30 and D to 100; the same one for the same seed.

    Smooth embeddings by Fourier features, the same with a skewed density, hills, knots, tori, products
    of spheres, ellipsoids, Stiefel manifolds, disconnected patches and data of full dimension are
    equally likely, and embeddings by a network, which alone reach K = 30, three times as much.
    """
    choices = np.random.default_rng(seed)
    kind = _KINDS[int(choices.integers(len(_KINDS)))]
    manifold = kind(choices, seed)
    return replace(manifold, name=f"{manifold.name}, seed {seed}")


def _fourier(choices: np.random.Generator, seed: int) -> EmbeddedManifold:
    dimension = _between(choices, 1, 8)
    return fourier(dimension, _width(choices, 2 * dimension + 1), seed=seed, length_scale=0.8)


def _skewed(choices: np.random.Generator, seed: int) -> EmbeddedManifold:
    dimension = _between(choices, 2, 6)
    parameters = skewed(dimension, 2.0)
    return fourier(dimension, _width(choices, 2 * dimension + 1), seed=seed, parameters=parameters)


def _layered(choices: np.random.Generator, seed: int) -> EmbeddedManifold:
    dimension = _between(choices, 2, LARGEST_DIMENSION)
    gain = 1.0 if dimension <= 10 else 0.7
    return layered(dimension, _width(choices, min(3 * dimension, LARGEST_WIDTH)), seed=seed, gain=gain)


def _hills(choices: np.random.Generator, seed: int) -> EmbeddedManifold:
    return hills(_between(choices, 1, 8), seed=seed)


def _knot(choices: np.random.Generator, seed: int) -> EmbeddedManifold:
    around, through = _KNOTS[int(choices.integers(len(_KNOTS)))]
    knot = torus_knot(around, through, name=f"torus knot {around}, {through}")
    return placed(knot, _width(choices, 3), seed=seed)


def _torus(choices: np.random.Generator, seed: int) -> EmbeddedManifold:
    dimension = _between(choices, 1, 4)
    return placed(flat_torus(dimension), _width(choices, 2 * dimension), seed=seed)


def _spheres(choices: np.random.Generator, seed: int) -> EmbeddedManifold:
    product = spheres(*(_between(choices, 1, 4) for _ in range(_between(choices, 1, 2))))
    return placed(product, _width(choices, product.features), seed=seed)


def _ellipsoid(choices: np.random.Generator, seed: int) -> EmbeddedManifold:
    axes = choices.uniform(1.0, 2.0, size=_between(choices, 3, 9)).tolist()
    return placed(uneven_ellipsoid(axes), _width(choices, len(axes)), seed=seed)


def _pairs(choices: np.random.Generator, seed: int) -> EmbeddedManifold:
    pairs = orthonormal_pairs(_between(choices, 3, 6))
    return placed(pairs, _width(choices, pairs.features), seed=seed)


def _patches(choices: np.random.Generator, seed: int) -> EmbeddedManifold:
    dimension, number = _between(choices, 1, 6), _between(choices, 2, 5)
    width = _width(choices, dimension + 1)
    parts = [
        flat(dimension, width, parameters=uniform(dimension), seed=number * seed + part, spread=1.5)
        for part in range(number)
    ]
    return pieces(f"{number} patches {dimension} in {width}", parts)


def _full(choices: np.random.Generator, seed: int) -> EmbeddedManifold:
    dimension, number = _between(choices, 2, 12), _between(choices, 1, 3)
    parts = [
        flat(dimension, dimension, parameters=normal(dimension), seed=number * seed + part, spread=2.0)
        for part in range(number)
    ]
    return pieces(f"mixture of {number} in {dimension}", parts)


_KINDS: tuple[Callable[[np.random.Generator, int], EmbeddedManifold], ...] = (
    _fourier,
    _skewed,
    *(_layered,) * 3,
    _hills,
    _knot,
    _torus,
    _spheres,
    _ellipsoid,
    _pairs,
    _patches,
    _full,
)


def _between(choices: np.random.Generator, smallest: int, largest: int) -> int:
    return int(choices.integers(smallest, largest + 1))


def _width(choices: np.random.Generator, smallest: int) -> int:
    """D, evenly in its logarithm, from the smallest that the manifold fits into."""
    return round(float(np.exp(choices.uniform(np.log(smallest), np.log(LARGEST_WIDTH)))))
