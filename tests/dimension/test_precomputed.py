"""Neighbours that another library has found: what is taken, and what is refused."""

import numpy as np
import pytest
import scipy.sparse
import torch
from sklearn.neighbors import NearestNeighbors, kneighbors_graph, radius_neighbors_graph

from nflows_spread import dimension_of
from nflows_spread.dimension import local_dimensions
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


@pytest.mark.parametrize("include_self", [False, True])
@pytest.mark.parametrize("kind", ["csr_matrix", "csr_array", "coo_matrix", "csc_matrix"])
def test_a_sparse_graph_of_distances_is_what_its_arrays_are(kind, include_self):
    given = X if include_self else None
    graph = getattr(scipy.sparse, kind)(SEARCH.kneighbors_graph(given, n_neighbors=8, mode="distance"))
    found = neighbours_given(graph, None)
    expected = neighbours_given(*SEARCH.kneighbors(given, n_neighbors=8))
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one, other)


def test_the_dimension_is_that_of_the_graph_and_the_remedies_lead_there():
    x = np.random.default_rng(0).normal(size=(300, 2)) @ np.random.default_rng(1).normal(size=(2, 5))
    graph = kneighbors_graph(x, 150, mode="distance")
    found = dimension_of(distances=graph)
    assert int(found) == 2
    distances, indices = NearestNeighbors(n_neighbors=150).fit(x).kneighbors()
    assert found.value == dimension_of(distances=distances, indices=indices).value
    points = torch.as_tensor(x)
    around = local_dimensions(points, distances=graph).dimensions
    assert torch.equal(around, local_dimensions(points, distances=distances, indices=indices).dimensions)
    with refused(TypeError, "a graph of neighbours is no data: pass it as dimension_of(distances=X)"):
        dimension_of(graph)
    with refused(ValueError, "got 1 for each neighbour; take sklearn.neighbors.kneighbors_graph(X, k, mode='distance"):
        dimension_of(distances=kneighbors_graph(x, 150))
    with refused(ValueError, "as many neighbours in each row, got shape (300, 300) with", "mode='distance')"):
        dimension_of(distances=radius_neighbors_graph(x, 1.0, mode="distance"))
    with refused(ValueError, "indices must be left out where distances are a sparse graph"):
        dimension_of(distances=graph, indices=indices)
