"""Intrinsic dimension of an array without a flow and without training: ``dimension_of``, in about a second.

What distances between neighbours say, calibrated on sets of known dimension, and what local principal axes do, with an
interval, the dimension against scale, and what speaks against one number.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from nflows_spread import validation
from nflows_spread.argument_types import typed
from nflows_spread.arrays import on_cpu_by_default
from nflows_spread.dimension.calibration_curve import GRID, MOST_POINTS
from nflows_spread.dimension.column_scales import ColumnScales, ratio_of_scales, standardized
from nflows_spread.dimension.dependent_rows import (
    DependentRows,
    dependent_rows,
    neighbours_apart,
    standing_for_all,
)
from nflows_spread.dimension.distinct_points import FEWEST_POINTS, TooFewPointsError, check_range
from nflows_spread.dimension.estimates import Estimates
from nflows_spread.dimension.independent_columns import Group, IndependentColumns, independent_columns
from nflows_spread.dimension.maximum_likelihood import LOCAL_NEIGHBOURS, NEIGHBOURS, QUERIES
from nflows_spread.dimension.neighbour_search import neighbours_among, threads_of
from nflows_spread.dimension.neighbours import (
    NeighbourDimension,
    independent_points,
    of_log_distances,
)
from nflows_spread.dimension.noise_floor import AboveNoise, noise_floor
from nflows_spread.dimension.point_dimension import FALLS, PointDimension, PointEstimates, concluded
from nflows_spread.dimension.precomputed import neighbours_given
from nflows_spread.dimension.row_sample import RowSample, SampledRows, sampled_rows
from nflows_spread.dimension.scales import dimension_against_scale, of_neighbours_alone
from nflows_spread.dimension.shells import principal_coordinates, shells_of
from nflows_spread.dimension.tangent_spaces import tangent_spaces_of_distinct
from nflows_spread.dimension.time_order import along_a_path
from nflows_spread.dimension.unfilled_spans import unfilled_spans
from nflows_spread.dimension.variation import parts_of_distinct
from nflows_spread.linalg.distances import Neighbours

MAX_POINTS = 100_000
"""Rows that are looked at by default, at most: a choice, with which a million rows of 50 take half a minute."""

_HIGHEST = GRID[-1]
"""The highest answer where there are distances alone: the dimension of the calibration's largest sets, a choice."""

_OF_FEW = "SpreadFlowEstimator, which fits 6 or more"
"""What takes fewer distinct rows; 6 are ``nflows_spread.dimension.few_points``'s least."""


@on_cpu_by_default
@typed
def dimension_of(
    X: Any = None,
    *,
    distances: Any = None,
    indices: Any = None,
    features: int | None = None,
    groups: Any = None,
    window: int | None = None,
    standardize: bool = False,
    max_points: int = MAX_POINTS,
    n_jobs: int | None = None,
    generator: torch.Generator | None = None,
) -> PointDimension:
    """The intrinsic dimension of data by distances to neighbours and local PCA: no flow, no training, nothing to set.

    A rotation changes nothing, but for columns that are clipped, as where nine tenths of the rows have the smallest or
    the largest value of some column with others in common the answer is at most as many columns as they are free in,
    and for groups of columns that are independent of each other, whose dimensions add.

    Args:
        X: rows of data, (n, D): a NumPy array, one of a file that is mapped into memory
            (``numpy.load(path, mmap_mode="r")``), a tensor or a data frame. At least 50 rows are distinct.
        distances: in the place of ``X``, of each row to its nearest other rows, (n, k) and nearest first, as a library
            of neighbours finds them, k at least 5 and better 40; a column of zeros, each row's own, is left out. Or a
            sparse graph of these, as ``sklearn.neighbors.kneighbors_graph(X, 40, mode="distance")``.
        indices: which rows these are, (n, k); checked, and what tells each row's own.
        features: D, the highest answer, where there are distances and no ``X``.
        groups: a label for each row, such as the subject or the video that it is of. Rows of one group are not each
            other's neighbours, and where several are nearer to each other than to any other, one stands for them.
        window: Theiler window of a series, in the place of ``groups``: the same for rows whose places in the order
            differ by less, such as the time after which a path has forgotten where it was.
        standardize: divide each column by its standard deviation, for columns in different units; that of a column
            that does not vary counts nothing.
        max_points: rows that are looked at, at most, drawn at random; of rows in groups or a series up to 10 000.
        n_jobs: threads of the search for neighbours, −1 for all cores; by default one. It changes no digit.
        generator: source of the order and of the choice among more rows than ``max_points``; by default that of
            seed 0, so that the same data have the same dimension.

    Returns:
        An ``int`` with its ``interval``, the unrounded ``value``, the dimension against scale as ``scales``, which rows
        were looked at as ``sample``, and as ``reservations`` what speaks against one number.

    Raises:
        TypeError, ValueError: the data are no matrix of finite real numbers, fewer than 50 rows are distinct, or there
            are others than n labels of groups.

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> plane = torch.randn(1000, 2, generator=generator) @ torch.randn(2, 10, generator=generator)
        >>> found = dimension_of(plane)
        >>> int(found), round(found.value, 1), found.interval
        (2, 2.0, (2, 2))
    """
    threads_of(n_jobs)
    source = torch.Generator().manual_seed(0) if generator is None else generator
    if (X is None) == (distances is None):
        raise TypeError("dimension_of takes either X or distances, got " + ("neither" if X is None else "both"))
    if X is None:
        if groups is not None or window is not None:
            raise TypeError("groups and window go with X, got them with distances; leave such rows out of these")
        if standardize:
            raise TypeError("standardize goes with X, got it with distances; find these between standardized columns")
        return concluded(_of_distances(distances, indices, features))
    if indices is not None or features is not None:
        raise TypeError("indices and features go with distances, got them with X; leave them out")
    most = validation.positive_int("max_points", max_points)
    if most < FEWEST_POINTS:
        raise ValueError(f"max_points must be at least {FEWEST_POINTS}, got {most}")
    if groups is not None or window is not None:
        most = min(most, MOST_POINTS)
    sampled = sampled_rows("X", X, most, source)
    together = dependent_rows(sampled.of, groups, window)
    together = None if together is None else together.at(sampled.which)
    if standardize:
        return concluded(_of_sample(_scaled(sampled), together, source, n_jobs))
    found = _of_sample(sampled, together, source, n_jobs)
    answer = concluded(found)
    scaled = _of_scaled_columns(sampled, together, source, n_jobs)
    if scaled is None or not scaled.speaks_against(answer, answer.interval):
        return answer
    return concluded(replace(found, column_scales=scaled))


