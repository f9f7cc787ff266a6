"""Synthetic data on manifolds of known dimension, density and distance: sine, line, S-curve, fading square."""

from __future__ import annotations

import math
from typing import ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor

from nflows_spread.datasets.extras import sklearn_datasets
from nflows_spread.linalg.distances import nearest_neighbours

_SEGMENTS = 4000


class Points(NamedTuple):
    """Points in data space, (n, D), with their coordinates on the manifold, (n, K)."""

    x: Tensor
    coordinates: Tensor


class Manifold(Protocol):
    """A synthetic set: its dimensions as declarations, its points, and the distance to it.

    Attributes:
        features: D, the number of ambient dimensions.
        intrinsic_dimension: K.
    """

    features: ClassVar[int]
    intrinsic_dimension: ClassVar[int]

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Points:
        """Draw n points in float32."""

    def embed(self, coordinates: Tensor) -> Tensor:
        """The points (n, D) with the given coordinates (n, K)."""

    def log_density(self, coordinates: Tensor) -> Tensor:
        """The logarithm of the density of the coordinates, (n,)."""

    def nearest(self, x: Tensor) -> Tensor:
        """Coordinates (n, K) of the points of the manifold that are nearest to x, (n, D)."""

    def distance(self, x: Tensor) -> Tensor:
        """Euclidean distance of points (n, D) to the manifold, (n,)."""


class _Distance:
    """The distance to the nearest point."""

    def embed(self, coordinates: Tensor) -> Tensor:
        """The points (n, D) with the given coordinates (n, K)."""
        raise NotImplementedError

    def nearest(self, x: Tensor) -> Tensor:
        """Coordinates (n, K) of the points of the manifold that are nearest to x, (n, D)."""
        raise NotImplementedError

    def distance(self, x: Tensor) -> Tensor:
        """Euclidean distance of points (n, D) to the manifold, (n,)."""
        return torch.linalg.vector_norm(x - self.embed(self.nearest(x)), dim=1)


class _Graph(_Distance):
    """The curve (t, h(t)) with t ~ N(0, 1)."""

    features: ClassVar[int] = 2
    intrinsic_dimension: ClassVar[int] = 1

    def height(self, t: Tensor) -> Tensor:
        """The second coordinate as a function of the first."""
        raise NotImplementedError

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Points:
        """Draw n points in float32."""
        coordinates = torch.randn(n, 1, generator=generator)
        return Points(self.embed(coordinates), coordinates)

    def embed(self, coordinates: Tensor) -> Tensor:
        """The points (n, 2) with the given first coordinate (n, 1)."""
        return torch.cat([coordinates, self.height(coordinates)], dim=1)

    def log_density(self, coordinates: Tensor) -> Tensor:
        """log N(t; 0, 1), (n,)."""
        return -0.5 * (coordinates.square().sum(1) + math.log(2.0 * math.pi))

    def nearest(self, x: Tensor) -> Tensor:
        """First coordinates (n, 1) of the points of the curve that are nearest to x, (n, 2)."""
        reach = max(6.0, float(x.abs().max()) + 1.0)
        t = torch.linspace(-reach, reach, _SEGMENTS + 1, dtype=x.dtype, device=x.device)
        return _nearest_on_curve(x, t, self.embed(t.unsqueeze(1))).unsqueeze(1)


class Line(_Graph):
    """x₂ = x₁, the second toy of appendix C.2."""

    def height(self, t: Tensor) -> Tensor:
        """The second coordinate as a function of the first."""
        return t


class Sine(_Graph):
    """x₂ = sin(2 x₁), the toy of figure 1 (section 2)."""

    def height(self, t: Tensor) -> Tensor:
        """The second coordinate as a function of the first."""
        return torch.sin(2.0 * t)


