"""Lenses: curvatures and distances behind the heights at which rays arrive, by tracing them exactly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from intrinsic_dimension.systems.system import Array, System

Surface = tuple[Array, Array, float]
"""Curvature and distance to the next surface for each lens, (n, 1), and the refractive index behind it."""


def trace(heights: Array, slopes: Array, surfaces: Sequence[Surface]) -> Array:
    """Heights at which meridional rays arrive at the plane after the last surface, (n, rays).

    A ray that meets a sphere of curvature c at an angle i to its normal goes on at i', n sin i = n' sin i' (Snell).

    Args:
        heights: of the rays in the plane of the first vertex, (n, rays) or (1, rays).
        slopes: angles to the axis in radians, likewise.
        surfaces: in order; before the first there is air.
    """
    y, angle, index = heights, slopes, 1.0
    for curvature, distance, behind in surfaces:
        # distance along the ray to the sphere c (y² + z²) = 2z, by the root that is small for small c
        b = np.cos(angle) - curvature * y * np.sin(angle)
        along = curvature * y**2 / (b + np.sqrt(b**2 - (curvature * y) ** 2))
        z, y = along * np.cos(angle), y + along * np.sin(angle)
        normal = np.arcsin(curvature * y)  # of the surface at the ray, against the axis, towards it above
        inside = np.arcsin(index * np.sin(angle + normal) / behind)
        angle, index = inside - normal, behind
        y = y + (distance - z) * np.tan(angle)
    return y


def _rays(fields: Sequence[float], pupil: Sequence[float]) -> tuple[Array, Array]:
    """Parallel bundles at some angles, each through some heights: heights and angles, (1, rays)."""
    angles, heights = np.meshgrid(fields, pupil, indexing="ij")
    return heights.reshape(1, -1), angles.reshape(1, -1)


def _triplet(parameters: Array) -> Array:
    """Cooke's triplet of three glasses with six curvatures and the two gaps between them free, in units of 10 mm."""
    curvatures, gaps = np.split(parameters[:, :, None], [6], axis=1)
    thick = np.full_like(curvatures[:, 0], 0.2)
    crown, flint, air = 1.6204, 1.6170, 1.0
    surfaces = [
        (curvatures[:, 0], thick, crown),
        (curvatures[:, 1], gaps[:, 0], air),
        (curvatures[:, 2], 0.5 * thick, flint),
        (curvatures[:, 3], gaps[:, 1], air),
        (curvatures[:, 4], thick, crown),
        (curvatures[:, 5], np.full_like(thick, 4.0), air),
    ]
    heights, angles = _rays((0.0, 0.12, 0.24), np.linspace(-0.4, 0.4, 8))
    return trace(heights, angles, surfaces)


def _single(parameters: Array) -> Array:
    """A lens whose curvatures, thickness, index and distance of the screen are free, in units of 10 mm."""
    first, second, thick, index, screen = (column[:, None] for column in parameters.T)
    heights, angles = _rays((0.0, 0.15), np.linspace(-0.6, 0.6, 9))
    surfaces = [(first, thick, index), (second, screen, 1.0)]
    return trace(heights, angles, surfaces)


def _around(values: Sequence[float], share: float) -> tuple[tuple[float, float], ...]:
    """Each value, more or less by a share of it."""
    return tuple((value - share * abs(value), value + share * abs(value)) for value in values)


LENSES = (
    System("triplet", 24, 8, _around((0.38, 0.05, -0.22, 0.4, 0.1, -0.35, 0.5, 0.5), 0.15), _triplet, above=(6, 3)),
    System("lens", 18, 5, ((0.1, 0.6), (-0.6, 0.0), (0.2, 0.8), (1.45, 1.8), (1.0, 4.0)), _single, above=(4, 2)),
)
