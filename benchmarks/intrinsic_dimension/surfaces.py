"""Manifolds without a single chart: knots, closed surfaces, groups of matrices, and data in several pieces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from intrinsic_dimension.embedded_manifold import Draw, EmbeddedManifold, angles, normal
from intrinsic_dimension.embeddings import orthonormal


def torus_knot(around: int, through: int, *, name: str) -> EmbeddedManifold:
    """The curve that winds so many times around a torus in space while it passes through its hole so many times."""

    def embed(t: Tensor) -> Tensor:
        radius = 2.0 + torch.cos(through * t)
        return torch.cat([radius * torch.cos(around * t), radius * torch.sin(around * t), torch.sin(through * t)], 1)

    return EmbeddedManifold(name, 3, 1, angles(1), embed)


def figure_eight_knot() -> EmbeddedManifold:
    """((2 + cos 2t) cos 3t, (2 + cos 2t) sin 3t, sin 4t)."""

    def embed(t: Tensor) -> Tensor:
        radius = 2.0 + torch.cos(2 * t)
        return torch.cat([radius * torch.cos(3 * t), radius * torch.sin(3 * t), torch.sin(4 * t)], 1)

    return EmbeddedManifold("figure-eight knot", 3, 1, angles(1), embed)


def torus() -> EmbeddedManifold:
    """The ring of radii 2 and 1 in space, denser on its inner side."""

    def embed(t: Tensor) -> Tensor:
        u, v = t.unbind(1)
        radius = 2.0 + torch.cos(v)
        return torch.stack([radius * torch.cos(u), radius * torch.sin(u), torch.sin(v)], 1)

    return EmbeddedManifold("torus 2 in 3", 3, 2, angles(2), embed)


def flat_torus(dimension: int) -> EmbeddedManifold:
    """A product of K circles, in 2K dimensions."""
    return EmbeddedManifold(
        f"flat torus {dimension}",
        2 * dimension,
        dimension,
        angles(dimension),
        lambda t: torch.cat([torch.cos(t), torch.sin(t)], 1),
    )


def klein_bottle() -> EmbeddedManifold:
    """The Klein bottle in four dimensions, where it does not meet itself."""

    def embed(t: Tensor) -> Tensor:
        u, v = t.unbind(1)
        radius = 2.0 + torch.cos(v)
        across = torch.stack([torch.cos(u / 2), torch.sin(u / 2)], 1) * torch.sin(v).unsqueeze(1)
        return torch.cat([torch.stack([radius * torch.cos(u), radius * torch.sin(u)], 1), across], 1)

    return EmbeddedManifold("Klein bottle", 4, 2, angles(2), embed)


def spheres(*dimensions: int) -> EmbeddedManifold:
    """A product of unit spheres, K their dimensions' sum, each in one dimension more than its own."""
    widths = [dimension + 1 for dimension in dimensions]

    def embed(v: Tensor) -> Tensor:
        return torch.cat([part / part.norm(dim=1, keepdim=True) for part in v.split(widths, dim=1)], 1)

    name = "sphere " + " x ".join(map(str, dimensions))
    return EmbeddedManifold(name, sum(widths), sum(dimensions), normal(sum(widths)), embed)


def uneven_ellipsoid(axes: Sequence[float]) -> EmbeddedManifold:
    """An ellipsoid with the given half-axes, its points crowded at the ends of the longer ones."""
    lengths = torch.tensor(axes, dtype=torch.float64)
    return EmbeddedManifold(
        f"ellipsoid {len(axes) - 1}",
        len(axes),
        len(axes) - 1,
        lambda n, generator: lengths * normal(len(axes))(n, generator),
        lambda v: lengths * v / v.norm(dim=1, keepdim=True),
    )


def rotations() -> EmbeddedManifold:
    """SO(3): rotation matrices in nine dimensions, uniform, from unit quaternions."""

    def embed(q: Tensor) -> Tensor:
        w, x, y, z = (q / q.norm(dim=1, keepdim=True)).unbind(1)
        rows = (
            *(1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
            *(2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
            *(2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
        )
        return torch.stack(rows, 1)

    return EmbeddedManifold("rotations SO(3)", 9, 3, normal(4), embed)


def orthonormal_pairs(width: int) -> EmbeddedManifold:
    """The Stiefel manifold of pairs of orthonormal vectors, uniform; K = 2·width − 3, D = 2·width."""

    def embed(v: Tensor) -> Tensor:
        a, b = v.split(width, dim=1)
        first = a / a.norm(dim=1, keepdim=True)
        across = b - (first * b).sum(1, keepdim=True) * first
        return torch.cat([first, across / across.norm(dim=1, keepdim=True)], 1)

    return EmbeddedManifold(f"orthonormal pairs {width}", 2 * width, 2 * width - 3, normal(2 * width), embed)


def flat(dimension: int, features: int, *, parameters: Draw, seed: int, spread: float = 0.0) -> EmbeddedManifold:
    """Parameters placed isometrically in D dimensions; ``spread`` as in ``placed``."""
    plain = EmbeddedManifold(f"flat {dimension}", dimension, dimension, parameters, lambda u: u)
    return placed(plain, features, seed=seed, spread=spread)


def placed(manifold: EmbeddedManifold, features: int, *, seed: int, spread: float = 0.0) -> EmbeddedManifold:
    """A manifold turned at random into D dimensions, and moved by a Gaussian vector of the given standard deviation."""
    generator = torch.Generator().manual_seed(seed)
    frame = orthonormal(manifold.features, features, generator)
    offset = spread * torch.randn(features, generator=generator, dtype=torch.float64)
    return replace(
        manifold,
        name=f"{manifold.name} in {features}",
        features=features,
        embed=lambda u: manifold.embed(u) @ frame + offset,
    )


def pieces(name: str, parts: Sequence[EmbeddedManifold]) -> EmbeddedManifold:
    """A union of manifolds of one dimension and one kind of parameters, with equal shares of the points.

    The number of the part is the last parameter.
    """
    first = parts[0]

    def draw(n: int, generator: torch.Generator) -> Tensor:
        part = torch.randint(len(parts), (n, 1), generator=generator).double()
        return torch.cat([first.parameters(n, generator), part], 1)

    def embed(u: Tensor) -> Tensor:
        own, part = u[:, :-1], u[:, -1:]
        return torch.stack([(part == number) * each.embed(own) for number, each in enumerate(parts)]).sum(0)

    return EmbeddedManifold(name, first.features, first.dimension, draw, embed)