def with_what_points_tell(estimates: Estimates, x: Tensor, neighbours: NeighbourDimension) -> Estimates:
    """Estimates with what the points alone say: groups of columns that are independent of each other.

    Where their dimension falls with the number of neighbours that is the dimension above noise in every column too,
    with the parts that are seen in it, and that of a dip between scales. Elsewhere there is no noise that one could
    take off.

    Args:
        estimates: in units of the points.
        x: the points, (n, D), of which at least 50 are distinct.
        neighbours: what they say of the points as they are.
    """
    if neighbours.fall_across_scales <= FALLS:
        points = independent_points(x, most=MOST_POINTS, generator=torch.Generator().manual_seed(0))
        return replace(estimates, independent=_independent_columns_of(points))
    found = dimension_of(x).estimates
    above = found.above_noise
    parts = found.parts if above is not None and above.clear else estimates.parts
    return replace(estimates, parts=parts, above_noise=above, dip=found.dip, independent=found.independent)


def _of_sample(
    sampled: SampledRows, together: DependentRows | None, generator: torch.Generator, n_jobs: int | None
) -> PointEstimates:
    try:
        if together is not None:
            return _of_dependent_rows(sampled, together, generator, n_jobs)
        return _of_rows(sampled, generator, n_jobs)
    except TooFewPointsError as error:
        raise TooFewPointsError(f"{error}; take more rows, or {_OF_FEW}") from error


def _scaled(sampled: SampledRows) -> SampledRows:
    return sampled._replace(rows=standardized(sampled.rows), first=standardized(sampled.first))


def _of_scaled_columns(
    sampled: SampledRows, together: DependentRows | None, generator: torch.Generator, n_jobs: int | None
) -> ColumnScales | None:
    """What standardized columns of up to 10 000 rows say, where narrow columns are hidden by wide ones."""
    ratio = ratio_of_scales(sampled.rows)
    if ratio is None:
        return None
    if len(sampled.rows) > MOST_POINTS:  # and there are no groups, of which as many are looked at
        sampled = sampled._replace(
            rows=sampled.rows[torch.randperm(len(sampled.rows), generator=generator)[:MOST_POINTS]]
        )
    try:
        found = concluded(_of_sample(_scaled(sampled), together, generator, n_jobs))
    except TooFewPointsError:  # as wide columns alone told rows apart
        return None
    return ColumnScales(ratio, int(found), found.interval)


def _of_rows(sampled: SampledRows, generator: torch.Generator, n_jobs: int | None) -> PointEstimates:
    rows = sampled.rows
    points = independent_points(rows, most=len(rows), generator=generator, n_jobs=n_jobs, name="X")
    sample = RowSample(len(rows), sampled.of, len(points))
    found = _of_independent_points(points, sample, generator, n_jobs)
    return replace(found, path=along_a_path(sampled.first), independent=_independent_columns_of(points))


