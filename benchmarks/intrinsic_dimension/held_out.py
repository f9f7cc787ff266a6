"""Thirty manifolds beside the benchmark's, for a figure that no recipe was adjusted to.

Random smooth embeddings with K from 1 to 30 and D to 100, knots, closed surfaces, groups of
matrices, disconnected pieces, data of full dimension, and densities that are not uniform. The list
is fixed, and so is each map in it; a seed chooses the points alone. For manifolds beyond the list
call the makers in ``embeddings`` and ``surfaces`` with seeds and sizes of your own.
"""

from __future__ import annotations

from dataclasses import replace

from intrinsic_dimension.embedded_manifold import EmbeddedManifold, normal, skewed, uniform
from intrinsic_dimension.embeddings import fourier, hills, layered
from intrinsic_dimension.surfaces import (
    figure_eight_knot,
    flat,
    flat_torus,
    klein_bottle,
    orthonormal_pairs,
    pieces,
    placed,
    rotations,
    spheres,
    torus,
    torus_knot,
    uneven_ellipsoid,
)


def _named(name: str, manifold: EmbeddedManifold) -> EmbeddedManifold:
    return replace(manifold, name=name)


_EMBEDDINGS = (
    fourier(1, 5, seed=101, length_scale=0.4),
    fourier(2, 6, seed=102, length_scale=0.7),
    _named("fourier 2 in 8, skewed", fourier(2, 8, seed=103, length_scale=0.7, parameters=skewed(2, 2.0))),
    fourier(3, 10, seed=104, length_scale=0.8),
    fourier(4, 20, seed=105),
    fourier(6, 30, seed=106),
    fourier(8, 50, seed=107),
    layered(2, 100, seed=108, gain=1.2),
    layered(5, 15, seed=109),
    _named("layered 9 in 25, skewed", layered(9, 25, seed=110, parameters=skewed(9, 1.5))),
    layered(10, 40, seed=111),
    layered(15, 60, seed=112, gain=0.7),
    layered(20, 100, seed=113, gain=0.7),
    layered(30, 100, seed=114, gain=0.7),
    hills(2, seed=115),
    hills(4, seed=116),
    hills(8, seed=117),
)

_CLOSED = (
    torus_knot(2, 3, name="trefoil knot"),
    placed(figure_eight_knot(), 20, seed=201),
    torus(),
    placed(flat_torus(3), 12, seed=202),
    klein_bottle(),
    rotations(),
    orthonormal_pairs(5),
    spheres(3, 2),
    placed(uneven_ellipsoid((1.0, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0)), 15, seed=203),
)

_PIECES = (
    pieces("two 3-spheres in 8", [placed(spheres(3), 8, seed=seed, spread=1.0) for seed in (301, 302)]),
    pieces(
        "five patches 4 in 12",
        [flat(4, 12, parameters=uniform(4), seed=seed, spread=1.5) for seed in range(303, 308)],
    ),
)

_FULL = (
    _named("cube 5 in 5", flat(5, 5, parameters=uniform(5), seed=401)),
    pieces(
        "Gaussian mixture 12 in 12",
        [flat(12, 12, parameters=normal(12), seed=seed, spread=2.0) for seed in (402, 403, 404)],
    ),
)

HELD_OUT: tuple[EmbeddedManifold, ...] = (*_EMBEDDINGS, *_CLOSED, *_PIECES, *_FULL)
