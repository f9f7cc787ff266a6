"""Noise in every column: factor analysis by principal axes, its number of factors by the Marchenko–Pastur edge.

Signal of a few directions plus noise that is independent from column to column has the covariance L Lᵀ + Ψ, Ψ being
diagonal. In units of the noise, Ψ^−½ x, all that is noise has variances up to the edge (1 + √(p/n))², whatever the
noise of each column is. The directions above it hold the signal, a curved one too, and points without the others have
a fraction of the noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from nflows_spread.linalg.distances import nearest_neighbours

_POINTS, _FEW_POINTS, _FEW_FEATURES = 2_000, 300, 200
"""Points of which the noise is estimated, at most, and of more features than that: a choice, for time."""

_ROWS_PER_FACTOR = 5
"""Points for each factor, at the least: a choice."""

_FEWEST_BESIDE = 4
"""Directions that are noise alone, at the least, as fewer show no edge: a choice."""

_ROUNDS = 6
"""How often Ψ and the factors are estimated in turn for each number of factors, from the last one's: a choice."""

_LEAST_UNIQUE = 1e-6
"""The least share of a column's variance that is noise, where one follows from the others: a bound; not measured."""

_SLACK, _OF_FLUCTUATIONS = 0.02, 1.5
"""What the largest variance of noise may be above the edge, a share of it: a part that Ψ's own error leaves, and so
many of the scale of its fluctuations (Tracy and Widom). A choice, with which 57 of 60 linear signals of 1 to 8
dimensions in noise of 5 to 30 % had as many factors."""

_NEAREST, _INDEPENDENT = 3, 0.95
"""How many neighbours in the directions above noise tell whether what is left of a point depends on where it is, and
the mean square of its difference to theirs over that to any, a ratio, from which on it does not. By trials: of 200
signals in noise it is 0.93 at the least and 0.98 or more of 98 %, of 170 sets without noise up to 0.93 but for clusters
and arms of few points."""


_MOST_NOISE = 1.0 / 3.0
"""The share of noise in the variance of the data up to which the dimension is that above it. A choice: noise of 30 %
has a tenth, and boxes without noise, of which some axes are longer, look like a half and more."""

_QUERIES, _NEAR = 200, 0.1
"""Points whose surroundings tell clusters from a manifold, at most, and the share of the points that are around one:
choices."""

_ALONG, _ALONG_A_LINE = 1.0, 0.1
"""The largest variance around a point over that of the noise, a ratio, below which the directions above noise hold
clusters and no manifold, and where there is one such direction. By trials on 66 sets made for it: 0.03 to 0.86 of two
to five clusters, along one direction 0.03 and 0.04, 1.8 and more of curves, surfaces and linear signals of 2 to 8
dimensions, 0.33 and more of those of one."""

_SAME = 1.2
"""The noise of the noisiest column over that of the quietest, a ratio, below which one number tells both: a choice."""


@dataclass(frozen=True)
class NoiseFloor:
    """Noise in every column of a data set, and the directions in which the data vary by more.

    Attributes:
        directions: m, the number of factors: of the linear span of the signal.
        noise: the standard deviations of the noise of the quietest and of the noisiest column, in units of the data.
        share: of the noise in the variance of the data.
        distance: between two points that differ by noise alone, the root of the mean square, in units of the data.
        along: the largest variance of the tenth of the points that is nearest to one of them in these directions, over
            that of the noise, a ratio; the median over points.
    """

    directions: int
    noise: tuple[float, float]
    share: float
    distance: float
    along: float = math.inf

    @property
    def clusters(self) -> bool:
        """Whether the directions above noise hold clusters, whose points differ by noise alone, and no manifold."""
        return self.along < (_ALONG_A_LINE if self.directions == 1 else _ALONG)

    def in_units_of(self, scale: float) -> NoiseFloor:
        """The same for data that is ``scale`` times larger."""
        noise = self.noise[0] * scale, self.noise[1] * scale
        return replace(self, noise=noise, distance=self.distance * scale)


@dataclass(frozen=True)
class AboveNoise:
    """The dimension of what stands above noise in every column.

    Attributes:
        floor: the noise, and the number of directions above it.
        dimension: that of the points in these directions.
        interval: the smallest and the largest dimension that are plausible there.
        log_evidence: there for K = 1, 2, … up to the number of directions, in nats.
    """

    floor: NoiseFloor
    dimension: int
    interval: tuple[int, int]
    log_evidence: tuple[float, ...]

    def in_units_of(self, scale: float) -> AboveNoise:
        """The same for data that is ``scale`` times larger."""
        return replace(self, floor=self.floor.in_units_of(scale))

    @property
    def clear(self) -> bool:
        """Whether it is the dimension of the data: the noise is small beside it, and no clusters stand above."""
        return self.floor.share <= _MOST_NOISE and not self.floor.clusters

    def __str__(self) -> str:
        quietest, noisiest = self.floor.noise
        noise = f"{quietest:.2g}" if noisiest < _SAME * quietest else f"{quietest:.2g} to {noisiest:.2g}"
        directions = "1 direction stands" if self.floor.directions == 1 else f"{self.floor.directions} directions stand"
        if self.floor.clusters:
            return (
                f"{directions} above variation of standard deviation {noise} in every column, and hold clusters, "
                "within which points vary in all columns alike; look at each cluster by itself"
            )
        plausible = f"{self.interval[0]} to {self.interval[1]}"
        return (
            f"{directions} above noise of standard deviation {noise} in every column, {self.floor.share:.2g} of the "
            f"variance; in these the dimension is {self.dimension} ({plausible}), and at distances below "
            f"{self.floor.distance:.2g} noise hides it"
        )


