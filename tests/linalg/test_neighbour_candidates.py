"""Nearest neighbours by float32 candidates: as exact as SciPy's, wherever the points are and in whatever order."""

import numpy as np
import pytest
import scipy.spatial
import torch

from nflows_spread.linalg import distances
from nflows_spread.linalg.distances import nearest_neighbours
from nflows_spread.linalg.neighbour_candidates import candidates_among

pytestmark = pytest.mark.usefixtures("float64")
N, K = 4200, 4


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(features):
    return torch.randn(N, features, generator=seeded())


def in_two_places(features):
    x = normal(features)
    x[: N // 2] += 1e9
    return x


def one_far_away(features):
    x = normal(features)
    x[N // 3] = 1e200
    return x


SETS = {
    "normal": normal,
    "sorted": lambda features: normal(features).unique(dim=0),
    "far from the origin": lambda features: 1.7e9 + normal(features),
    "in two places": in_two_places,
    "one point whose square is infinite": one_far_away,
    "tiny": lambda features: 1e-100 * normal(features),
    "on a line": lambda features: torch.linspace(1.0, 2.0, N)[:, None] + 1e-9 * normal(features),
}


@pytest.mark.parametrize("features", [2, 40])
@pytest.mark.parametrize("points", SETS.values(), ids=SETS)
def test_what_float32_proposes_ends_as_scipys_neighbours(points, features):
    x = points(features)
    found = nearest_neighbours(x[:300], x, K)
    expected, indices = scipy.spatial.KDTree(x).query(x[:300], K)
    np.testing.assert_allclose(found.distances, expected, rtol=1e-8, atol=0)
    clear = np.isfinite(expected).all(1)
    np.testing.assert_array_equal(found.indices.numpy()[clear], indices[clear])


@pytest.mark.parametrize("points", SETS.values(), ids=SETS)
def test_no_point_that_is_no_candidate_is_nearer_than_the_bound(points):
    x = points(3)
    found = candidates_among(x[:200], x, 12, center=x[:: N // 100].mean(0))
    far = scipy.spatial.distance.cdist(x[:200], x)
    np.put_along_axis(far, found.indices.numpy(), np.inf, axis=1)
    assert bool((torch.from_numpy(far.min(1)) >= found.bounds).all())


def test_the_bound_is_below_the_last_candidate_by_rounding_only():
    x = normal(5)
    found = candidates_among(x[:200], x, 12, center=x.mean(0))
    far = np.sort(scipy.spatial.distance.cdist(x[:200], x), axis=1)[:, 11]
    np.testing.assert_allclose(found.bounds, far, rtol=1e-3)


def test_most_rows_need_no_second_search(monkeypatch):
    x = normal(10)
    searched = []
    by_blocks = distances._by_blocks
    monkeypatch.setattr(distances, "_by_blocks", lambda x, *rest: searched.append(len(x)) or by_blocks(x, *rest))
    nearest_neighbours(x, x, K, skip_equal=True)
    assert sum(searched) < 0.01 * N


def test_threads_change_no_digit():
    x = normal(8)
    one, three = (nearest_neighbours(x, x, K, skip_equal=True, threads=threads) for threads in (1, 3))
    assert torch.equal(one.distances, three.distances)
    assert torch.equal(one.indices, three.indices)


def test_of_equally_near_points_the_first_are_taken():
    x = torch.cartesian_prod(torch.arange(65.0), torch.arange(65.0))
    found = nearest_neighbours(x[2112:2113], x, 4, skip_equal=True)  # in the middle of the mesh
    assert found.distances.tolist() == [[1.0] * 4]
    assert found.indices.tolist() == [[2047, 2111, 2113, 2177]]


def test_many_equal_points_are_left_out_on_request():
    x = torch.cat([torch.zeros(100, 3), normal(3)])
    found = nearest_neighbours(x[:2], x, K, skip_equal=True)
    expected, _ = scipy.spatial.KDTree(normal(3)).query(np.zeros((2, 3)), K)
    np.testing.assert_allclose(found.distances, expected, rtol=1e-12)


def test_a_point_that_is_not_finite_has_no_distance():
    x = normal(3)
    x[7, 1] = float("nan")
    found = nearest_neighbours(x[6:8], x, K).distances
    assert found.isnan().any(1).tolist() == [False, True]
