"""The 18 manifolds of a survey of intrinsic-dimension estimators, evenly sampled, skewed and with noise.

Bi and Lafaye de Micheaux, "A Survey and Comparative Evaluation of Intrinsic Dimension Estimators under the Manifold
Hypothesis", 2025: spheres, balls, graphs of a Gaussian density, products of limaçons and six surfaces and curves, each
turned at random into D dimensions. Formulas, sizes, the parameters of the Beta densities of the skewed variant and the
noise of 0.1 in every direction are those of the authors' repository, indeed-stupid/manifold-dimension-estimation. In
the even variant spheres and balls are even in volume and the others in their parameters, which is what the authors'
rejection comes to: its bound accepts all. They draw 500 and 2 000 points.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from intrinsic_dimension.embedded_manifold import Draw, EmbeddedManifold, normal
from intrinsic_dimension.geomle import unit_cube
from intrinsic_dimension.surfaces import placed

NOISE = 0.1
"""Standard deviation of the noisy variant in every direction, in units of the data, by the authors."""

_DEVIATION = 0.5
"""Of the Gaussian density whose graph is taken over three deviations each way, by the authors."""

Map = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class _Shape:
    """A map of [0, 1]^K, the Beta parameters of each coordinate in the skewed variant, and what is even in volume."""

    name: str
    features: int
    dimension: int
    embed: Map
    beta: tuple[tuple[float, float], ...]
    evenly: EmbeddedManifold | None = None


def _sphere_of_angles(u: Tensor) -> Tensor:
    """Spherical coordinates: all angles to π but the last, to 2π."""
    angle = math.pi * torch.cat([u[:, :-1], 2.0 * u[:, -1:]], dim=1)
    one = torch.ones_like(angle[:, :1])
    return torch.cat([angle.cos(), one], dim=1) * torch.cat([one, angle.sin().cumprod(1)], dim=1)


def _ball_of_radius_and_angles(u: Tensor) -> Tensor:
    return u[:, :1] * _sphere_of_angles(u[:, 1:])


def _gaussian_graph(u: Tensor) -> Tensor:
    x = 6.0 * _DEVIATION * u - 3.0 * _DEVIATION
    height = (2.0 * math.pi * _DEVIATION**2) ** (-x.shape[1] / 2)
    return torch.cat([x, height * (-x.square().sum(1, keepdim=True) / (2.0 * _DEVIATION**2)).exp()], dim=1)


def _limacons(windings: float) -> Map:
    """A product of K curves whose radius 1 + ½ cos 2πku goes so many times up and down in one turn."""

    def embed(u: Tensor) -> Tensor:
        turn = 2.0 * math.pi * u
        radius = 1.0 + 0.5 * (windings * turn).cos()
        return torch.cat([radius * turn.cos(), radius * turn.sin()], dim=1)

    return embed


def _cylinder(u: Tensor) -> Tensor:
    turn = 2.0 * math.pi * u[:, :1]
    return torch.cat([turn.cos(), turn.sin(), u[:, 1:]], dim=1)


def _helix(u: Tensor) -> Tensor:
    turn = 12.0 * math.pi * u
    return torch.cat([turn.cos(), turn.sin(), turn / (2.0 * math.pi)], dim=1)


def _swiss_roll(u: Tensor) -> Tensor:
    turn = 4.0 * math.pi * u[:, :1]
    return torch.cat([turn * turn.cos(), turn * turn.sin(), 20.0 * u[:, 1:]], dim=1)


def _moebius_band(u: Tensor) -> Tensor:
    turn, half_width = 2.0 * math.pi * u[:, :1], u[:, 1:] - 0.5
    radius = 1.5 + half_width * (turn / 2.0).cos()
    return torch.cat([radius * turn.cos(), radius * turn.sin(), half_width * (turn / 2.0).sin()], dim=1)


def _torus(u: Tensor) -> Tensor:
    around, through = (2.0 * math.pi * u).split(1, dim=1)
    radius = 3.0 + through.cos()
    return torch.cat([radius * around.cos(), radius * around.sin(), through.sin()], dim=1)


def _hyperboloid(u: Tensor) -> Tensor:
    turn, t = 2.0 * math.pi * u[:, :1], 2.0 * u[:, 1:] - 1.0
    return torch.cat([2.0 * t.cosh() * turn.cos(), 2.0 * t.cosh() * turn.sin(), t.sinh()], dim=1)


def _even_sphere(dimension: int) -> EmbeddedManifold:
    return EmbeddedManifold(
        "sphere", dimension + 1, dimension, normal(dimension + 1), lambda v: v / v.norm(dim=1, keepdim=True)
    )


def _even_ball(dimension: int) -> EmbeddedManifold:
    """Gaussian vectors and a radius to directions and the K-th root of the radius."""

    def draw(n: int, generator: torch.Generator) -> Tensor:
        return torch.cat([normal(dimension)(n, generator), unit_cube(1)(n, generator)], dim=1)

    def embed(v: Tensor) -> Tensor:
        direction = v[:, :-1] / v[:, :-1].norm(dim=1, keepdim=True)
        return v[:, -1:] ** (1.0 / dimension) * direction

    return EmbeddedManifold("ball", dimension, dimension, draw, embed)


def _shapes() -> list[_Shape]:
    side, middle = (2.0, 5.0), (2.0, 2.0)
    sizes = ((5, 10), (10, 20), (20, 40))
    return [
        *(_Shape("sphere", d, k, _sphere_of_angles, (*(side,) * (k - 1), middle), _even_sphere(k)) for k, d in sizes),
        *(
            _Shape("ball", d, k, _ball_of_radius_and_angles, ((2.0, 3.0), *(side,) * (k - 2), middle), _even_ball(k))
            for k, d in sizes
        ),
        *(_Shape("Gaussian graph", d, k, _gaussian_graph, (side,) * k) for k, d in sizes),
        *(_Shape(f"limaçons of {k:g}", 6, 3, _limacons(k), (side,) * 3) for k in (0.01, 0.1, 1.0)),
        _Shape("cylinder", 4, 2, _cylinder, (middle, side)),
        _Shape("helix", 3, 1, _helix, (side,)),
        _Shape("Swiss roll", 4, 2, _swiss_roll, (side, (3.0, 3.0))),
        _Shape("Möbius band", 4, 2, _moebius_band, (middle, side)),
        _Shape("torus", 4, 2, _torus, (side, (3.0, 3.0))),
        _Shape("hyperboloid", 4, 2, _hyperboloid, (middle, (3.0, 5.0))),
    ]


def _beta(parameters: tuple[tuple[float, float], ...]) -> Draw:
    """Independent Beta variables with whole parameters, as order statistics of uniform ones."""

    def draw(n: int, generator: torch.Generator) -> Tensor:
        columns = []
        for a, b in parameters:
            uniforms = unit_cube(int(a + b - 1))(n, generator)
            columns.append(uniforms.sort(dim=1).values[:, int(a) - 1])
        return torch.stack(columns, dim=1)

    return draw


def _turned(shape: _Shape, seed: int, *, skewed: bool) -> EmbeddedManifold:
    if shape.evenly is not None and not skewed:
        flat = shape.evenly
    else:
        draw = _beta(shape.beta) if skewed else unit_cube(shape.dimension)
        width = shape.embed(torch.full((1, shape.dimension), 0.25, dtype=torch.float64)).shape[1]
        flat = EmbeddedManifold(shape.name, width, shape.dimension, draw, shape.embed)
    found = placed(flat, shape.features, seed=seed)
    return EmbeddedManifold(
        f"{shape.name} {shape.dimension} in {shape.features}",
        shape.features,
        shape.dimension,
        flat.parameters,
        found.embed,
    )


EVEN: tuple[EmbeddedManifold, ...] = tuple(_turned(shape, seed, skewed=False) for seed, shape in enumerate(_shapes()))
SKEWED: tuple[EmbeddedManifold, ...] = tuple(_turned(shape, seed, skewed=True) for seed, shape in enumerate(_shapes()))
