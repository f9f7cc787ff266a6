"""Intrinsic dimension of few points, from 6 to 49 of them, by distances to neighbours, with the error of so few.

The estimates of ``neighbours`` are calibrated on sets of at least 50 points. Those of fewer are calibrated here on sets
of the same number, drawn when they are asked for, which also tell what an estimate of so few varies by.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache, partial

import torch
from torch import Tensor

from nflows_spread import validation
from nflows_spread.dimension.calibration_curve import GRID, SHAPES, calibrated
from nflows_spread.dimension.distinct_points import near_by_chance, without_near_repeats
from nflows_spread.dimension.maximum_likelihood import NEIGHBOURS, inverse_dimensions, maximum_likelihood
from nflows_spread.dimension.neighbours import NeighbourDimension, of_profile
from nflows_spread.dimension.rules import PLAUSIBLE, IntrinsicDimension

FEWEST = 6
"""Distinct points, at the least: each has five neighbours then, the fewest by which an estimate and its next one are
told. A choice."""

_DRAWN = 2_000
"""Points of the sets that are drawn for a shape and a dimension, together: a choice, for time, a tenth of a second."""

_SEED = 20_000
"""What is added to a dimension for the seed of its sets, so that they are always the same: a choice."""

_CURVED = 0.3
"""The relative error that curvature and a density that varies may add, which so few points cannot show: by trials on
500 flat and curved sets of 1 to 5 dimensions and 6 to 49 points, where two errors cover the dimension of 97 % and more
at each number of points."""


def neighbours_of_few(x: Tensor) -> NeighbourDimension:
    """The dimension of few points by the distances to their nearest neighbours, with the error of so few.

    Args:
        x: points, shape (n, D). Repeated points count once.

    Raises:
        ValueError: fewer than 6 of them are distinct.
    """
    points = validation.points("x", x).double().unique(dim=0)
    merged, _ = without_near_repeats(points)
    points = points if near_by_chance(merged, points) else merged
    size, features = points.shape
    if size < FEWEST:
        raise ValueError(f"X must have at least {FEWEST} distinct rows, got {size} among {len(x)}; take more of them")
    logs = _log_distances(points.unsqueeze(0))[0]
    estimates, _ = maximum_likelihood(logs)
    profile = {shape: calibrated(partial(_curve, shape, size), estimates, features) for shape in SHAPES}
    value, spread = of_profile(profile, slice(2))
    near_in_grid = min(GRID, key=lambda dimension: abs(math.log(dimension / value)))
    sampling = max(_sampling_error(shape, size, near_in_grid) for shape in SHAPES)
    error = math.hypot(_CURVED, spread, sampling)
    return NeighbourDimension(
        value=value,
        below=error,
        above=error,
        nearest=float(logs[:, 0].median().exp()),
        neighbours=_numbers(size),
        profile=profile,
    )


def widened(
    dimension: IntrinsicDimension, neighbours: NeighbourDimension, *, most: int | None = None
) -> IntrinsicDimension:
    """The same with an interval that covers all that neighbours alone find plausible, whatever else is sure.

    Args:
        dimension: of few points.
        neighbours: what they say.
        most: the largest dimension that the points can show, one less than there are; by default D.
    """
    features = len(dimension.spectrum.signal_to_noise)
    nats = neighbours.log_plausibilities(features)
    plausible = [k for k, own in enumerate(nats, 1) if own >= max(nats) - PLAUSIBLE]
    highest = features if most is None else min(features, most)
    covered: Sequence[int] = [min(k, highest) for k in (*dimension.interval, *plausible)]
    return IntrinsicDimension(
        int(dimension), dimension.rule, dimension.gap, dimension.spectrum, (min(covered), max(covered))
    )


def _numbers(size: int) -> tuple[int, ...]:
    """The numbers of neighbours that are asked about, up to half of the points, beside the first two."""
    return tuple(k for k in NEIGHBOURS if k <= max(NEIGHBOURS[1], size // 2))


def _log_distances(sets: Tensor) -> Tensor:
    """Logarithms of distances to the nearest neighbours within each set, (m, n, k), from sets of points, (m, n, D)."""
    size = sets.shape[1]
    distances = torch.cdist(sets, sets, compute_mode="donot_use_mm_for_euclid_dist")
    distances = distances.masked_fill(torch.eye(size, dtype=torch.bool), math.inf)
    return distances.sort(dim=2).values[..., : _numbers(size)[-1]].log()


@lru_cache(maxsize=256)
def _drawn(shape: str, size: int, dimension: int) -> Tensor:
    """``_log_distances`` of sets of a shape, (m, n, k), the same every time."""
    generator = torch.Generator().manual_seed(_SEED + dimension)
    count = math.ceil(_DRAWN / size)
    points = SHAPES[shape](count * size, dimension, generator)
    return _log_distances(points.view(count, size, -1))


def _curve(shape: str, size: int, dimension: int) -> tuple[float, ...]:
    """The estimates by each number of neighbours that sets of a dimension give on average."""
    return tuple(maximum_likelihood(_drawn(shape, size, dimension).flatten(0, 1))[0])


def _sampling_error(shape: str, size: int, dimension: int) -> float:
    """The standard deviation of the logarithm of the estimate by the nearest neighbours, from set to set."""
    logs = _drawn(shape, size, dimension)
    inverse = [inverse_dimensions(logs.flatten(0, 1), k).view(-1, size).mean(1) for k in NEIGHBOURS[:2]]
    return float(torch.stack(inverse).log().mean(0).std())
