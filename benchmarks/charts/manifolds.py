"""Manifolds of known dimension for charts: S-curve, swiss rolls, closed surfaces, a robot arm, a moved photograph."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from charts.data_set import Array, DataSet
from intrinsic_dimension.embedded_manifold import EmbeddedManifold, uniform
from intrinsic_dimension.embeddings import fourier, orthonormal
from intrinsic_dimension.surfaces import klein_bottle, spheres, torus

ROWS = 1500
"""Of each manifold, so that 1 200 are trained on, as the issue of this benchmark has it."""

_FRAME_SEED = 0
_NOISE = 0.05
_JOINTS, _LARGEST_ANGLE = 3, 1.2
_OFFSETS, _WINDOW, _PIXEL = 48, 96, 8
_CORNER = (120, 240)


def s_curve(seed: int) -> Array:
    """scikit-learn's S-curve, (n, 3)."""
    from sklearn.datasets import make_s_curve

    return np.asarray(make_s_curve(ROWS, random_state=seed)[0])


def swiss_roll(seed: int) -> Array:
    """scikit-learn's swiss roll, (n, 3)."""
    from sklearn.datasets import make_swiss_roll

    return np.asarray(make_swiss_roll(ROWS, random_state=seed)[0])


def swiss_roll_in_ten(seed: int) -> Array:
    """The same, placed isometrically in ten dimensions, always by the same matrix."""
    frame = orthonormal(3, 10, torch.Generator().manual_seed(_FRAME_SEED)).numpy()
    return swiss_roll(seed) @ frame


def two_rolls_in_noise(seed: int) -> Array:
    """Two swiss rolls side by side, one of them lying, with Gaussian noise of 5 % of the scale in all directions."""
    from sklearn.datasets import make_swiss_roll

    first, second = (make_swiss_roll(ROWS // 2, random_state=2 * seed + part)[0] for part in (0, 1))
    x = np.concatenate([first, second[:, [1, 0, 2]] + [40.0, 0.0, 0.0]])
    scale = np.sqrt(x.var(axis=0).mean())
    return np.asarray(x + _NOISE * scale * np.random.default_rng([seed, 2]).normal(size=x.shape))


def circle() -> EmbeddedManifold:
    """The unit circle in the plane."""
    return spheres(1)


def robot_arm(joints: int = _JOINTS) -> EmbeddedManifold:
    """Places of the joints and the hand of an arm in the plane, (n, 2J), whose J links turn by up to 69°."""

    def embed(u: Tensor) -> Tensor:
        angles = (_LARGEST_ANGLE * u).cumsum(1)
        return torch.cat([angles.cos().cumsum(1), angles.sin().cumsum(1)], 1)

    return EmbeddedManifold(f"robot arm {joints}", 2 * joints, joints, uniform(joints), embed)


def moved_photograph(seed: int) -> Array:
    """A window of a grey photograph, moved by up to 47 pixels each way, in averages of 8 × 8 pixels, (n, 144)."""
    from sklearn.datasets import load_sample_image

    grey = load_sample_image("china.jpg").mean(axis=2)
    places = np.random.default_rng(seed).permutation(_OFFSETS**2)[:ROWS]
    side = _WINDOW // _PIXEL
    windows = [
        grey[row : row + _WINDOW, column : column + _WINDOW].reshape(side, _PIXEL, side, _PIXEL).mean(axis=(1, 3))
        for row, column in zip(_CORNER[0] + places // _OFFSETS, _CORNER[1] + places % _OFFSETS)
    ]
    return np.stack(windows).reshape(ROWS, -1)


class Drawn:
    """Points of an embedded manifold by a seed."""

    def __init__(self, manifold: EmbeddedManifold) -> None:
        self.manifold = manifold

    def __call__(self, seed: int) -> Array:
        x: Array = self.manifold.sample(ROWS, generator=torch.Generator().manual_seed(seed)).numpy()
        return x


def _embedded(name: str, manifold: EmbeddedManifold, source: str) -> DataSet:
    return DataSet(name, Drawn(manifold), source, manifold.dimension, real=False, rows=ROWS)


MANIFOLDS = (
    DataSet("S-curve", s_curve, "scikit-learn's make_s_curve", 2, real=False, rows=ROWS),
    DataSet("swiss roll", swiss_roll, "scikit-learn's make_swiss_roll", 2, real=False, rows=ROWS),
    DataSet("swiss roll in 10", swiss_roll_in_ten, "the same by a random isometry", 2, real=False, rows=ROWS),
    _embedded(
        "smooth 5 in 20",
        fourier(5, 20, seed=1, length_scale=0.6),
        "random Fourier features of length scale 0.6, intrinsic_dimension.embeddings.fourier",
    ),
    _embedded("circle", circle(), "uniform in the plane"),
    _embedded("sphere", spheres(2), "uniform, in space"),
    _embedded("torus", torus(), "of radii 2 and 1, in space"),
    _embedded("Klein bottle", klein_bottle(), "in four dimensions"),
    _embedded("robot arm", robot_arm(), "three angles to the places of two joints and the hand, in the plane"),
    DataSet(
        "moved photograph",
        moved_photograph,
        "a window of scikit-learn's china.jpg, moved in two directions, 12 × 12 grey values",
        2,
        real=False,
        rows=ROWS,
    ),
    DataSet(
        "two rolls in noise", two_rolls_in_noise, "two swiss rolls, noise of 5 % of the scale", 2, real=False, rows=ROWS
    ),
)
