"""Trustworthiness of coordinates: whether neighbours in them are neighbours in the data."""

from __future__ import annotations

import torch
from torch import Tensor

from nflows_spread.linalg.distances import distances_between


def trustworthiness_by_row(
    x: Tensor, coordinates: Tensor, among: Tensor, coordinates_among: Tensor, *, neighbours: int = 10
) -> Tensor:
    """That of each row, (n,), float64; its mean is the trustworthiness of the set.

    1 − 2 / (k (2m − 3k − 1)) Σ max(0, r − k) over the k nearest neighbours in coordinates, r the rank that each has
    among the neighbours in the data and m the number of points: 1 where all k are of the k nearest, about ½ by chance.

    Args:
        x: rows of data, (n, D), which are the first of ``among``.
        coordinates: of these rows, (n, K).
        among: all rows among which neighbours are sought, (m, D), m at least 2k.
        coordinates_among: of all rows, (m, K).
        neighbours: k.

    Raises:
        ValueError: there are too few rows.

    Reference: J. Venna, S. Kaski, Neighborhood preservation in nonlinear projection methods, ICANN 2001.
    """
    rows, k = len(among), neighbours
    if rows < 2 * k:
        raise ValueError(f"among must have at least {2 * k} rows for {k} neighbours, got {rows}")
    itself = torch.arange(len(x)).unsqueeze(1)
    there = distances_between(x, among).scatter_(1, itself, -1.0)
    here = distances_between(coordinates, coordinates_among).scatter_(1, itself, torch.inf)
    order = there.argsort(dim=1, stable=True)
    ranks = torch.empty_like(order).scatter_(1, order, torch.arange(rows).expand_as(order).clone())
    chosen = here.topk(k, dim=1, largest=False).indices
    beyond = (ranks.gather(1, chosen) - k).clamp_min(0).double()
    return 1.0 - beyond.sum(1) * 2.0 / (k * (2 * rows - 3 * k - 1))
