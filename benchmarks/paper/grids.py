"""Histograms of samples over the coordinates of a manifold, beside its true density."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nflows_spread.datasets import FadingSquare, Manifold, SCurve

_POINTS_PER_CELL = 20


@dataclass(frozen=True)
class Grid:
    """Cells of equal size over the coordinates of a curve or a surface.

    Attributes:
        edges: of the cells along each coordinate.
        truth: true density, the mean over each cell, (m,) or (m, k).
    """

    edges: tuple[Tensor, ...]
    truth: Tensor

    @property
    def position(self) -> Tensor:
        """Midpoints of the cells along the first coordinate, (m,)."""
        return 0.5 * (self.edges[0][1:] + self.edges[0][:-1])

    @property
    def cell(self) -> float:
        """Volume of a cell."""
        return torch.stack([edges[1] - edges[0] for edges in self.edges]).prod().item()

    def histogram(self, coordinates: Tensor) -> Tensor:
        """The density of points by their coordinates (n, K); those outside the cells only count in n."""
        counts = torch.histogramdd(coordinates.cpu().contiguous(), bins=list(self.edges)).hist
        return counts.double() / (len(coordinates) * self.cell)

    def marginal(self, density: Tensor) -> Tensor:
        """The density of the first coordinate alone, (m,)."""
        width = float(self.edges[0][1] - self.edges[0][0])
        return density.flatten(1).sum(1) * (self.cell / width) if density.dim() > 1 else density


def grid_for(manifold: Manifold) -> Grid:
    """Cells: 60 over four standard deviations to either side for a curve, 30 by 4 over the S-curve's rectangle.

    The fading square has 20 over its grey levels.
    """
    if isinstance(manifold, SCurve):
        edges: tuple[Tensor, ...] = (torch.linspace(-4.7124, 4.7124, 31), torch.linspace(0.0, 2.0, 5))
    elif isinstance(manifold, FadingSquare):
        edges = (torch.linspace(0.0, 1.0, 21),)
    else:
        edges = (torch.linspace(-4.0, 4.0, 61),)
    shape = tuple(len(edge) - 1 for edge in edges)
    fine = torch.cartesian_prod(*(_within(edge) for edge in edges)).view(-1, len(edges))
    values = manifold.log_density(fine).double().exp().view([n for m in shape for n in (m, _POINTS_PER_CELL)])
    return Grid(edges, values.mean(tuple(range(1, 2 * len(shape), 2))))


def _within(edges: Tensor) -> Tensor:
    """Midpoints of the finer cells that the cells between the edges are made of."""
    fine = torch.linspace(float(edges[0]), float(edges[-1]), _POINTS_PER_CELL * (len(edges) - 1) + 1)
    return 0.5 * (fine[1:] + fine[:-1])
