"""Obstructions to one chart: parts of more dimensions, closed surfaces cut open, rows far from it, separate clusters.

A closed surface has no K coordinates that are continuous: somewhere neighbours are torn apart, or it is folded flat and
reconstructions are far off. Of separate pieces coordinates exist, and those between the pieces are of nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nflows_spread.dimension.variation import Part
from nflows_spread.linalg.distances import distances_between

_NEAREST = 4
"""Neighbours of a row that are asked about: farther ones may be across a fold of the data. From trials, see below."""

_FAR_RANK, _FAR = 0.1, 3.0
"""Share of the rows that are nearer in coordinates, and distance in coordinates over that in the data, beside the
median of this ratio, from which on a neighbour is torn away. From trials on 17 sets without a chart and 24 with one,
300 to 1 200 rows."""

_FAR_RANK_OF_CURVES, _VERY_FAR = 0.02, 10.0
"""The same for the few rows at the cut of a closed curve, some of which have coordinates within it. From the same
trials: the largest ratio was 1.0 to 7.3 where a chart exists, and 13 to 370 on circles that were cut open."""

_FEWEST_TORN = 2
"""Torn rows from which on there is a tear, one where it is by a very far neighbour: a choice; a circle has a few."""

_UNREACHED, _LARGE_ERROR = 0.5, 0.1
"""Share of the rows that noise does not explain, and error of their reconstructions over the data's standard deviation,
beyond which coordinates are no chart: choices."""

_LINK = 3.0
"""Distances, in units of the larger of two rows' distance to their fourth neighbour, that connect them: a choice."""

_PIECE = 0.05
"""Smallest share of the rows that is a piece and not outliers: a choice."""


@dataclass(frozen=True)
class ChartObstruction:
    """Why K coordinates are no chart of the data, and of what share of it.

    Attributes:
        share: of the rows to which the reason applies.
        reason: in words.
        remedy: what to do about it, in words; nothing in those that older versions have pickled.
    """

    share: float
    reason: str
    remedy: str = ""

    def __str__(self) -> str:
        """The reason and the remedy."""
        return f"{self.reason}; {self.remedy}" if self.remedy else self.reason


@dataclass(frozen=True)
class Topology:
    """What rows and their coordinates say of tears and pieces.

    Attributes:
        torn: share of the rows that are far in coordinates from one of their nearest neighbours in the data; 0 where
            these are too few for a tear.
        pieces: numbers of rows of each separate piece, the largest first.
    """

    torn: float
    pieces: tuple[int, ...]

    @classmethod
    def of(cls, x: Tensor, coordinates: Tensor) -> Topology:
        """That of rows (n, D) at coordinates (n, K).

        References: J. Venna, S. Kaski, Neighborhood preservation in nonlinear projection methods, ICANN 2001, for ranks
        of neighbours that are lost (continuity).
        """
        itself = torch.eye(len(x), dtype=torch.bool)
        there = distances_between(x, x).masked_fill_(itself, torch.inf)
        here = distances_between(coordinates, coordinates).masked_fill_(itself, torch.inf)
        distances, nearest = there.topk(min(_NEAREST, len(x) - 1), dim=1, largest=False)
        return cls(_torn(distances, nearest, here), _pieces(there, distances[:, -1]))


