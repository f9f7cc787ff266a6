"""The search for neighbours in large sets: a tree and all pairs agree, and threads change nothing."""

import importlib.util

import numpy as np
import pytest
import scipy.spatial
import torch

from nflows_spread.dimension import neighbour_search
from nflows_spread.dimension.neighbour_search import neighbours_among, threads_of
from support import refused

pytestmark = pytest.mark.usefixtures("float64")
N = 6000


def points(dimension, features=6):
    generator = torch.Generator().manual_seed(0)
    return torch.rand(N, dimension, generator=generator) @ torch.randn(dimension, features, generator=generator)


@pytest.mark.parametrize(("dimension", "by_tree"), [(2, True), (6, False)])
def test_neighbours_are_scipys_by_a_tree_or_by_all_pairs(dimension, by_tree, monkeypatch):
    asked = []
    tree = neighbour_search._by_tree
    monkeypatch.setattr(neighbour_search, "_by_tree", lambda *each: asked.append(each) or tree(*each))
    x = points(dimension)
    found = neighbours_among(x, x, 5)
    assert bool(asked) == by_tree
    distances, indices = scipy.spatial.KDTree(x).query(x, 6)
    np.testing.assert_allclose(found.distances, distances[:, 1:], rtol=1e-10)
    np.testing.assert_array_equal(found.indices, indices[:, 1:])


def test_new_points_have_neighbours_that_are_not_themselves():
    x, new = points(2), points(2)[:5500] + 1e-3
    found = neighbours_among(new, x, 5)
    distances, indices = scipy.spatial.KDTree(x).query(new, 5)
    np.testing.assert_allclose(found.distances, distances, rtol=1e-10)
    np.testing.assert_array_equal(found.indices, indices)


@pytest.mark.parametrize("dimension", [2, 6])
def test_the_number_of_threads_changes_no_digit(dimension):
    x = points(dimension)
    one, three = neighbours_among(x, x, 5), neighbours_among(x, x, 5, n_jobs=3)
    assert torch.equal(one.distances, three.distances)
    assert torch.equal(one.indices, three.indices)


def test_without_scipy_all_pairs_are_compared(monkeypatch):
    x = points(2)
    with_tree = neighbours_among(x, x, 5)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.delattr(neighbour_search, "_by_tree")
    without = neighbours_among(x, x, 5)
    np.testing.assert_allclose(without.distances, with_tree.distances, rtol=1e-12)
    assert torch.equal(without.indices, with_tree.indices)


def test_jobs_are_counted_as_joblib_counts_them():
    joblib = pytest.importorskip("joblib")
    assert threads_of(None) == 1
    for jobs in (1, 3, -1, -2):
        assert threads_of(jobs) == joblib.effective_n_jobs(jobs)
    with refused(ValueError, "n_jobs must be a number of threads, or -1 for all cores, got 0"):
        threads_of(0)
    with refused(TypeError, "n_jobs must be an integer, got 1.5"):
        threads_of(1.5)
