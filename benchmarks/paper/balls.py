"""Uniform balls: the least divergence of one Gaussian and a flow of volume 1 from them, and what flows have."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from nflows_spread.datasets import Points
from paper.data_sets import DataSet, Folders
from paper.results import Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.gridspec import SubplotSpec

_POINTS, _HELD_OUT = 50_000, 10_000
"""More than of the toys: in 32 dimensions a flow overfits 10 000."""


def ball(dimension: int, seed: int, folders: Folders) -> DataSet:
    """Uniform points of the ball of radius √(K + 2) in K dimensions, of covariance I."""
    generator = torch.Generator().manual_seed(seed)
    train, held_out = (_uniform(n, dimension, generator) for n in (_POINTS, _HELD_OUT))
    return DataSet(
        train=Points(train, train),
        held_out=Points(held_out, held_out),
        intrinsic_dimension=dimension,
        distance=lambda x: (x.norm(dim=1) - math.sqrt(dimension + 2)).clamp_min(0.0),
    )


def least_divergence(dimension: int) -> float:
    """ln Γ(K/2 + 1) + K/2 − (K/2) ln((K + 2)/2), in nats: of the uniform ball from the Gaussian of its covariance.

    A flow of volume 1 moves the Gaussian's level sets and keeps their volumes, and no other sets have less: so it is
    the least for any such flow too.
    """
    half = dimension / 2.0
    return math.lgamma(half + 1.0) + half - half * math.log((dimension + 2.0) / 2.0)


def divergence(result: Result) -> dict[str, object]:
    """``divergence``, −ln V − E log p of held-out points, V the volume of the ball, and ``least`` of one Gaussian."""
    dimension = result.data.held_out.x.shape[1]
    half = dimension / 2.0
    log_volume = half * math.log(math.pi) - math.lgamma(half + 1.0) + half * math.log(dimension + 2.0)
    with torch.no_grad():
        log_probs = result.trained.flow.log_prob(result.data.held_out.x)
    return {"divergence": -log_volume - float(log_probs.double().mean()), "least": least_divergence(dimension)}


def by_dimension(figure: Figure, place: SubplotSpec, results: Sequence[Result]) -> None:
    """The divergence of each kind of prior against K, and the formula."""
    axes = figure.add_subplot(place)
    dimensions = torch.arange(1, max(result.data.held_out.x.shape[1] for result in results) + 1).tolist()
    axes.plot(dimensions, [least_divergence(k) for k in dimensions], "k:", label="least of one Gaussian")
    kinds: dict[str, list[tuple[int, float]]] = {}
    for result in results:
        found = result.numbers["divergence"]
        assert isinstance(found, float)
        kinds.setdefault(result.name.rpartition(", ")[0], []).append((result.data.held_out.x.shape[1], found))
    for kind, points in kinds.items():
        axes.plot(*zip(*points), "o-", ms=4, lw=1.0, label=kind)
    axes.set_xscale("log", base=2)
    axes.set_xlabel("K of the uniform ball")
    axes.set_ylabel("divergence, nats")
    axes.legend(fontsize=8)


def _uniform(rows: int, dimension: int, generator: torch.Generator) -> Tensor:
    direction = torch.randn(rows, dimension, generator=generator)
    radius = torch.rand(rows, 1, generator=generator) ** (1.0 / dimension)
    points: Tensor = math.sqrt(dimension + 2) * radius * direction / direction.norm(dim=1, keepdim=True)
    return points


DATA = {dimension: partial(ball, dimension) for dimension in (2, 4, 8, 16, 32)}
"""By K; a coupling needs two features."""
