"""The dimension of an array without a flow: what users bring, what they are told, and what is refused."""

import copy
import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

import nflows_spread
from nflows_spread import dimension_of
from nflows_spread.datasets import lollipop
from nflows_spread.dimension import point_dimension
from nflows_spread.dimension.neighbours import neighbour_dimension
from support import refused


def plane(rows=1000, features=10, seed=0):
    draws = np.random.default_rng(seed)
    return draws.standard_normal((rows, 2)) @ draws.standard_normal((2, features))


def cube(rows, dimension, seed=0):
    return np.random.default_rng(seed).random((rows, dimension))


KINDS = {
    "array": lambda x: x,
    "float32": lambda x: x.astype(np.float32),
    "in columns": np.asfortranarray,
    "backwards": lambda x: x[::-1, ::-1],
    "tensor": torch.from_numpy,
    "data frame": pd.DataFrame,
    "list": lambda x: x.tolist(),
}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_plane_has_two_dimensions_whatever_holds_it(kind):
    found = dimension_of(kind(plane()))
    assert found == 2
    assert found.interval == (2, 2)
    assert found.reservations == ()
    assert (found.sample.rows, found.sample.of, found.sample.distinct) == (1000, 1000, 1000)


@pytest.mark.parametrize(("rows", "features"), [(500, 3), (60, 2), (400, 1)])
def test_full_dimension_is_an_answer(rows, features):
    found = dimension_of(cube(rows, features))
    assert found == features
    assert found.interval[1] == features


def test_columns_that_do_not_vary_and_truth_values_change_nothing():
    frame = pd.DataFrame(plane(), columns=list("abcdefghij"))
    found = dimension_of(frame.assign(constant=3.0, flag=frame["a"] > 0.0))
    assert found == 2  # a truth value moves half of the points away from the others
    assert dimension_of(frame.assign(constant=3.0)).value == pytest.approx(dimension_of(frame).value, rel=1e-9)


def test_many_features_take_no_flow():
    assert dimension_of(plane(300, 5000)) == 2


def test_it_is_an_int_that_keeps_what_it_was_made_of():
    found = dimension_of(plane())
    assert isinstance(found, int)
    assert found + 1 == 3
    for again in (pickle.loads(pickle.dumps(found)), copy.copy(found), copy.deepcopy(found)):
        assert (again, again.interval, again.estimates) == (found, found.interval, found.estimates)
    with refused(AttributeError, "cannot be changed"):
        found.interval = (1, 3)
    assert repr(found) == f"PointDimension(2, value={found.value:.2f}, interval=(2, 2), all 1000 rows)"
    assert nflows_spread.dimension_of is nflows_spread.dimension.dimension_of


def test_the_value_is_that_of_the_calibrated_neighbours():
    x = torch.from_numpy(cube(700, 4))
    assert dimension_of(x).value == pytest.approx(neighbour_dimension(x).value, rel=1e-9)


def test_no_rotation_offset_or_unit_changes_it():
    x = cube(600, 5)
    turn = np.linalg.qr(np.random.default_rng(1).standard_normal((5, 5)))[0]
    found, moved, turned = dimension_of(x), dimension_of(1e6 + 100.0 * x), dimension_of(x @ turn)
    assert moved.value == pytest.approx(found.value, rel=1e-6)
    assert turned.value == pytest.approx(found.value, rel=1e-6)
    assert moved.scales.scales == pytest.approx(found.scales.in_units_of(100.0).scales, rel=1e-6)
    assert turned.scales.scales == pytest.approx(found.scales.scales, rel=0.03)  # rows come into other subsets


def test_the_same_data_have_the_same_dimension_whatever_the_threads():
    x = plane(7000)
    one, two = dimension_of(x), dimension_of(x, n_jobs=2)
    assert one.estimates == two.estimates
    assert one.estimates == dimension_of(x).estimates


def test_rows_of_a_file_are_sampled_and_it_says_so(tmp_path):
    np.save(tmp_path / "x.npy", plane(30_000))
    found = dimension_of(np.load(tmp_path / "x.npy", mmap_mode="r"), max_points=3000)
    assert found == 2
    assert (found.sample.rows, found.sample.of) == (3000, 30_000)
    assert "3000 of 30000 rows, drawn at random" in repr(found)
    other = dimension_of(plane(30_000), max_points=3000, generator=torch.Generator().manual_seed(5))
    assert other == 2
    assert other.value != found.value


