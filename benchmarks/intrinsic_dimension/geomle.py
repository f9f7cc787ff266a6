"""The 45 synthetic sets of GeoMLE: curves, rolls, spheres, cubes and nonlinear maps with K from 1 to 70.

Gomtsyan, Mokrov, Panov and Yanovich, "Geometry-Aware Maximum Likelihood Estimation of Intrinsic Dimension", ACML
2019, at 1 000 points each. Formulas, sizes and the published estimates are those of the authors' repository,
stat-ml/GeoMLE: its ``geomle/data.py`` and ``paper/result/result_dm.csv``. Most of the sets lie in the first few of the
D coordinates, and the others are 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from intrinsic_dimension.embedded_manifold import Draw, EmbeddedManifold, normal

Map = Callable[[Tensor], Tensor]

_AFFINE = torch.tensor(
    [[1.2, -0.5, 0.0], [0.5, 0.9, 0.0], [-0.5, -0.2, 1.0], [0.4, -0.9, -0.1], [1.1, -0.3, 0.0]], dtype=torch.float64
)
_AFFINE_OFFSET = torch.tensor([3.0, -1.0, 0.0, 0.0, 8.0], dtype=torch.float64)


def unit_cube(dimension: int) -> Draw:
    """Uniform in [0, 1]^K."""
    return lambda n, generator: torch.rand(n, dimension, generator=generator, dtype=torch.float64)


def _in_space(name: str, dimension: int, features: int, parameters: Draw, embed: Map) -> EmbeddedManifold:
    """The image of a map as the first of D coordinates."""

    def padded(u: Tensor) -> Tensor:
        x = embed(u)
        return torch.nn.functional.pad(x, (0, features - x.shape[1]))

    return EmbeddedManifold(f"{name} {dimension} in {features}", features, dimension, parameters, padded)


def _sphere(u: Tensor) -> Tensor:
    return u / u.norm(dim=1, keepdim=True)


def _four_in_six(u: Tensor) -> Tensor:
    p, q, r, s = u.unbind(1)
    turn = 2.0 * math.pi * p
    return torch.stack(
        [
            q**2 * turn.cos(),
            r**2 * turn.sin(),
            q + r + (q - s) ** 2,
            q - 2.0 * r + (p - s) ** 2,
            -q - 2.0 * r + (r - s) ** 2,
            p**2 - q**2 + r**2 - s**2,
        ],
        dim=1,
    )


def _wound(copies: int) -> Map:
    """Each parameter turns the next one around a circle, and all coordinates are repeated."""

    def embed(u: Tensor) -> Tensor:
        turn, radius = 2.0 * math.pi * u, u.roll(-1, dims=1)
        pairs = torch.stack([radius * turn.cos(), radius * turn.sin()], dim=2)
        return pairs.flatten(1).repeat(1, copies)

    return embed


def _spiral(u: Tensor) -> Tensor:
    t = 10.0 * math.pi * u
    return torch.cat([100.0 * t.cos(), 100.0 * t.sin(), t], dim=1)


def _wound_circle(u: Tensor) -> Tensor:
    t = 2.0 * math.pi * u
    radius = 2.0 + (8.0 * t).cos()
    return torch.cat([radius * t.cos(), radius * t.sin(), (8.0 * t).sin()], dim=1)


def _screw(u: Tensor) -> Tensor:
    r, p = (10.0 * math.pi * u).split(1, dim=1)
    return torch.cat([r * p.cos(), r * p.sin(), 0.5 * p], dim=1)


def _figure_eights(u: Tensor) -> Tensor:
    height, v = 2.0 * math.pi * u[:, :1], 5.0 * math.pi * u[:, 1:]
    return torch.cat([v.cos(), v.sin() * v.cos(), height], dim=1)


def _roll(u: Tensor) -> Tensor:
    t = 1.5 * math.pi * (1.0 + 2.0 * u[:, :1])
    return torch.cat([t * t.cos(), 21.0 * u[:, 1:], t * t.sin()], dim=1)


def _s_curve(u: Tensor) -> Tensor:
    t = 3.0 * math.pi * (u[:, :1] - 0.5)
    return torch.cat([t.sin(), 2.0 * u[:, 1:], t.sign() * (t.cos() - 1.0)], dim=1)


def _moebius_strip(u: Tensor) -> Tensor:
    turn, half_width = 2.0 * math.pi * u[:, :1], u[:, 1:] - 0.5
    radius = 1.0 + half_width * (5.0 * turn).cos()
    return torch.cat([radius * turn.cos(), radius * turn.sin(), half_width * (5.0 * turn).sin()], dim=1)


def _exponential(dimension: int) -> Draw:
    return lambda n, generator: -torch.rand(n, dimension, generator=generator, dtype=torch.float64).log()


def _paraboloid(e: Tensor) -> Tensor:
    """A multivariate Burr variable and the sum of its squares, their sines and their squares."""
    x = 1.0 / (1.0 + e[:, 1:] / e[:, :1])
    x = torch.cat([x, x.square().sum(1, keepdim=True)], dim=1)
    return torch.cat([x, x.sin(), x.square()], dim=1)


def _cube_and_side(dimension: int) -> Draw:
    def draw(n: int, generator: torch.Generator) -> Tensor:
        side = torch.randint(2 * dimension, (n, 1), generator=generator).double()
        return torch.cat([unit_cube(dimension)(n, generator), side], dim=1)

    return draw


def _cube_surface(u: Tensor) -> Tensor:
    """Points of a cube moved to one of its sides, whose number is the last parameter."""
    inside, side = u[:, :-1], u[:, -1:]
    axis = torch.arange(inside.shape[1], dtype=u.dtype)
    return torch.where(side.div(2.0).floor() == axis, side.remainder(2.0).round(), inside)


def _paraboloids() -> list[EmbeddedManifold]:
    return [
        _in_space("Paraboloid", dimension, 3 * (dimension + 1), _exponential(dimension + 1), _paraboloid)
        for dimension in (3, 6, 9, 12, 15)
    ]


def _two_widths(name: str, dimension: int, embed: Map) -> list[EmbeddedManifold]:
    return [_in_space(name, dimension, features, unit_cube(dimension), embed) for features in (3, 13)]


GEOMLE: tuple[EmbeddedManifold, ...] = (
    *(
        _in_space("Sphere", k, features, normal(k + 1), _sphere)
        for k, features in ((3, 5), (5, 10), (10, 15), (30, 35), (50, 55), (70, 75))
    ),
    _in_space("Affine_3to5", 3, 5, unit_cube(3), lambda u: 4.0 * u @ _AFFINE.T + _AFFINE_OFFSET),
    *(_in_space("Affine", k, k, unit_cube(k), lambda u: 5.0 * u - 2.5) for k in (5, 10, 20)),
    _in_space("Nonlinear_4to6", 4, 6, unit_cube(4), _four_in_six),
    *(
        _in_space("Nonlinear", k, features, unit_cube(k), _wound(features // (2 * k)))
        for k, features in ((4, 8), (6, 36), (8, 64), (12, 72))
    ),
    *_two_widths("Spiral", 1, _spiral),
    *_two_widths("Helix1d", 1, _wound_circle),
    *_two_widths("Helix2d", 2, _screw),
    *_two_widths("Helicoid", 2, _figure_eights),
    *_two_widths("Roll", 2, _roll),
    *_two_widths("Scurve", 2, _s_curve),
    _in_space("Moebius", 2, 3, unit_cube(2), _moebius_strip),
    *(
        _in_space("Uniform", k, features, unit_cube(k), lambda u: u)
        for k, features in ((5, 10), (10, 15), (30, 35), (50, 55), (70, 75))
    ),
    *(
        _in_space("Norm", k, features, normal(k), lambda u: u)
        for k, features in ((20, 20), (20, 50), (50, 50), (50, 70))
    ),
    *_paraboloids(),
    *(
        _in_space("Cubic", k, features, _cube_and_side(k + 1), _cube_surface)
        for k, features in ((3, 5), (30, 35), (70, 90))
    ),
)
"""In the order of the published table."""
