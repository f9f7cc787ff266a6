"""A photograph moved, turned and lit: few numbers behind all its pixels, with an image that scikit-image ships."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np

from intrinsic_dimension.systems.system import Array, System

_PACKAGES = ("skimage", "scipy")
_BLUR = 10.0
"""Standard deviation in pixels of the photograph's 512: so that moves are smooth; a choice."""

_APART = 10.0
"""Pixels of the photograph between two that are seen; a choice."""


@lru_cache
def _photograph() -> Array:
    """The photographer, 512 × 512, blurred, as coefficients of a cubic spline, in standard deviations."""
    from scipy import ndimage
    from skimage import data, filters

    image = filters.gaussian(data.camera(), sigma=_BLUR)
    coefficients: Array = ndimage.spline_filter(image / image.std(), order=3)
    return coefficients


def _seen(side: int, affine: Callable[[Array], Array], *, lit: bool = False) -> Callable[[Array], Array]:
    """Grey values of side × side pixels in the middle of the photograph after an affine map of the plane.

    Args:
        side: in pixels that are seen.
        affine: parameters of a row to a map, (2, 3), in pixels of the photograph.
        lit: whether the last two parameters are a factor and an exponent of the grey values.
    """
    reach = _APART * (np.arange(side) - (side - 1) / 2)
    grid = np.stack([*(axis.ravel() for axis in np.meshgrid(reach, reach, indexing="ij")), np.ones(side * side)])

    def measure(parameters: Array) -> Array:
        from scipy import ndimage

        seen = []
        for row in parameters:
            places = affine(row) @ grid + 256.0
            values = ndimage.map_coordinates(_photograph(), places, order=3, prefilter=False, mode="reflect")
            seen.append(row[-2] * np.maximum(values, 1e-3) ** row[-1] if lit else values)
        return np.stack(seen)

    return measure


def _shift(row: Array) -> Array:
    return np.array([[1.0, 0.0, row[0]], [0.0, 1.0, row[1]]])


def _similarity(row: Array) -> Array:
    """Shift, angle in radians and the logarithm of the scale."""
    factor = math.exp(row[3])
    c, s = factor * math.cos(row[2]), factor * math.sin(row[2])
    return np.array([[c, -s, row[0]], [s, c, row[1]]])


def _any(row: Array) -> Array:
    """Shift and the four entries of a matrix beside the identity's."""
    return np.array([[1.0 + row[2], row[3], row[0]], [row[4], 1.0 + row[5], row[1]]])


_FAR, _SMALL = ((-60.0, 60.0),) * 2, (-0.3, 0.3)

PHOTOGRAPHS = (
    System("photograph, shifted", 256, 2, _FAR, _seen(16, _shift), _PACKAGES),
    System("photograph, turned and scaled", 400, 4, (*_FAR, (-0.8, 0.8), _SMALL), _seen(20, _similarity), _PACKAGES),
    System(
        "photograph, any affine map and light",
        400,
        8,
        (*_FAR, *(_SMALL,) * 4, (0.7, 1.3), (0.8, 1.25)),
        _seen(20, _any, lit=True),
        _PACKAGES,
    ),
)
