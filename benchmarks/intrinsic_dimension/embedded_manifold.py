"""An embedded manifold of the held-out list: random parameters, and a smooth map of them into space."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Draw = Callable[[int, torch.Generator], Tensor]


@dataclass(frozen=True)
class EmbeddedManifold:
    """The image of random parameters under a map, with the dimension that it has.

    The parameters need not be coordinates: a sphere is the image of Gaussian vectors under
    normalisation. What the declared dimension says is that the map's Jacobian has that rank.

    Attributes:
        name: in tables.
        features: D.
        dimension: K.
        parameters: (n, generator) to parameters (n, P) in float64.
        embed: parameters (n, P) to points (n, D), row by row, differentiable.
    """

    name: str
    features: int
    dimension: int
    parameters: Draw
    embed: Callable[[Tensor], Tensor]

    def sample(self, n: int, *, generator: torch.Generator) -> Tensor:
        """Draw n points (n, D) in float64."""
        return self.embed(self.parameters(n, generator))

    def jacobians(self, parameters: Tensor) -> Tensor:
        """Those of the map at each of the parameters (n, P), (n, D, P)."""
        return torch.vmap(torch.func.jacfwd(lambda p: self.embed(p.unsqueeze(0)).squeeze(0)))(parameters)

    def singular_values(self, parameters: Tensor) -> Tensor:
        """Those of the map's Jacobian at each of the parameters (n, P), in descending order, (n, min(P, D))."""
        return torch.linalg.svdvals(self.jacobians(parameters))

    def dimension_above(self, share: float, parameters: Tensor) -> int:
        """The dimension that is left where what is thinner than a share of the data's scale does not count.

        The median over the parameters (n, P) of the number of directions in which a standard deviation of the
        parameters moves a point by more than that; the scale is the root of the mean variance of a feature.
        """
        moves = torch.linalg.svdvals(self.jacobians(parameters) * parameters.std(dim=0))
        scale = self.embed(parameters).var(dim=0).mean().sqrt()
        return int((moves > share * scale).sum(dim=1).median())


def uniform(dimension: int) -> Draw:
    """Uniform in [−1, 1]^K."""
    return lambda n, generator: 2.0 * _rand(n, dimension, generator) - 1.0


def normal(dimension: int) -> Draw:
    """Standard Gaussian."""
    return lambda n, generator: torch.randn(n, dimension, generator=generator, dtype=torch.float64)


def skewed(dimension: int, power: float) -> Draw:
    """In [−1, 1]^K, each coordinate 2uᵖ − 1 with u uniform: dense at one end and thin at the other."""
    return lambda n, generator: 2.0 * _rand(n, dimension, generator) ** power - 1.0


def angles(dimension: int) -> Draw:
    """Uniform in [0, 2π]^K."""
    return lambda n, generator: 2.0 * torch.pi * _rand(n, dimension, generator)


def _rand(n: int, dimension: int, generator: torch.Generator) -> Tensor:
    return torch.rand(n, dimension, generator=generator, dtype=torch.float64)
