"""Isomap: shortest paths along a graph of nearest neighbours, and coordinates at distances that are close to theirs."""

from __future__ import annotations

import torch
from torch import Tensor

from nflows_spread.linalg.distances import distances_between
from nflows_spread.linalg.eigen import eigh_descending


def geodesic_distances(x: Tensor, neighbours: int) -> Tensor:
    """Lengths of the shortest paths between points (n, D) along the graph of nearest neighbours, (n, n), float32.

    Parts that are not connected are by their closest pair of points. Floyd and Warshall's algorithm, n³ operations:
    1000 points take about half a second.

    Args:
        x: the points.
        neighbours: edges of each point, at least; those of two points are one.
    """
    direct = distances_between(x, x).float()
    nearest = direct.topk(min(neighbours + 1, len(x)), dim=1, largest=False).indices
    edges = torch.zeros_like(direct, dtype=torch.bool).scatter_(1, nearest, True)
    edges |= edges.mT.clone()
    _connect(edges, direct)
    paths = torch.where(edges, direct, torch.inf).fill_diagonal_(0.0)
    through = torch.empty_like(paths)
    for i in range(len(paths)):
        torch.add(paths[:, i : i + 1], paths[i], out=through)
        torch.minimum(paths, through, out=paths)
    return paths


def isomap(x: Tensor, rank: int, *, neighbours: int = 10) -> Tensor:
    """The K coordinates of points (n, D) whose distances are closest to the geodesic ones, (n, K), largest first.

    Classical scaling: eigenvectors of −½ H G² H, G the geodesic distances and H what takes means off.

    Reference: J. Tenenbaum, V. de Silva, J. Langford, A global geometric framework for nonlinear dimensionality
    reduction, Science 2000.

    Returns:
        In the dtype of ``x``; 0 in directions that a distance has none of.
    """
    squares = geodesic_distances(x, neighbours).double().square()
    inner = -0.5 * (squares - squares.mean(0) - squares.mean(1, keepdim=True) + squares.mean())
    values, vectors = eigh_descending((inner + inner.mT) / 2)
    return (vectors[:, :rank] * values[:rank].sqrt()).to(x.dtype)


def _connect(edges: Tensor, direct: Tensor) -> None:
    """Add edges, in place, until all points are connected."""
    reached = edges[0].clone()
    reached[0] = True
    while not bool(reached.all()):
        grown = edges[reached].any(0) | reached
        if bool((grown == reached).all()):
            between = torch.where(reached[:, None] & ~reached, direct, torch.inf)
            i, j = divmod(int(between.argmin()), len(direct))
            edges[i, j] = edges[j, i] = True
        reached = grown
