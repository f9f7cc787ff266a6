"""Monomials of points along their principal axes, the surfaces that these are nearest to, and the slopes of equations.

An equation q = Σ c_k (m_k − E m_k) = 0 of monomials m_k with E |∇m_k|² = 1 holds up to the root of E q² / E |∇q|², to
first order the distance of points from its surface (Taubin, 1991). Where gradients are orthogonal in the mean E |∇q|²
is |c|², so that the squared distances from surfaces are the eigenvalues of E (m − E m)(m − E m)ᵀ.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import combinations_with_replacement

import torch
from torch import Tensor


def number_of_monomials(axes: int, degree: int) -> int:
    """Coefficients of a polynomial but the constant one."""
    return math.comb(axes + degree, degree) - 1


class Monomials:
    """Products of up to ``degree`` coordinates at points, scaled so that E |∇|² of each is 1.

    Args:
        degree: 2 or more.
        coordinates: of variance 1 along principal axes, (n, r).
        widths: standard deviations along these, (r,), by which gradients are in units of the data.
        points: how many of the first ones ``slopes`` is asked of.

    Attributes:
        scales: by which the products of coordinates are multiplied, (k,).
        terms: about their means, (n, k).
        products: E of theirs with each other, (k, k), whose eigenvalues are squared distances from surfaces.
    """

    def __init__(self, degree: int, coordinates: Tensor, widths: Tensor, *, points: int) -> None:
        axes = len(widths)
        columns = [torch.ones_like(coordinates[:, 0])]
        place: dict[tuple[int, ...], int] = {(): 0}
        for factors in self._factors(axes, degree):
            place[factors] = len(columns)
            columns.append(columns[place[factors[:-1]]] * coordinates[:, factors[-1]])
        powers = torch.stack(columns, dim=1)
        derivatives: list[list[tuple[int, int, int]]] = [[] for _ in range(axes)]
        for factors, index in place.items():
            for axis in set(factors):
                rest = list(factors)
                rest.remove(axis)
                derivatives[axis].append((index - 1, factors.count(axis), place[tuple(rest)]))
        squares = coordinates.new_zeros(len(columns) - 1)
        means = powers.square().mean(0)
        self._by_axis = []
        for axis, parts in enumerate(derivatives):
            which, times, of = torch.tensor(parts, device=powers.device).unbind(1)
            factor = times / widths[axis]
            squares[which] += factor.square() * means[of]
            self._by_axis.append((which, factor * powers[:points, of]))
        self.scales = squares.rsqrt()
        values = powers[:, 1:] * self.scales
        self.terms = values - values.mean(0)
        self.products = self.terms.mT @ self.terms / len(values)

    @staticmethod
    def _factors(axes: int, degree: int) -> Iterator[tuple[int, ...]]:
        """The axes of each, of one factor first."""
        for count in range(1, degree + 1):
            yield from combinations_with_replacement(range(axes), count)

    def farther_than(self, distance: float) -> bool:
        """Whether the points are farther from all surfaces, in a tenth of the time that the eigenvalues take."""
        held = distance**2 * torch.eye(len(self.products), dtype=self.products.dtype, device=self.products.device)
        return int(torch.linalg.cholesky_ex(self.products - held).info) == 0

    def slopes(self, equations: Tensor) -> Tensor:
        """Gradients of equations with these coefficients (k, m) at the first points, (points, m, r)."""
        scaled = self.scales.unsqueeze(1) * equations
        return torch.stack([of @ scaled[which] for which, of in self._by_axis], dim=2)
