"""Histograms of samples over the coordinates of a manifold, beside its true density."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nflows_spread.datasets import Manifold

_POINTS_PER_CELL = 20

Cells = tuple[tuple[float, float, int], ...]
"""For each coordinate of a manifold the lowest and the highest value that count, and the number of cells between."""


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


def grid_for(manifold: Manifold, cells: Cells) -> Grid:
    """The cells of a manifold, with the mean of its density over each."""
    edges = tuple(torch.linspace(lowest, highest, number + 1) for lowest, highest, number in cells)
    shape = tuple(number for _, _, number in cells)
    fine = torch.cartesian_prod(*(_within(edge) for edge in edges)).view(-1, len(edges))
    values = manifold.log_density(fine).double().exp().view([n for m in shape for n in (m, _POINTS_PER_CELL)])
    return Grid(edges, values.mean(tuple(range(1, 2 * len(shape), 2))))


def _within(edges: Tensor) -> Tensor:
    """Midpoints of the finer cells that the cells between the edges are made of."""
    fine = torch.linspace(float(edges[0]), float(edges[-1]), _POINTS_PER_CELL * (len(edges) - 1) + 1)
    return 0.5 * (fine[1:] + fine[:-1])