class SCurve(_Distance):
    """scikit-learn's S-curve: an S along its first and third axis, of width 2 (figure 4). Needs the extra ``sklearn``.

    Coordinates are the angle t in (−3π/2, 3π/2) and the second axis in (0, 2), both uniform.
    """

    features: ClassVar[int] = 3
    intrinsic_dimension: ClassVar[int] = 2

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Points:
        """Draw n points in float32."""
        seed = int(torch.randint(2**31, (), generator=generator))
        x, t = sklearn_datasets().make_s_curve(n, random_state=seed)
        x = torch.from_numpy(x).float()
        return Points(x, torch.stack([torch.from_numpy(t).float(), x[:, 1]], dim=1))

    def embed(self, coordinates: Tensor) -> Tensor:
        """The points (n, 3) with the given angle and width (n, 2)."""
        t, width = coordinates.unbind(1)
        return torch.stack([t.sin(), width, t.sign() * (t.cos() - 1.0)], dim=1)

    def log_density(self, coordinates: Tensor) -> Tensor:
        """That of the uniform density on the rectangle of the coordinates, (n,)."""
        t, width = coordinates.unbind(1)
        inside = (t.abs() <= 1.5 * math.pi) & (width >= 0.0) & (width <= 2.0)
        return torch.where(inside, -math.log(6.0 * math.pi), -math.inf).to(coordinates.dtype)

    def nearest(self, x: Tensor) -> Tensor:
        """Angle and width (n, 2) of the points of the surface that are nearest to x, (n, 3)."""
        t = torch.linspace(-1.5 * math.pi, 1.5 * math.pi, _SEGMENTS + 1, dtype=x.dtype, device=x.device)
        curve = self.embed(torch.stack([t, torch.zeros_like(t)], dim=1))[:, [0, 2]]
        return torch.stack([_nearest_on_curve(x[:, [0, 2]], t, curve), x[:, 1].clamp(0.0, 2.0)], dim=1)


class FadingSquare(_Distance):
    """Black 32×32 images with a 6×6 square in the middle, of uniform grey level in [0, 1] (figure 5).

    The coordinate is the grey level. Points are flat, (n, 1024); ``image_shape`` restores them.
    """

    features: ClassVar[int] = 1024
    intrinsic_dimension: ClassVar[int] = 1
    image_shape: ClassVar[tuple[int, int, int]] = (1, 32, 32)

    @property
    def square(self) -> Tensor:
        """Which of the 1024 pixels belong to the square, booleans."""
        mask = torch.zeros(32, 32, dtype=torch.bool)
        mask[13:19, 13:19] = True
        return mask.flatten()

    def sample(self, n: int, *, generator: torch.Generator | None = None) -> Points:
        """Draw n points in float32."""
        coordinates = torch.rand(n, 1, generator=generator)
        return Points(self.embed(coordinates), coordinates)

    def embed(self, coordinates: Tensor) -> Tensor:
        """The images (n, 1024) with the given grey level (n, 1)."""
        return coordinates * self.square.to(coordinates)

    def log_density(self, coordinates: Tensor) -> Tensor:
        """That of the uniform density on [0, 1], (n,)."""
        inside = ((coordinates >= 0.0) & (coordinates <= 1.0)).all(1)
        return torch.where(inside, 0.0, -math.inf).to(coordinates.dtype)

    def nearest(self, x: Tensor) -> Tensor:
        """Grey levels (n, 1) of the images of the set that are nearest to x, (n, 1024)."""
        return x[:, self.square.to(x.device)].mean(1, keepdim=True).clamp(0.0, 1.0)


def _nearest_on_curve(x: Tensor, parameter: Tensor, vertices: Tensor) -> Tensor:
    """Parameter (n,) of the points of a finely sampled curve that are nearest to x, (n, D).

    The curve runs straight from vertex to vertex, (m, D), and the parameter, (m,), is linear between
    them; the nearest point lies on one of the two segments at the nearest vertex.
    """
    vertex = nearest_neighbours(x, vertices, 1).indices.squeeze(1)
    segments = torch.stack([vertex - 1, vertex], dim=1).clamp(0, len(vertices) - 2)
    start, step = vertices[segments], vertices[segments + 1] - vertices[segments]
    offset = x.unsqueeze(1) - start
    along = ((offset * step).sum(2) / step.square().sum(2).clamp_min(torch.finfo(x.dtype).tiny)).clamp(0.0, 1.0)
    better = (offset - along.unsqueeze(2) * step).square().sum(2).argmin(1, keepdim=True)
    width = parameter[1] - parameter[0]
    return parameter[segments.gather(1, better).squeeze(1)] + width * along.gather(1, better).squeeze(1)
