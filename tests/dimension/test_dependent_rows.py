"""Rows that belong together are no neighbours: groups of repeated measurements, and series with a Theiler window."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.spatial.distance import cdist

from nflows_spread import dimension_of
from nflows_spread.dimension import local_dimensions, pointwise_dimension
from nflows_spread.dimension.dependent_rows import dependent_rows, neighbours_apart, representatives
from support import refused


def subjects(count=300, repeats=5, dimension=3, jitter=0.02, seed=0):
    """Repeated measurements of points on a flat piece, of each subject its own, and the subjects."""
    draws = np.random.default_rng(seed)
    whole = draws.normal(size=(count, dimension)) @ draws.normal(size=(dimension, 10))
    subject = np.repeat(np.arange(count), repeats)
    return whole[subject] + jitter * draws.normal(size=(count * repeats, 10)), subject, whole


def lorenz(rows, step, seed=0):
    """Successive states of Lorenz' equations, by Runge and Kutta's method, after a transient."""
    state = np.array([1.0, 1.0, 20.0]) + np.random.default_rng(seed).normal(size=3)
    found = []

    def speed(v):
        return np.array([10.0 * (v[1] - v[0]), v[0] * (28.0 - v[2]) - v[1], v[0] * v[1] - 8.0 / 3.0 * v[2]])

    for row in range(-1000, rows):
        k1 = speed(state)
        k2 = speed(state + 0.5 * step * k1)
        k3 = speed(state + 0.5 * step * k2)
        state = state + step / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + speed(state + step * k3))
        if row >= 0:
            found.append(state)
    return np.array(found)


@pytest.mark.parametrize("by", ["groups", "window"])
def test_neighbours_are_those_of_brute_force(by):
    x = np.random.default_rng(0).normal(size=(200, 4))
    labels = np.random.default_rng(1).integers(0, 30, 200)
    together = dependent_rows(200, labels, None) if by == "groups" else dependent_rows(200, None, 7)
    pairs = labels[:, None] == labels if by == "groups" else np.abs(np.subtract.outer(range(200), range(200))) < 7
    distances = np.where(pairs, np.inf, cdist(x, x))
    points = torch.from_numpy(x)
    found = neighbours_apart(points, together, points, together, 12)
    np.testing.assert_allclose(found.distances, np.sort(distances, axis=1)[:, :12], atol=1e-12)
    np.testing.assert_array_equal(found.indices, np.argsort(distances, axis=1)[:, :12])


@pytest.mark.parametrize("by", ["groups", "window"])
def test_none_that_stands_for_others_is_nearer_to_one_than_to_all_that_are_apart(by):
    x, subject, _ = subjects(60, 4, jitter=0.3)
    together = dependent_rows(240, subject, None) if by == "groups" else dependent_rows(240, None, 4)
    pairs = subject[:, None] == subject if by == "groups" else np.abs(np.subtract.outer(range(240), range(240))) < 4
    kept = representatives(torch.from_numpy(x), together).numpy()
    distances = cdist(x, x)
    apart = np.where(pairs, np.inf, distances).min(1)
    among = np.where(pairs & ~np.eye(240, dtype=bool), distances, np.inf)[np.ix_(kept, kept)]
    later = np.tril(np.ones((len(kept), len(kept)), dtype=bool), -1)  # each beside those that were kept before
    assert (np.where(later, among, np.inf).min(1) >= apart[kept]).all()
    left_out = np.setdiff1d(np.arange(240), kept)
    assert (np.where(pairs, distances, np.inf)[np.ix_(left_out, kept)].min(1) < apart[left_out]).all()


@pytest.mark.parametrize("jitter", [1e-3, 0.02, 0.1])
def test_repeated_measurements_have_the_dimension_of_the_subjects(jitter):
    x, subject, whole = subjects(jitter=jitter)
    found = dimension_of(x, groups=subject)
    assert found == 3
    assert found.interval[0] <= 3 <= found.interval[1]
    if jitter < 0.1:
        assert found.value == pytest.approx(dimension_of(whole).value, rel=0.1)
        assert found.sample.distinct == 300
        assert "300 of them apart from others of their group" in repr(found)
        assert not any("distinct" in said for said in found.reservations)


def test_without_groups_repeated_measurements_are_taken_for_more():
    x, subject, _ = subjects(jitter=0.1)
    assert dimension_of(x).interval[1] < 3 or dimension_of(x) != 3
    labels = pd.Series(subject).map("subject {}".format)
    order = np.random.default_rng(2).permutation(len(x))
    assert dimension_of(x[order], groups=labels[order]) == 3


@pytest.mark.parametrize("step", [0.005, 0.02])
def test_a_series_with_a_window_has_the_dimension_of_the_set_it_fills(step):
    x = lorenz(4000, step)
    found = dimension_of(x, window=round(0.5 / step))
    assert found == 2
    assert found.value == pytest.approx(2.06, abs=0.45)  # Grassberger and Procaccia's correlation dimension
    assert not any("path" in said for said in found.reservations)
    if step == 0.005:
        assert any("path" in said for said in dimension_of(x).reservations)


def test_local_dimensions_of_repeated_measurements_are_those_of_the_subjects():
    x, subject, _ = subjects(600, 4, dimension=2, jitter=1e-3)
    found = pointwise_dimension(x, groups=subject)
    assert (found == 2).mean() > 0.95
    assert len(found) == len(x)
    np.testing.assert_array_equal(found, local_dimensions(x, groups=subject).dimensions)


def test_local_dimensions_of_a_series_are_in_the_order_of_those_by_brute_force():
    x = lorenz(1200, 0.02)
    kept = representatives(torch.from_numpy(x), dependent_rows(1200, None, 25)).numpy()
    near = np.abs(np.subtract.outer(np.arange(1200), kept)) < 25
    distances = np.where(near, np.inf, cdist(x, x[kept]))
    order = np.argsort(distances, axis=1)[:, :20]
    logs = np.log(np.take_along_axis(distances, order, 1))
    inverse = (logs[:, -1:] - logs[:, :-1]).sum(1) / 18.0
    together = (inverse + inverse[kept][order].sum(1)) / 21.0
    found = local_dimensions(x, window=25).estimates  # which rise with the estimates that they are calibrated from
    assert (np.diff(found[np.argsort(together)]) < 1e-9).all()


def test_local_dimensions_of_groups_of_one_are_those_without_groups():
    x = np.random.default_rng(0).random((400, 2))
    found, plain = local_dimensions(x, groups=np.arange(400)), local_dimensions(x)
    np.testing.assert_allclose(found.estimates, plain.estimates, rtol=1e-12)
    np.testing.assert_allclose(found.standard_errors, plain.standard_errors, rtol=1e-9)


def test_what_does_not_fit_is_refused():
    x, subject, _ = subjects(60)
    with refused(ValueError, "groups must have a label for each of the 300 rows, got shape (299,)"):
        dimension_of(x, groups=subject[1:])
    numbers = [float(number // 20) for number in range(300)]
    for missing in (None, math.nan, np.datetime64("NaT"), pd.NA):
        labels = np.array([missing, *numbers[1:299], missing], dtype=object)
        with refused(ValueError, "groups must have a label for each row, got none for 2 of 300; give rows whose group"):
            dimension_of(x, groups=labels)
    with refused(ValueError, "got none for 300 of 300"):
        dimension_of(x, groups=np.full(300, np.datetime64("NaT", "ns")))
    with refused(ValueError, "got none for 1 of 300"):
        dimension_of(x, groups=torch.tensor([math.nan, *numbers[1:]]))
    with refused(ValueError, "groups must have at least two labels, got 1"):
        pointwise_dimension(x, groups=0 * subject)
    with refused(TypeError, "groups and window cannot both be given"):
        dimension_of(x, groups=subject, window=3)
    with refused(ValueError, "window must be less than the number of rows, 300, got 300"):
        dimension_of(x, window=300)
    with refused(TypeError, "groups and window are of rows among themselves, got them with data or distances"):
        local_dimensions(x, x, groups=subject)
    with refused(TypeError, "groups and window go with X, got them with distances"):
        dimension_of(distances=np.ones((60, 6)), window=2)
    with refused(
        ValueError, "X must have at least 50 rows that are no nearer to one of their group or window than to all"
    ):
        dimension_of(x[:200], groups=subject[:200])
