"""Distances and nearest neighbours against SciPy's, wherever the origin is, and what they take to find."""

import numpy as np
import pytest
import scipy.spatial
import torch

from nflows_spread.linalg import distances, neighbour_candidates
from nflows_spread.linalg.distances import distances_between, nearest_neighbours
from support import LargestResult

pytestmark = pytest.mark.usefixtures("float64")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def in_two_places(n, features):
    """Points near each other in two places 1e9 apart, neither at the origin nor at the mean."""
    x = torch.randn(n, features, generator=seeded())
    x[: n // 2] += 1e9
    return x


def with_one_at(value):
    def points(n, features):
        x = torch.randn(n, features, generator=seeded())
        x[n // 3] = value
        return x

    return points


def on_a_line(n, features):
    line = torch.linspace(1.0, 2.0, n)[:, None] * torch.ones(features)
    return line + 1e-9 * torch.randn(n, features, generator=seeded())


SETS = {
    "at the origin": lambda n, features: torch.randn(n, features, generator=seeded()),
    "far from the origin": lambda n, features: 1.7e9 + torch.randn(n, features, generator=seeded()),
    "in two places": in_two_places,
    "one point far away": with_one_at(1e9),
    "one point whose square is infinite": with_one_at(1e200),
    "close together": on_a_line,
}


@pytest.mark.parametrize("features", [2, 40])  # by differences, and by products where they do not cancel
@pytest.mark.parametrize("points", SETS.values(), ids=SETS.keys())
def test_distances_are_scipys_wherever_the_points_are(points, features):
    x = points(120, features)
    ours = distances_between(x[:50], x)
    np.testing.assert_allclose(ours, scipy.spatial.distance.cdist(x[:50], x), rtol=1e-8, atol=0)
    nearest = nearest_neighbours(x[:50], x, 4)
    distances, indices = scipy.spatial.cKDTree(x.numpy()).query(x[:50].numpy(), 4)
    np.testing.assert_allclose(nearest.distances, distances, rtol=1e-8, atol=0)
    finite = np.isfinite(distances)
    np.testing.assert_array_equal(nearest.indices.numpy()[finite], indices[finite])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_distances_of_low_precision_are_those_of_the_same_points_in_float64(dtype):
    x = (1000.0 + 10.0 * torch.rand(100, 40, generator=seeded())).to(dtype)
    expected = scipy.spatial.distance.cdist(x.double(), x.double())
    np.testing.assert_allclose(distances_between(x, x), expected, rtol=1e-8, atol=0)


@pytest.mark.parametrize("features", [3, 50])
def test_blocks_do_not_change_what_is_nearest(features, monkeypatch):
    x = SETS["far from the origin"](300, features)
    whole = nearest_neighbours(x, x, 7, skip_equal=True)
    for name, size in {"_ENTRIES": 500, "_ROWS": 11}.items():
        monkeypatch.setattr(distances, name, size)
    parts = nearest_neighbours(x, x, 7, skip_equal=True)
    assert torch.equal(parts.indices, whole.indices)
    torch.testing.assert_close(parts.distances, whole.distances, rtol=1e-8, atol=0)


@pytest.mark.parametrize("asked", [33, 64])
def test_asking_for_some_rows_at_a_time_does_not_change_what_is_nearest(asked, monkeypatch):
    x = torch.randn(4000, 3, generator=seeded())
    whole = nearest_neighbours(x[:asked], x, 4, skip_equal=True)
    monkeypatch.setattr(distances, "_TOGETHER", 32)
    parts = nearest_neighbours(x[:asked], x, 4, skip_equal=True)
    assert torch.equal(parts.indices, whole.indices)
    assert torch.equal(parts.distances, whole.distances)


def test_equal_points_are_left_out_on_request_and_the_others_kept():
    x = torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 1e-12], [0.0, 0.0]])
    assert nearest_neighbours(x, x, 2).distances[0].tolist() == [0.0, 0.0]
    others = nearest_neighbours(x, x, 3, skip_equal=True)
    assert others.distances[0].tolist() == [1e-12, 5.0, float("inf")]
    assert others.indices[0, :2].tolist() == [2, 1]


def test_a_point_that_is_not_finite_has_no_distance():
    x = torch.tensor([[float("nan"), 1.0], [0.0, 1.0]])
    found = nearest_neighbours(x, torch.eye(2), 1).distances
    assert found.isnan().tolist() == [[True], [False]]


@pytest.mark.parametrize("features", [3, 50])
def test_no_matrix_of_all_distances_is_ever_made(features):
    x = torch.randn(10_000, features, generator=seeded())
    with LargestResult() as largest:
        nearest_neighbours(x[:1000], x, 5)
    assert largest.bytes <= x.nbytes + 2**24  # all distances: 80 MB


def test_the_set_is_not_converted_all_at_once(monkeypatch):
    x = torch.randn(10_000, 50, generator=seeded()).float()
    monkeypatch.setattr(distances, "_ENTRIES", 2**14)
    monkeypatch.setattr(neighbour_candidates, "_PART", 2**14)
    with LargestResult() as largest:
        nearest_neighbours(x[:50], x, 5)
    assert largest.bytes <= x.nbytes  # in float64 it is twice as large
