"""Neighbours that another library has found: what is taken, and what is refused."""

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from nflows_spread.dimension.precomputed import neighbours_given
from support import refused

X = np.random.default_rng(0).standard_normal((60, 3))
SEARCH = NearestNeighbors(n_neighbors=8).fit(X)


def test_each_rows_own_column_is_left_out():
    with_own = neighbours_given(*SEARCH.kneighbors(X))
    without = neighbours_given(*SEARCH.kneighbors(n_neighbors=7))
    assert with_own[0].shape == (60, 7)
    for found, expected in zip(with_own, without, strict=True):
        assert torch.equal(found, expected)
    np.testing.assert_allclose(with_own[0], np.log(SEARCH.kneighbors(n_neighbors=7)[0]))


def test_distances_alone_are_enough():
    logs, _ = neighbours_given(SEARCH.kneighbors(X)[0], None)
    assert torch.equal(logs, neighbours_given(*SEARCH.kneighbors(X))[0])


def test_repeated_rows_are_no_neighbours_of_each_other():
    x = np.concatenate([X, X[:1]])
    logs, indices = neighbours_given(*NearestNeighbors(n_neighbors=8).fit(x).kneighbors(x))
    assert logs.shape == (61, 7)
    assert logs[0, -1] == logs[60, -1] == torch.inf
    assert bool(logs[1:60].isfinite().all())
    expected = SEARCH.kneighbors(n_neighbors=6)
    np.testing.assert_allclose(logs[0, :-1], np.log(expected[0][0]))
    np.testing.assert_array_equal(indices[0, :-1], expected[1][0])


DISTANCES, INDICES = SEARCH.kneighbors(n_neighbors=7)


@pytest.mark.parametrize(
    ("distances", "indices", "words"),
    [
        (DISTANCES[:, ::-1], None, "distances must be nearest first, got others in row 0"),
        (-DISTANCES, None, "distances must not be negative"),
        (DISTANCES[:, :4], None, "distances must be to at least 5 other points, got 4"),
        (DISTANCES[:, 0], None, "distances must be a matrix"),
        (DISTANCES, INDICES[:, :3], "indices must be (60, 7) row numbers from 0 to 59, got shape (60, 3)"),
        (DISTANCES, INDICES + 1, "got shape (60, 7) from 1 to 60"),
        (DISTANCES * np.nan, None, "distances must be finite"),
    ],
)
def test_what_is_no_distance_to_neighbours_is_refused(distances, indices, words):
    with refused(ValueError, words):
        neighbours_given(distances, indices)


def test_another_number_of_rows_is_refused():
    with refused(ValueError, "distances must have a row for each of the 59 points, got 60"):
        neighbours_given(DISTANCES, INDICES, rows=59)
