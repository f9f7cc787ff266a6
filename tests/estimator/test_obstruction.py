"""Obstructions to one chart: tears, separate pieces and rows that are not reconstructed, and none where one exists."""

import math
import warnings

import numpy as np
import pytest
import torch

from nflows_spread.dimension.variation import Part
from nflows_spread.estimator import Recipe, SpreadFlowEstimator
from nflows_spread.estimator.obstruction import ChartObstruction, Topology, beyond_noise, obstruction_of

SHORT = Recipe(steps=40, layers=2, hidden_features=16, bins=8, chart_steps=300, chart_width=64)


def angles(rows, seed=0):
    return 2.0 * math.pi * torch.rand(rows, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def circle(t):
    return torch.stack([t.cos(), t.sin()], dim=1)


def sphere(rows, seed=0):
    z = torch.randn(rows, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return z / z.norm(dim=1, keepdim=True)


def flattened(x):
    """The sphere from its south pole: angles from it are distances from the origin, and the north pole is a circle."""
    return x[:, :2] / x[:, :2].norm(dim=1, keepdim=True) * (-x[:, 2:]).arccos()


def said_of(topology, **facts):
    given = {"unreconstructed": 0.0, "error": 0.01, "linear": False, "neighbours_alone": False} | facts
    return obstruction_of(topology, **given)


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("rows", [300, 1000])
def test_a_closed_curve_is_torn_at_any_coordinate_and_an_open_one_is_not(rows, seed):
    t = angles(rows, seed)
    assert 0.0 < Topology.of(circle(t), t.unsqueeze(1)).torn < 0.1
    assert Topology.of(circle(0.8 * t), t.unsqueeze(1)).torn == 0.0


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("rows", [300, 1000])
def test_a_sphere_is_torn_where_it_is_opened_and_the_half_of_it_is_not(rows, seed):
    x = sphere(rows, seed)
    assert 0.0 < Topology.of(x, flattened(x)).torn < 0.2
    half = x * torch.tensor([1.0, 1.0, -1.0]) * x[:, 2:].sign()  # the southern one
    assert Topology.of(half, flattened(half)).torn == 0.0


def test_coordinates_whose_scale_varies_tear_nothing():
    t = angles(600).sort().values
    assert Topology.of(circle(0.5 * t), (0.5 * t).exp().unsqueeze(1)).torn == 0.0


def test_rows_that_are_equal_are_not_torn():
    x = circle(0.5 * angles(100)).repeat_interleave(6, dim=0)
    assert Topology.of(x, x).torn == 0.0


@pytest.mark.parametrize("draw", [lambda: sphere(400), lambda: torch.randn(400, 5).double()])
def test_a_cloud_is_one_piece_and_outliers_are_no_other(draw):
    x = draw()
    x[:3] += 50.0
    (size,) = Topology.of(x, x).pieces
    assert 390 <= size <= 400


def test_pieces_far_apart_are_counted():
    x = torch.cat([sphere(300), sphere(100, 1) + 10.0, sphere(200, 2) - 10.0])
    assert Topology.of(x, x).pieces == (300, 200, 100)


def test_the_reason_is_the_first_that_there_is():
    whole, torn, pieces = Topology(0.0, (100,)), Topology(0.02, (100,)), Topology(0.0, (70, 30))
    assert said_of(whole) is None
    assert said_of(whole, unreconstructed=0.9) is None  # all are near, if not within the noise
    far = said_of(torn, unreconstructed=0.9, error=0.3)
    assert (far.share, "90% of the held-out rows are farther" in far.reason) == (0.9, True)
    assert "with an error of 0.3 of the data's standard deviation" in far.reason
    assert "more of them, by n_components" in far.remedy
    cut = said_of(torn, unreconstructed=0.01)
    assert (cut.share, "tears 2.0% of the rows from their nearest neighbours" in cut.reason) == (0.02, True)
    apart = said_of(pieces)
    assert apart.share == pytest.approx(0.3)
    assert "2 separate pieces" in apart.reason
    assert said_of(pieces, linear=True) is None  # which lie in one space of K dimensions
    assert "spectrum does not" in said_of(pieces, neighbours_alone=True).reason


def test_parts_of_more_dimensions_than_there_are_coordinates_are_the_first_reason():
    torn, parts = Topology(0.02, (60, 40)), [Part(1, 0.5), Part(2, 0.2), Part(4, 0.3)]
    found = said_of(torn, unreconstructed=0.4, error=0.2, rank=1, parts=parts, neighbours_alone=True)
    assert found.share == pytest.approx(0.5)
    assert "50% of the points whose dimension is 2 or 4: 40% of the held-out rows are farther" in found.reason
    assert "tears" not in found.reason
    assert "spectrum" not in found.reason
    assert found.remedy == "take n_components=4 for coordinates of all rows"
    assert "n_components=4" in said_of(torn, unreconstructed=0.4, rank=2, parts=parts).remedy
    for enough in ({"rank": 4, "unreconstructed": 0.4}, {"rank": 1, "unreconstructed": 0.0}):
        assert "tears" in said_of(torn, parts=parts, **enough).reason


def beside_a_curve(of_disc):
    """A disc of so many rows and a curve of as many as are left of 600."""
    random = np.random.default_rng(0)
    radius, angle = np.sqrt(random.uniform(size=(1, of_disc))), random.uniform(0.0, 2.0 * math.pi, (1, of_disc))
    disc = np.concatenate([radius * np.cos(angle), radius * np.sin(angle), 0.3 * radius**2]).T
    t = random.uniform(-1.0, 1.0, 600 - of_disc)
    curve = np.stack([t + 4.0, 0.5 * t**2, t - 0.5 * t**2], axis=1)
    return np.concatenate([disc, curve])


def test_fit_says_of_a_curve_beside_a_small_disc_how_many_coordinates_reach_both():
    x = beside_a_curve(150)
    (message,), estimator = warnings_of(lambda: SpreadFlowEstimator(random_state=0, recipe=SHORT).fit(x))
    assert (int(estimator.intrinsic_dimension_), [part.dimension for part in estimator.estimates_.parts]) == (1, [1, 2])
    assert "the chart of 1 coordinate is too few for the 2" in message
    assert "take n_components=2 for coordinates of all rows; atlas_ has charts of its pieces" in message
    assert "closed curve" not in message
    assert estimator.chart_obstruction_.share == pytest.approx(150 / 600, abs=0.05)


def test_a_disc_of_a_third_of_the_rows_beside_a_curve_has_the_coordinates_that_reach_both():
    x = beside_a_curve(250)
    messages, estimator = warnings_of(lambda: SpreadFlowEstimator(random_state=0, recipe=SHORT).fit(x))
    assert (int(estimator.intrinsic_dimension_), estimator.intrinsic_dimension_.interval) == (2, (1, 2))
    assert not any("too few" in message for message in messages)
    assert estimator.reconstruction_error_ < 0.1


@pytest.mark.parametrize(("share", "said"), [(1.0, "100%"), (0.97, "97%"), (0.004, "0.4%")])
def test_a_share_of_rows_that_are_beyond_the_noise_is_never_none_of_them(share, said):
    assert beyond_noise(share, 0.0123).startswith(f"{said} of the held-out rows are farther from")


def test_each_reason_has_a_remedy_and_those_of_older_pickles_have_none():
    for topology in (Topology(0.02, (100,)), Topology(0.0, (70, 30))):
        found = said_of(topology)
        assert str(found) == f"{found.reason}; {found.remedy}"
    old = object.__new__(ChartObstruction)
    old.__dict__.update(share=0.5, reason="leaves something")
    assert str(old) == "leaves something"


def warnings_of(call):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = call()
    return [str(each.message) for each in caught if "the chart " in str(each.message)], result


def test_fit_warns_of_a_circle_that_was_cut_and_transform_does_once():
    x = circle(angles(500)).numpy()
    at_fit, estimator = warnings_of(lambda: SpreadFlowEstimator(random_state=0, recipe=SHORT, n_components=1).fit(x))
    assert int(estimator.intrinsic_dimension_) == 1
    assert estimator.chart_obstruction_.share > 0.0
    (message,) = at_fit
    found = estimator.chart_obstruction_
    assert message == f"the chart of 1 coordinate {found.reason}; {found.remedy}; atlas_ has charts of its pieces"
    before = dict(vars(estimator))
    (again,), _ = warnings_of(lambda: estimator.transform(x))
    assert f"{found.reason}; {found.remedy}" in again
    assert warnings_of(lambda: estimator.transform(x))[0] == []
    assert vars(estimator) == before  # as scikit-learn asks


def test_nothing_is_said_of_an_arc_nor_of_a_map_of_fewer_coordinates_than_dimensions():
    arc = circle(0.7 * angles(500)).numpy()
    flat = np.random.default_rng(0).normal(size=(300, 3))
    for x, count in ((arc, 1), (flat, 2)):
        said, estimator = warnings_of(
            lambda x=x, count=count: SpreadFlowEstimator(random_state=0, recipe=SHORT, n_components=count).fit(x)
        )
        assert said == []
        assert estimator.chart_obstruction_ is None
        assert warnings_of(lambda x=x, estimator=estimator: estimator.transform(x))[0] == []
