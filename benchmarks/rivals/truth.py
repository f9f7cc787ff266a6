"""What is known of a synthetic manifold: distance of points to it, and the density on it by area.

The nearest point is sought from the nearest of many drawn points on by the Gauss-Newton method with damping, in the box
of the parameters.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from intrinsic_dimension.embedded_manifold import Draw
from nflows_spread.linalg.distances import nearest_neighbours

_DRAWN, _STEPS = 20_000, 40
"""Points to start from, and steps from the nearest of them: with them the distance of points of the manifold itself
was below 1e-6 of the scale in five dimensions, as the tests demand. A choice otherwise."""

_FIRST_DAMPING, _LARGEST_DAMPING = 1e-3, 1e6
"""In units of the mean square of the Jacobian's columns; ten times larger after a step up, a third after one down."""


class Truth(Protocol):
    """A manifold that is known, in units of its own."""

    def distances(self, x: Tensor) -> Tensor:
        """Of points (n, D) to the manifold, (n,)."""

    def log_densities(self, x: Tensor) -> Tensor | None:
        """log p by area at the nearest points, (n,), or None where there is none, as of pieces that meet."""


@dataclass(frozen=True)
class Parametrised:
    """The image of a box of parameters, or of all of them, under a map that is one to one almost everywhere.

    Attributes:
        embed: parameters (n, K) to points (n, D) in float64, row by row, differentiable.
        draw: (n, generator) to parameters.
        log_density: of the parameters, (n,).
        low: of the box, for each parameter or for all.
        high: likewise.
    """

    embed: Callable[[Tensor], Tensor]
    draw: Draw
    log_density: Callable[[Tensor], Tensor]
    low: float | Sequence[float] = -math.inf
    high: float | Sequence[float] = math.inf

    def distances(self, x: Tensor) -> Tensor:
        """Of points (n, D) to the manifold, (n,)."""
        return (x - self.embed(self.nearest(x))).norm(dim=1)

    def log_densities(self, x: Tensor) -> Tensor:
        """log p by area at the nearest points, (n,): that of the parameters without ½ log det JᵀJ."""
        parameters = self.nearest(x)
        jacobians = self._jacobians(parameters)
        return self.log_density(parameters) - 0.5 * torch.logdet(jacobians.mT @ jacobians)

    def nearest(self, x: Tensor) -> Tensor:
        """Parameters (n, K) of the nearest points of the manifold."""
        drawn = self.draw(_DRAWN, torch.Generator().manual_seed(0))
        found = drawn[nearest_neighbours(x, self.embed(drawn), 1).indices.squeeze(1)]
        squares, damping = self._squares(x, found), x.new_full((len(x),), _FIRST_DAMPING)
        low, high = (torch.as_tensor(bound, dtype=x.dtype).expand(found.shape[1]) for bound in (self.low, self.high))
        for _ in range(_STEPS):
            jacobians = self._jacobians(found)
            gram = jacobians.mT @ jacobians
            size = damping * gram.diagonal(dim1=1, dim2=2).mean(1) + torch.finfo(x.dtype).tiny
            gram = gram + size[:, None, None] * torch.eye(found.shape[1], dtype=x.dtype)
            pulled = jacobians.mT @ (x - self.embed(found)).unsqueeze(2)
            moved = (found + torch.linalg.solve(gram, pulled).squeeze(2)).clamp(low, high)
            after = self._squares(x, moved)
            is_better = after < squares
            found = torch.where(is_better[:, None], moved, found)
            squares = torch.where(is_better, after, squares)
            damping = torch.where(is_better, damping / 3.0, damping * 10.0).clamp_max(_LARGEST_DAMPING)
        return found

    def _squares(self, x: Tensor, parameters: Tensor) -> Tensor:
        return (x - self.embed(parameters)).square().sum(1)

    def _jacobians(self, parameters: Tensor) -> Tensor:
        """(n, D, K)."""
        found: Tensor = torch.vmap(torch.func.jacfwd(lambda p: self.embed(p.unsqueeze(0)).squeeze(0)))(parameters)
        return found


@dataclass(frozen=True)
class Known:
    """A manifold whose distance and density are formulas.

    Attributes:
        distance: of points (n, D), (n,).
        log_density: by area at the nearest points, (n,).
    """

    distance: Callable[[Tensor], Tensor]
    log_density: Callable[[Tensor], Tensor]

    def distances(self, x: Tensor) -> Tensor:
        """Of points (n, D) to the manifold, (n,)."""
        return self.distance(x)

    def log_densities(self, x: Tensor) -> Tensor:
        """log p by area at the nearest points, (n,)."""
        return self.log_density(x)


@dataclass(frozen=True)
class Union:
    """Several manifolds of different dimensions, with no density by one area.

    Attributes:
        parts: them.
    """

    parts: Sequence[Truth]

    def distances(self, x: Tensor) -> Tensor:
        """Of points (n, D) to the nearest part, (n,)."""
        return torch.stack([part.distances(x) for part in self.parts]).amin(0)

    def log_densities(self, x: Tensor) -> None:
        """None: the parts have densities by length and by area."""
