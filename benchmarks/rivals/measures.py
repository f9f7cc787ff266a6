"""Measures of a rival: those of charts, and samples and densities beside the manifold where it is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from charts.data_set import Array, Split
from charts.measures import COMPARED, ERROR, LIKELIHOOD, MEASURES, NEAREST, TRUST, Measured, measure
from charts.model import Model, NoAnswerError
from nflows_spread.chart.support import Support
from nflows_spread.linalg.distances import nearest_neighbours
from rivals.data_sets import RivalSet

DISTANCE, MEDIAN_DISTANCE, DENSITY, COVERAGE = "distance", "median_distance", "density", "coverage"
SUPPORTED_DISTANCE = "supported_distance"

_DRAWS = 10
"""How often samples are drawn anew for those whose coordinates are where rows have theirs: as often as the estimator's
are."""

COLUMNS: Mapping[str, str] = {
    DISTANCE: "mean distance of samples to the manifold, in units of the data's scale",
    MEDIAN_DISTANCE: "its median, which samples far out do not change",
    SUPPORTED_DISTANCE: "mean distance of samples whose coordinates are where those of training rows are",
    ERROR: MEASURES[ERROR],
    COVERAGE: "median distance of held-out rows to the nearest of as many samples, over that to the nearest row",
    DENSITY: "mean absolute error of the log-density on the manifold at held-out rows, nats",
    TRUST: MEASURES[TRUST],
    LIKELIHOOD: MEASURES[LIKELIHOOD],
    NEAREST: MEASURES[NEAREST],
}
"""What the tables have, of all that is measured."""


def measure_rival(model: Model, known: RivalSet, rows: Split) -> Measured:
    """All that a model can be asked for. What fails is missing, with its reason, and the rest goes on."""
    measured = measure(model, known.data, rows)
    values, missing = dict(measured.values), dict(measured.missing)
    asked: Mapping[str, Callable[[], float]] = {
        COVERAGE: lambda: coverage(model, rows),
        DISTANCE: lambda: distance(model, known, rows),
        MEDIAN_DISTANCE: lambda: distance(model, known, rows, np.median),
        SUPPORTED_DISTANCE: lambda: supported_distance(model, known, rows),
        DENSITY: lambda: density_error(model, known, rows),
    }
    for name, answer in asked.items():
        try:
            value = answer()
            if not np.isfinite(value):
                raise NoAnswerError(f"{name} is not finite")
            values[name] = value
        except Exception as error:
            reason = str(error) if isinstance(error, NoAnswerError) else f"{type(error).__name__}: {error}"
            missing[name] = (reason.splitlines() or [type(error).__name__])[0]
    return Measured(values, missing)


def distance(model: Model, known: RivalSet, rows: Split, average: Callable[[Array], Any] = np.mean) -> float:
    """The mean distance of a thousand samples to the manifold, or another average."""
    distances = _distances_to(known, rows)
    return float(average(distances(_samples(model, COMPARED))))


def supported_distance(model: Model, known: RivalSet, rows: Split) -> float:
    """The mean distance of samples that have coordinates among those of training rows, ``Support`` of the estimator.

    The estimator draws such alone, so this is what the others have by the same rule.
    """
    distances = _distances_to(known, rows)
    if model.encode is None:
        raise NoAnswerError("no coordinates")
    generator = torch.Generator().manual_seed(0)
    support = Support.of(torch.as_tensor(model.encode(rows.train)), generator)
    if support is None:
        raise NoAnswerError("all rows have the same coordinates")
    held: list[Array] = []
    for _ in range(_DRAWS):
        drawn = _samples(model, COMPARED)
        held.extend(drawn[support.hold(torch.as_tensor(model.encode(drawn))).numpy()])
        if len(held) >= COMPARED:
            break
    if not held:
        raise NoAnswerError("no sample has coordinates where rows have theirs")
    return float(distances(np.stack(held[:COMPARED])).mean())


def _distances_to(known: RivalSet, rows: Split) -> Callable[[Array], Array]:
    """Distances of samples, in units of the rows, from the manifold in units of the data's scale."""
    if known.truth is None:
        raise NoAnswerError("the manifold is not known")
    distances = known.truth.distances

    def of(samples: Array) -> Array:
        points = torch.as_tensor(samples * rows.scale + rows.center, dtype=torch.float64)
        found: Array = distances(points).numpy() / _length(rows)
        return found

    return of


def density_error(model: Model, known: RivalSet, rows: Split) -> float:
    """E|log p_model − log p| at held-out rows, both by K-dimensional area."""
    if known.truth is None:
        raise NoAnswerError("the manifold is not known")
    if model.manifold_log_prob is None:
        raise NoAnswerError("no density on the manifold")
    if model.rank != known.data.dimension:
        raise NoAnswerError(f"a density by area of dimension {model.rank} is none of dimension {known.data.dimension}")
    held_out = torch.as_tensor(rows.held_out * rows.scale + rows.center, dtype=torch.float64)
    truth = known.truth.log_densities(held_out)
    if truth is None:
        raise NoAnswerError("the data has no density by one area")
    in_rows_units = truth.numpy() + model.rank * np.log(_length(rows))
    return float(np.abs(model.manifold_log_prob(rows.held_out) - in_rows_units).mean())


def coverage(model: Model, rows: Split) -> float:
    """How far held-out rows are from the nearest of as many samples as there are training rows; 1 is as the data."""
    samples = _samples(model, len(rows.train))
    near, usual = (
        np.median(nearest_neighbours(torch.as_tensor(rows.held_out), torch.as_tensor(among), 1).distances.numpy())
        for among in (samples, rows.train)
    )
    return float(near / usual)


def _samples(model: Model, count: int) -> Array:
    """Samples, all of them finite."""
    if model.sample is None:
        raise NoAnswerError("no samples")
    samples = np.random.default_rng(0).permutation(np.asarray(model.sample(count), dtype=np.float64))
    if not np.isfinite(samples).all():
        raise NoAnswerError("samples are not finite")
    return samples


def _length(rows: Split) -> float:
    """The one scale of all columns.

    Raises:
        NoAnswerError: columns have scales of their own, which do not keep distances.
    """
    scales = np.unique(rows.scale)
    if len(scales) > 1:
        raise NoAnswerError("the columns have scales of their own")
    return float(scales[0])