@pytest.mark.parametrize("neighbours", [41, 16])
def test_distances_of_another_library_are_enough(neighbours):
    x = plane(800)
    distances, indices = NearestNeighbors(n_neighbors=neighbours).fit(x).kneighbors(x)
    found = dimension_of(distances=distances, indices=indices, features=10)
    assert found == 2
    assert max(found.scales.neighbours) == (40 if neighbours == 41 else 10)
    assert dimension_of(distances=distances) == 2
    if neighbours == 41:
        assert found.value == pytest.approx(dimension_of(x).value, rel=0.02)


def test_a_dimension_that_varies_is_said_and_covered():
    found = dimension_of(lollipop(2000, generator=torch.Generator().manual_seed(0)).x)
    assert found.interval == (1, 2)
    assert any("the dimension varies from place to place: about 1" in said for said in found.reservations)
    assert "varies" in repr(found)


def test_the_dimension_of_pieces_side_by_side_is_the_largest_that_a_third_of_the_points_reach():
    pieces = np.zeros((3000, 8))
    pieces[:1500, 0] = cube(1500, 1)[:, 0]
    pieces[1500:2300, :2] = cube(800, 2) + 3.0
    pieces[2300:, :5] = cube(700, 5) - 4.0
    found = dimension_of(pieces)
    assert found == 2
    assert found.interval == (1, 5)
    shares = [part.share for part in found.estimates.parts]
    assert shares == pytest.approx([0.5, 0.27, 0.23], abs=0.02)
    assert f"about 1 at {shares[0]:.0%} of the points, 2 at {shares[1]:.0%} and 5 at {shares[2]:.0%}" in repr(found)


def test_rows_along_a_path_are_said():
    """An orbit on a torus, at times so near to each other that neighbours are those in order."""
    t = np.linspace(0.0, 200.0, 4000)
    x = np.stack([np.cos(t), np.sin(t), np.cos(2**0.5 * t), np.sin(2**0.5 * t)], axis=1)
    assert any("follow each other along a path" in said for said in dimension_of(x).reservations)
    shuffled = dimension_of(np.random.default_rng(0).permutation(x))
    assert not any("path" in said for said in shuffled.reservations)
    circle = dimension_of(x[:800, :2])  # the path is all there is
    assert circle == 1
    assert not any("path" in said for said in circle.reservations)


def test_whole_numbers_on_a_mesh_are_said():
    found = dimension_of(np.stack(np.meshgrid(np.arange(40), np.arange(40)), axis=-1).reshape(-1, 2))
    assert found == 2
    assert ["spaced more evenly" in said for said in found.reservations] == [True]


def test_repeated_rows_count_once_and_are_said():
    x = plane(500)
    found = dimension_of(np.concatenate([x, x, x]))
    assert found == 2
    assert found.sample.distinct == 500
    assert "only 500 of 1500 rows are distinct, and repeated rows count once" in found.reservations


def test_a_closed_surface_keeps_one_dimension_less_in_its_interval():
    x = np.random.default_rng(0).standard_normal((2000, 12))
    found = dimension_of(x / np.linalg.norm(x, axis=1, keepdims=True))
    assert found.interval[0] <= 11 <= found.interval[1]


def test_votes_are_summed(monkeypatch):
    def sure_of_three(estimates):
        return [10.0 if k == 3 else 0.0 for k in range(1, estimates.features + 1)]

    x = plane()
    evidence = dimension_of(x).estimates.log_evidence
    monkeypatch.setitem(point_dimension.VOTES_OF_POINTS, "another", sure_of_three)
    found = dimension_of(x)
    assert found.estimates.log_evidence == [nats + 10.0 * (k == 3) for k, nats in enumerate(evidence, 1)]


@pytest.mark.parametrize(
    ("x", "error", "words"),
    [
        (np.where(np.eye(100, 4) > 0, np.nan, 1.0), ValueError, "X must be finite, got NaN or infinity in 4 of 100"),
        (
            plane(49),
            ValueError,
            "X must have at least 50 distinct points, got 49 among 49; take more rows, or SpreadFlowEst",
        ),
        (np.ones((100, 3)), ValueError, "X must have at least 50 distinct points, got 1 among 100"),
        (plane()[:, 0], ValueError, "X must be a matrix, one row a point, got shape (1000,)"),
        (plane().astype(complex), TypeError, "X must hold real numbers"),
        (pd.DataFrame({"a": ["x"] * 100}), TypeError, "X must hold real numbers"),
    ],
)
def test_what_is_no_data_is_refused(x, error, words):
    with refused(error, words):
        dimension_of(x)


