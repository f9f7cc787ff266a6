"""Grids over the coordinates of a manifold, at the resolution of the data noise."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nflows_spread.datasets import Manifold, SCurve


@dataclass(frozen=True)
class Grid:
    """Cells, each the mean of several finer ones: a flow trained with noise σ_x says nothing about smaller scales.

    Attributes:
        position: midpoints of the cells along the first coordinate, (m,).
        cell: volume of a cell.
        truth: true density, the mean over each cell, (m, k) with k = 1 for a curve.
        fine: coordinates of the finer cells' midpoints, the first varying slowest, (·, K).
        fine_cell: volume of a finer cell.
        shape: (cells, finer cells in each) along the first and the second coordinate.
    """

    position: Tensor
    cell: float
    truth: Tensor
    fine: Tensor
    fine_cell: float
    shape: tuple[int, int, int, int]

    def pool(self, density: Tensor) -> Tensor:
        """From values at ``fine`` to means over the cells, (m, k)."""
        return density.view(self.shape).mean((1, 3))

    def marginal(self, density: Tensor) -> Tensor:
        """The density of the first coordinate alone, (m,), from one in the cells (m, k)."""
        width = float(self.position[1] - self.position[0])
        return density.sum(1) * (self.cell / width)


def grid_for(manifold: Manifold) -> Grid:
    """Cells about 0.1 wide: four standard deviations to either side for a curve, the S-curve's whole rectangle."""
    if isinstance(manifold, SCurve):
        (position, fine, cell), (_, across, across_cell) = _axis(-4.7123, 4.7123, 94, 5), _axis(0.0, 2.0, 20, 5)
        coordinates, shape = torch.cartesian_prod(fine, across), (94, 5, 20, 5)
        cell, fine_cell = cell * across_cell, cell * across_cell / 25.0
    else:
        position, fine, cell = _axis(-4.0, 4.0, 80, 10)
        coordinates, shape, fine_cell = fine.unsqueeze(1), (80, 10, 1, 1), cell / 10.0
    truth = manifold.log_density(coordinates).double().exp().view(shape).mean((1, 3))
    return Grid(position, cell, truth, coordinates, fine_cell, shape)


def _axis(low: float, high: float, cells: int, finer: int) -> tuple[Tensor, Tensor, float]:
    """Midpoints of cells, midpoints of finer cells, and the width of a cell."""
    width = (high - low) / cells
    fine = low + width / finer * (torch.arange(cells * finer) + 0.5)
    return low + width * (torch.arange(cells) + 0.5), fine, width
