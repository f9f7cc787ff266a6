"""The dimension of points without a flow: what distances and local PCA say together, with an interval and reservations.

``VOTES_OF_POINTS`` has what is summed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from nflows_spread.dimension.column_scales import ColumnScales
from nflows_spread.dimension.independent_columns import IndependentColumns
from nflows_spread.dimension.neighbours import MOST_OF_NEIGHBOURS, NeighbourDimension
from nflows_spread.dimension.noise_floor import AboveNoise
from nflows_spread.dimension.noisy_neighbours import log_plausibilities, seen_by_neighbours
from nflows_spread.dimension.row_sample import RowSample
from nflows_spread.dimension.rules import rounded
from nflows_spread.dimension.scales import DimensionAgainstScale
from nflows_spread.dimension.tangent_spaces import TangentSpaces
from nflows_spread.dimension.time_order import SAID_OF_A_PATH
from nflows_spread.dimension.unfilled_spans import ALL_FILLED, UnfilledSpans
from nflows_spread.dimension.variation import Part, covered_by, dimension_of_parts, said_of_parts

_MORE_THAN_A_PATH = 1.5
"""The dimension at some scale from which on a path winds through more than itself: a choice, what rounds to 2."""

_PLAUSIBLE = 3.0
"""The log-evidence below the best, in nats, up to which a dimension is in the interval. By trials on the 170 sets of
the tangent spaces, without noise and with 2 and 5 %: of 2 000 points the interval has the truth at 504 of 510 and all
of 217 single numbers are right, of 500 at 490 and 166 of 173."""

FALLS, _FALLS_LATER, _LOCAL = 0.1, 0.2, 0.1
"""The fall of the dimension from the 3rd to the 40th neighbour, in nats, from which on it depends on the scale, and the
interval covers what it falls to; the same for a fall at larger scales, by neighbours that are up to a tenth of the
points, as farther ones see other pieces. By trials on seeds 2000 to 2099 of the random sets: with 5 % of noise the
interval of 500 points has the truth at 97 of 100, without this at 70; on clean ones it grows by 4 %."""

_DIP = 0.1
"""The depth of a dip of the dimension between a smaller and a larger scale, in nats, from which on the interval covers
it. By trials on 72 curves with 2 % of noise, whose turns are near each other, and 260 other sets, without it and with
5 %: it holds the truth on 65 of the curves, without this on 57, and is wider on no other set."""

_MOSTLY = 0.9
"""The share of distinct rows below which repetitions are worth a word: a choice."""


@dataclass(frozen=True)
class PointEstimates:
    """What distances between points say of their dimension.

    Attributes:
        features: D.
        neighbours: by the nearest neighbours, calibrated.
        scales: the dimension against scale.
        sample: which rows were looked at.
        parts: the parts of data whose dimension varies from place to place, or none.
        path: whether the rows, in their order, follow a path and so are no independent draws.
        shells: dimensions of linear spans in which the points may fill a closed surface alone.
        unfilled: dimensions that the points surely do not have, as they do not fill a span of so many, from
            ``unfilled_spans``.
        tangents: what local principal axes say; None where there are distances and no points.
        above_noise: the dimension of what stands above noise in every column, where that was found and the dimension is
            a matter of scale.
        independent: groups of columns that are independent of each other, whose dimensions add, or None.
        column_scales: what standardized columns say, where that speaks against this and columns are of very different
            widths.
    """

    features: int
    neighbours: NeighbourDimension
    scales: DimensionAgainstScale
    sample: RowSample
    parts: tuple[Part, ...] = ()
    path: bool = False
    shells: tuple[int, ...] = ()
    unfilled: UnfilledSpans = ALL_FILLED
    tangents: TangentSpaces | None = None
    above_noise: AboveNoise | None = None
    independent: IndependentColumns | None = None
    column_scales: ColumnScales | None = None

    @property
    def log_evidence(self) -> list[float]:
        """That of all ``VOTES_OF_POINTS`` together for K = 1 … D, in nats."""
        votes = [vote(self) for vote in VOTES_OF_POINTS.values()]
        return [math.fsum(nats) for nats in zip(*votes, strict=True)]

    @property
    def plausibilities(self) -> list[float]:
        """What the neighbours say of K = 1 … D, in nats, with the noise across stable subspaces taken off.

        Of groups of columns that are independent of each other they say that the dimensions add.
        """
        if self.independent is not None:
            return self.independent.log_plausibilities(self.features)
        if self.tangents is None:
            return self.neighbours.log_plausibilities(self.features)
        return log_plausibilities(self.neighbours, self.tangents)

    @property
    def falls_to(self) -> int | None:
        """Where the dimension is a matter of scale, the place among ``scales`` of what it falls to; or None.

        Of evenly spaced points it says nothing, as a spacing makes neighbours look like many dimensions.
        """
        if self.neighbours.even:
            return None
        if self.neighbours.fall_across_scales > FALLS:
            return self.scales.lowest()
        lowest = self.scales.lowest(_LOCAL)
        later = math.log(self.scales.dimensions[0] / self.scales.dimensions[lowest]) > _FALLS_LATER
        return lowest if later else None

    @property
    def dip(self) -> int | None:
        """The dimension at a scale between noise and what bends back, a whole number, or None where there is no dip.

        As ``falls_to`` it is None of evenly spaced points.
        """
        place = None if self.neighbours.even else self.scales.dip(_DIP)
        return None if place is None else rounded(self.scales.dimensions[place])

    @property
    def reservations(self) -> tuple[str, ...]:
        """What speaks against taking one number for the dimension of the data, a sentence each."""
        found = []
        if self.column_scales is not None:
            found.append(str(self.column_scales))
        if self.parts:
            found.append(said_of_parts(self.parts))
        if self.path and max(self.scales.dimensions) > _MORE_THAN_A_PATH:  # or the path is all there is
            found.append(SAID_OF_A_PATH)
        if (lowest := self.falls_to) is not None and lowest > 0:
            scales = self.scales
            found.append(
                f"the dimension falls from {scales.dimensions[0]:.1f} at distances of {scales.scales[0]:.2g} to "
                f"{scales.dimensions[lowest]:.1f} at {scales.scales[lowest]:.2g}, as it does where noise fills all "
                "directions at small scales, or where the density varies; see scales"
            )
        if self.above_noise is not None:
            found.append(str(self.above_noise))
        found += self.unfilled.said
        if self.neighbours.even:
            found.append(
                "the points are spaced more evenly than independent draws, as on a mesh, or are rounded; the dimension "
                "is that of points moved along the manifold by about a spacing"
            )
        told = self.tangents is None or (self.above_noise is not None and self.above_noise.clear)
        if self.features >= self.sample.distinct and not told:
            most = self.sample.distinct - 1
            found.append(
                f"{self.sample.distinct} rows span {most} of {self.features} dimensions at most, and noise in all of "
                "them hides what is fewer; take more rows, or principal components"
            )
        if self.sample.distinct < _MOSTLY * self.sample.rows and not self.sample.dependent:
            found.append(
                f"only {self.sample.distinct} of {self.sample.rows} rows are distinct, and repeated rows count once"
            )
        return tuple(found)


class PointDimension(int):
    """The dimension of points without a flow, that remembers where it comes from. It is an ``int`` otherwise.

    Attributes:
        estimates: what it was made of.
        interval: the smallest and the largest dimension that are plausible.
    """

    estimates: PointEstimates
    interval: tuple[int, int]

    def __new__(cls, value: int, interval: tuple[int, int], estimates: PointEstimates) -> PointDimension:
        dimension = super().__new__(cls, value)
        dimension.__dict__.update(interval=interval, estimates=estimates)
        return dimension

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"a PointDimension cannot be changed, got {name} = {value!r}; make another")

    def __reduce__(self) -> tuple[type[PointDimension], tuple[int, tuple[int, int], PointEstimates]]:
        return PointDimension, (int(self), self.interval, self.estimates)

    @property
    def value(self) -> float:
        """K by the neighbours, not rounded, at most D."""
        return min(self.estimates.neighbours.value, float(self.estimates.features))

    @property
    def scales(self) -> DimensionAgainstScale:
        """The dimension against scale, which ``nflows_spread.plots.scale`` draws."""
        return self.estimates.scales

    @property
    def sample(self) -> RowSample:
        """Which rows were looked at."""
        return self.estimates.sample

    @property
    def reservations(self) -> tuple[str, ...]:
        """What speaks against taking one number for the dimension of the data, a sentence each."""
        return self.estimates.reservations

    def __repr__(self) -> str:
        independent = self.estimates.independent
        of_columns = () if independent is None else (f"of {len(independent.groups)} independent groups of columns",)
        said = "".join(f"; {sentence}" for sentence in (*of_columns, *self.reservations))
        return f"PointDimension({int(self)}, value={self.value:.2f}, interval={self.interval}, {self.sample}{said})"


Vote = Callable[[PointEstimates], Sequence[float]]
"""Gives the log-evidence of one estimate for each dimension K = 1 … D, in nats, up to a constant; finite numbers."""


def _vote_of_neighbours(estimates: PointEstimates) -> list[float]:
    return [max(nats, -MOST_OF_NEIGHBOURS) for nats in estimates.plausibilities]


def _vote_of_tangent_spaces(estimates: PointEstimates) -> list[float]:
    if estimates.tangents is None:
        return [0.0] * estimates.features
    return estimates.unfilled.of_tangent_spaces(estimates.tangents.log_evidence)


def _vote_of_equations(estimates: PointEstimates) -> list[float]:
    return estimates.unfilled.of_equations(estimates.features) or [0.0] * estimates.features


VOTES_OF_POINTS: dict[str, Vote] = {
    "neighbours": _vote_of_neighbours,
    "tangent_spaces": _vote_of_tangent_spaces,
    "equations": _vote_of_equations,
}
"""What is summed, by name."""


def concluded(estimates: PointEstimates) -> PointDimension:
    """The K with the most log-evidence, or that of the largest of several parts, and what is plausible beside it."""
    evidence = estimates.log_evidence
    best = 1 + max(range(len(evidence)), key=evidence.__getitem__)
    covered = [k for k, nats in enumerate(evidence, 1) if nats >= evidence[best - 1] - _PLAUSIBLE]
    covered += covered_by(estimates.parts)
    shared = () if estimates.tangents is None else estimates.tangents.stable
    lowest = None if any(best == stable.dimension for stable in shared) else estimates.falls_to
    if lowest is not None:  # and no subspace that neighbourhoods share says where the manifold ends and noise begins
        covered.append(rounded(estimates.scales.dimensions[lowest]))
    if estimates.dip is not None:
        covered.append(estimates.dip)
    plausible = estimates.plausibilities
    allowed = _PLAUSIBLE if best in estimates.shells else 0.0
    covered += estimates.unfilled.covered
    if estimates.independent is not None:
        covered += estimates.independent.interval
    surface = best > 1 and estimates.independent is None and not estimates.unfilled.end_at(best)
    if surface and plausible[best - 1] - plausible[best - 2] <= allowed:
        covered.append(best - 1)  # tangent spaces that see no faces tell the span alone
    if estimates.tangents is not None:
        covered += seen_by_neighbours(best, estimates.neighbours, estimates.tangents)
    if estimates.parts:  # as what they say together may be that of none
        best = dimension_of_parts(estimates.parts)
    if (above := estimates.above_noise) is not None:
        if above.clear:
            best, covered = above.dimension, list(above.interval)
        else:
            covered.append(above.dimension)
    highest = min(estimates.features, estimates.sample.distinct - 1)
    best = min(best, highest)
    highest = max(best, estimates.unfilled.most(highest))
    return PointDimension(best, (max(1, min(best, *covered)), max(best, min(highest, max(covered)))), estimates)