def _independent_columns_of(points: Tensor) -> IndependentColumns | None:
    """Of distinct, independent points in random order, each group of columns by all that there is without a flow."""

    def group_of(rows: Tensor, columns: tuple[int, ...]) -> Group:
        generator = torch.Generator().manual_seed(0)
        distinct = independent_points(rows, most=len(rows), generator=generator)
        sample = RowSample(len(rows), len(rows), len(distinct))
        found = concluded(_of_independent_points(distinct, sample, generator, None))
        return Group(columns, int(found), found.interval, tuple(found.estimates.log_evidence))

    return independent_columns(points, group_of)


def _of_independent_points(
    points: Tensor, sample: RowSample, generator: torch.Generator, n_jobs: int | None
) -> PointEstimates:
    near = neighbours_among(points[:QUERIES], points, max(NEIGHBOURS), n_jobs=n_jobs)
    return _with_noise(_of_points(points, near, sample, generator), points, generator, n_jobs)


def _of_dependent_rows(
    sampled: SampledRows, together: DependentRows, generator: torch.Generator, n_jobs: int | None
) -> PointEstimates:
    rows = sampled.rows.double()
    check_range(rows, name="X")
    kept = standing_for_all(rows, together, name="X")
    kept = kept[torch.randperm(len(kept), generator=generator)]
    points, which = rows[kept], together.at(kept)
    near = neighbours_apart(
        points[:QUERIES], which.at(torch.arange(len(points))[:QUERIES]), points, which, max(NEIGHBOURS)
    )
    sample = RowSample(len(rows), sampled.of, len(points), dependent=True)
    return _with_noise(_of_points(points, near, sample, generator), points, generator, n_jobs)


def _with_noise(
    found: PointEstimates, points: Tensor, generator: torch.Generator, n_jobs: int | None
) -> PointEstimates:
    """The same with the dimension above noise in every column, where the dimension is a matter of scale.

    Points that satisfy equations have no more noise than these hold up to.
    """
    variety = found.unfilled.variety
    told = variety is not None and (variety.exact or variety.filled)
    floor = None if found.falls_to is None or told else noise_floor(points)
    if floor is None:
        return found
    noise, coordinates = floor
    near = neighbours_among(coordinates[:QUERIES], coordinates, max(NEIGHBOURS), n_jobs=n_jobs)
    inner = concluded(_of_points(coordinates, near, found.sample, generator))
    above = AboveNoise(noise, int(inner), inner.interval, tuple(inner.estimates.log_evidence))
    return replace(found, above_noise=above, parts=inner.estimates.parts if above.clear else found.parts)


def _of_points(points: Tensor, near: Neighbours, sample: RowSample, generator: torch.Generator) -> PointEstimates:
    """Of distinct points in random order, and the nearest to the first 2 000 of these."""
    size, width = points.shape
    enough = near.distances[:, -1].isfinite()  # beyond their group or window
    logs = near.distances[enough].log()
    some, local = points[:QUERIES], points[:MOST_POINTS]
    if len(some) < size or not bool(enough.all()):
        near = neighbours_among(some, some, LOCAL_NEIGHBOURS)
    neighbours = of_log_distances(logs, size, width, points=points, generator=generator)
    principal = principal_coordinates(points)
    return PointEstimates(
        features=width,
        neighbours=neighbours,
        scales=dimension_against_scale(points, logs),
        sample=sample,
        # the local dimension of a mesh that is finer along one axis than along another is not that of its surface
        parts=() if neighbours.even else parts_of_distinct(some, near),
        shells=shells_of(principal),
        unfilled=unfilled_spans(points, principal),
        tangents=tangent_spaces_of_distinct(local, generator=generator),
    )


def _of_distances(distances: Any, indices: Any, features: int | None) -> PointEstimates:
    logs, _ = neighbours_given(distances, indices)
    count = len(logs)
    known = max(k for k in NEIGHBOURS if k <= logs.shape[1])
    logs = logs[logs[:, known - 1].isfinite()]
    if len(logs) < FEWEST_POINTS:
        raise ValueError(
            f"distances must have {known} above 0 in at least {FEWEST_POINTS} rows, got {len(logs)} of {count}; "
            "drop repeated rows, or give fewer neighbours"
        )
    chosen = logs[:: max(1, len(logs) // QUERIES)]
    width = _HIGHEST if features is None else validation.positive_int("features", features)
    return PointEstimates(
        features=width,
        neighbours=of_log_distances(chosen, count, width),
        scales=of_neighbours_alone(chosen, count, width),
        sample=RowSample(count, count, len(logs)),
    )