def obstruction_of(
    topology: Topology,
    *,
    unreconstructed: float,
    error: float,
    linear: bool,
    neighbours_alone: bool,
    rank: int = 1,
    parts: Sequence[Part] = (),
) -> ChartObstruction | None:
    """The first reason that there is, or None.

    Args:
        topology: of the rows at the coordinates of the chart.
        unreconstructed: share of the held-out rows that are farther from their reconstructions than three times the
            noise.
        error: of reconstructions, over the data's standard deviation.
        linear: whether the chart is that of principal components, which separate pieces may share.
        neighbours_alone: whether distances between neighbours say K and the flow's spectrum does not, as on closed
            surfaces.
        rank: K.
        parts: of data whose dimension varies from place to place.
    """
    if unreconstructed > 0.0 and (larger := [part for part in parts if part.dimension > rank]):
        return _too_few_coordinates(larger, beyond_noise(unreconstructed, error))
    outside = 1.0 - max(topology.pieces) / sum(topology.pieces)
    if unreconstructed > _UNREACHED and error > _LARGE_ERROR:
        share, reason, remedy = (
            unreconstructed,
            f"does not reconstruct the data: {beyond_noise(unreconstructed, error)}",
            "take these coordinates as a map to look at, and more of them, by n_components, to reconstruct rows",
        )
    elif topology.torn > 0.0:
        share, reason, remedy = (
            max(topology.torn, unreconstructed),
            f"tears {topology.torn:.1%} of the rows from their nearest neighbours, as any coordinates must where the "
            "data is a closed curve or surface",
            "do not take distances between coordinates for distances in the data across that cut",
        )
        if unreconstructed > 0.0:
            reason += f", and {beyond_noise(unreconstructed, error)}"
    elif len(topology.pieces) > 1 and not linear:
        share, reason, remedy = (
            outside,
            f"lays {len(topology.pieces)} separate pieces of the data side by side, with {outside:.0%} of the rows "
            "outside the largest: coordinates between them are those of no data",
            "fit each piece by itself for coordinates of its own",
        )
    else:
        return None
    if neighbours_alone:
        reason += "; distances between neighbours say that dimension, the flow's spectrum does not"
    return ChartObstruction(share, reason, remedy)


def _too_few_coordinates(larger: Sequence[Part], left: str) -> ChartObstruction:
    """Of parts that have more dimensions than there are coordinates, and what these leave."""
    share, most = sum(part.share for part in larger), max(part.dimension for part in larger)
    dimensions = " or ".join(str(part.dimension) for part in larger)
    return ChartObstruction(
        share,
        f"is too few for the {share:.0%} of the points whose dimension is {dimensions}: {left}",
        f"take n_components={most} for coordinates of all rows",
    )


def beyond_noise(unreconstructed: float, error: float) -> str:
    """The share of held-out rows that a chart does not reach, in words.

    Args:
        unreconstructed: share of the held-out rows that are farther from their reconstructions than three times the
            noise.
        error: of reconstructions, over the data's standard deviation.
    """
    share = f"{unreconstructed:.0%}" if unreconstructed >= 0.01 else f"{unreconstructed:.1%}"
    return (
        f"{share} of the held-out rows are farther from their reconstructions than noise explains (three "
        f"times its standard deviation), with an error of {error:.2g} of the "
        "data's standard deviation"
    )


def _torn(distances: Tensor, nearest: Tensor, here: Tensor) -> float:
    """The share of rows that are torn from one of their nearest in the data, by distances in coordinates, (n, n)."""
    away = here.gather(1, nearest)
    ranks = torch.stack([(here < column).sum(1) for column in away.split(1, dim=1)], dim=1) / len(here)
    ratios = away / distances.clamp_min(torch.finfo(distances.dtype).tiny)
    ratios = ratios / ratios.median().clamp_min(torch.finfo(distances.dtype).tiny)
    ratios = ratios.masked_fill(distances == 0.0, 0.0)  # equal rows have equal coordinates
    very_far = (ranks > _FAR_RANK_OF_CURVES) & (ratios > _VERY_FAR)
    torn = (((ranks > _FAR_RANK) & (ratios > _FAR)) | very_far).any(1)
    enough = int(torn.sum()) >= (1 if bool(very_far.any()) else _FEWEST_TORN)
    return float(torn.double().mean()) if enough else 0.0


def _pieces(distances: Tensor, radii: Tensor) -> tuple[int, ...]:
    """Numbers of rows of each connected piece that is no outlier, the largest first; all rows where there is none."""
    linked = distances <= _LINK * torch.maximum(radii.unsqueeze(1), radii)
    left, sizes = torch.ones(len(radii), dtype=torch.bool), []
    while bool(left.any()):
        reached = torch.zeros_like(left)
        reached[int(left.nonzero()[0])] = True
        while not torch.equal(grown := linked[reached].any(0) | reached, reached):
            reached = grown
        left &= ~reached
        sizes.append(int(reached.sum()))
    pieces = sorted((size for size in sizes if size >= _PIECE * len(radii)), reverse=True)
    return tuple(pieces) or (len(radii),)