def noise_floor(points: Tensor) -> tuple[NoiseFloor, Tensor] | None:
    """The noise in every column, and the coordinates of the points in the directions above it; None where none shows.

    Where no columns are correlated, as principal components are not, their noise is taken to have one variance. What is
    left of points beside these directions is noise only if it does not depend on where they are in them, as a curvature
    does.

    Args:
        points: independent points in random order, (n, D).

    Returns:
        What was found, and coordinates on orthonormal axes of the signal's span by generalised least squares, (n, m).

    References:
        E. Dobriban, A. Owen, Deterministic parallel analysis, J. Royal Statistical Society B 81, 2019.
        K. Jöreskog, Some contributions to maximum likelihood factor analysis, Psychometrika 32, 1967.
    """
    most = _POINTS if points.shape[1] <= _FEW_FEATURES else _FEW_POINTS
    centred = points.double() - points.double().mean(0)
    centred = centred[:, centred.abs().amax(0) > 0.0]
    some = centred[:most]
    if some.shape[1] <= _FEWEST_BESIDE:
        return None
    found = _factors(some, some.square().mean(0))
    if found is not None and found[1].shape[1] == 0:
        found = _factors(some, some.square().mean().expand(some.shape[1]))
    if found is None or not (directions := found[1].shape[1]):
        return None
    variances, vectors = found
    deviations = variances.sqrt()
    if not _independent(some / deviations, vectors):
        return None
    # orthonormal in units of the noise; R takes them to orthonormal axes of their span in the data's
    triangle = torch.linalg.qr(vectors * deviations.unsqueeze(1), mode="r").R
    in_units_of_noise = centred / deviations @ vectors
    coordinates = in_units_of_noise @ triangle.mT
    noise = float(deviations.min()), float(deviations.max())
    total = float(variances.sum())
    share = total / float(some.square().mean(0).sum())
    along = _variance_around(in_units_of_noise)
    return NoiseFloor(directions, noise, share, math.sqrt(2.0 * total), along), coordinates


def _variance_around(points: Tensor) -> float:
    """The largest variance of the tenth of the points, (n, m), that is nearest to one of them, the median over some."""
    count = max(points.shape[1] + 2, int(_NEAR * len(points)))
    around = points[nearest_neighbours(points[:_QUERIES], points, count).indices]
    around = around - around.mean(1, keepdim=True)
    return float(torch.linalg.eigvalsh(around.mT @ around / (count - 1))[:, -1].median())


def _independent(x: Tensor, axes: Tensor) -> bool:
    """Whether what is left of points, (n, D), beside orthonormal axes, (D, m), does not depend on where they are."""
    along = x @ axes
    left = x - along @ axes.mT
    near = nearest_neighbours(along, along, _NEAREST + 1).indices[:, 1:]
    beside = (left.unsqueeze(1) - left[near]).square().sum(2).mean()
    return float(beside) > _INDEPENDENT * 2.0 * float(left.square().sum(1).mean())


def _factors(x: Tensor, variances: Tensor) -> tuple[Tensor, Tensor] | None:
    """The noise's variances of the columns, (D,), and directions above them in their units, (D, m); None for too many.

    Args:
        x: centred, (n, D).
        variances: those of the columns, or one for all, which that of their noise has too.
    """
    n, features = x.shape
    one_for_all = variances.stride() == (0,)
    noise, factors = variances.clone(), 0
    while factors <= min(features - _FEWEST_BESIDE, n // _ROWS_PER_FACTOR):
        for _ in range(_ROUNDS if factors else 1):
            values, vectors, total = _principal(x / noise.sqrt(), factors)
            explained = noise * (vectors.square() * (values[:factors] - 1.0).clamp_min(0.0)).sum(1)
            explained = explained.mean() if one_for_all else explained
            noise = torch.maximum(variances - explained, _LEAST_UNIQUE * variances)
        values, vectors, total = _principal(x / noise.sqrt(), factors)
        beside = features - factors
        above = int((values > _edge(n, beside) * (total - float(values[:factors].sum())) / beside).sum())
        if above <= factors:
            return noise, vectors
        factors += max(1, (above - factors) // 2)
    return None


def _edge(n: int, features: int) -> float:
    """What the largest of so many sample variances of noise of variance 1 is at most, by n points."""
    edge = (1.0 + math.sqrt(features / n)) ** 2
    roots = math.sqrt(n) + math.sqrt(features)
    return (1.0 + _SLACK) * edge + _OF_FLUCTUATIONS * roots * (n**-0.5 + features**-0.5) ** (1.0 / 3.0) / n


def _principal(x: Tensor, number: int) -> tuple[Tensor, Tensor, float]:
    """Variances along the principal axes, descending, so many of the axes, (D, m), and the total variance of (n, D)."""
    wide = x.shape[1] > len(x)
    values, vectors = torch.linalg.eigh((x @ x.mT if wide else x.mT @ x) / len(x))
    values, leading = values.flip(0).clamp_min(0.0), vectors.flip(1)[:, :number]
    if wide:
        leading = x.mT @ leading / (len(x) * values[:number]).sqrt()
    return values, leading, float(values.sum())