def test_arguments_that_do_not_go_together_are_refused():
    with refused(TypeError, "takes either X or distances, got neither"):
        dimension_of()
    with refused(TypeError, "takes either X or distances, got both"):
        dimension_of(plane(), distances=np.ones((100, 5)))
    with refused(TypeError, "indices and features go with distances"):
        dimension_of(plane(), features=3)
    with refused(ValueError, "max_points must be at least 50, got 49"):
        dimension_of(plane(), max_points=49)
    with refused(ValueError, "n_jobs must be"):
        dimension_of(plane(), n_jobs=0)
    with refused(ValueError, "distances must have 5 above 0 in at least 50 rows, got 0 of 100"):
        dimension_of(distances=np.zeros((100, 6)))


def noisy_circle(rows, noise, features=20):
    draws = np.random.default_rng(0)
    t = draws.uniform(0.0, 2.0 * np.pi, rows)
    x = np.concatenate([np.stack([np.cos(t), np.sin(t)], axis=1), np.zeros((rows, features - 2))], axis=1)
    return x + noise * draws.standard_normal(x.shape)


@pytest.mark.parametrize(("rows", "noise"), [(2000, 0.02), (5000, 0.01)])
def test_noise_is_said_and_what_is_above_it_is_found(rows, noise):
    found = dimension_of(noisy_circle(rows, noise))
    assert (found, found.interval[0]) == (1, 1)
    assert found.value > 2.0  # by the nearest neighbours
    assert any("the dimension falls from" in said and "see scales" in said for said in found.reservations)
    assert found.scales.at(1.0) < 2.0


def test_a_fall_that_the_nearest_neighbours_do_not_see_is_covered():
    """A curve in the plane, wider by noise than the distances between 5 000 points and their 40th neighbours."""
    found = dimension_of(noisy_circle(5000, 0.05, features=2))
    assert found.estimates.neighbours.fall_across_scales < 0.1
    assert found.interval == (1, 2)


def test_a_fall_over_neighbours_to_the_smallest_scale_itself_is_none_to_speak_of():
    found = dimension_of(noisy_circle(500, 0.02)).estimates
    assert found.falls_to > 0
    rising = replace(found, scales=replace(found.scales, dimensions=tuple(sorted(found.scales.dimensions))))
    assert rising.falls_to == 0
    assert not any("the dimension falls" in said for said in rising.reservations)


def test_separate_pieces_are_no_fall():
    x = np.concatenate([plane(300, seed=0), 1000.0 + plane(300, seed=1), plane(300, seed=2) - 1000.0])
    found = dimension_of(x)
    assert min(found.scales.dimensions) < 1.5  # pieces are points at the scale of their distances
    assert found.interval == (2, 2)


def test_clusters_of_fewer_rows_than_neighbours_keep_their_dimension():
    draws = np.random.default_rng(0)
    x = draws.standard_normal((200, 4)) + 10.0 * draws.standard_normal((4, 4))[np.arange(200) % 4]
    assert dimension_of(x) == 4


def test_fewer_rows_than_columns_span_no_more_than_they_are():
    draws = np.random.default_rng(0)
    plane = np.pad(draws.standard_normal((100, 2)), ((0, 0), (0, 998)))
    found = dimension_of(plane + 0.05 * draws.standard_normal((100, 1000)))
    assert max(found, *found.interval) <= 99
    assert any("100 rows span 99 of 1000 dimensions" in said for said in found.reservations)
    full = dimension_of(draws.standard_normal((60, 100)))
    assert full.interval[0] <= full == full.interval[1] == 59


@pytest.mark.parametrize("seed", range(4))
def test_an_interval_above_what_the_rows_span_ends_there_at_both_ends(seed):
    found = dimension_of(torch.rand(60, 192, generator=torch.Generator().manual_seed(seed)))
    assert (found, *found.interval) == (59, 59, 59)


def test_distinct_rows_that_are_near_each_other_by_chance_are_not_merged_below_what_it_takes():
    x = np.random.default_rng(5).random((55, 1)) * np.ones((1, 3))
    assert dimension_of(x) == 1


def test_a_distance_to_itself_that_rounding_left_is_no_neighbour():
    draws = np.random.default_rng(0)
    x = draws.standard_normal((1000, 2)) @ draws.standard_normal((2, 6))
    distances, indices = NearestNeighbors(n_neighbors=41).fit(x).kneighbors(x)
    rounded = distances.copy()
    rounded[:, 0] = 1e-4 * draws.random(1000)
    of_exact, of_rounded = (dimension_of(distances=d, indices=indices, features=6) for d in (distances, rounded))
    assert (of_rounded, of_rounded.value) == (of_exact, of_exact.value)


def test_a_generator_of_another_library_is_refused():
    with refused(TypeError, "generator must be a torch.Generator", "got 0"):
        dimension_of(np.eye(60), generator=0)
