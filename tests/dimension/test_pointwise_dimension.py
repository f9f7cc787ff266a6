"""The dimension from place to place, on unions of pieces of different dimension."""

import numpy as np
import pytest
import scipy.spatial
import torch
from nflows.flows import Flow
from nflows.transforms import LULinear

from nflows_spread import DegenerateGaussian
from nflows_spread.datasets import curve_and_surface, lollipop
from nflows_spread.dimension import pointwise_dimension, pointwise_spectrum
from nflows_spread.dimension.calibration_curve import SHAPES, calibration_curve
from nflows_spread.dimension.maximum_likelihood import NEIGHBOURS
from nflows_spread.estimator import Recipe, SpreadFlowEstimator
from support import LargestResult, randomize, refused


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("union", [lollipop, curve_and_surface])
@pytest.mark.parametrize("seed", [0, 1])
def test_each_piece_gets_its_dimension_away_from_the_joint(union, seed):
    points = union(2000, generator=seeded(seed))
    right = pointwise_dimension(points.x) == points.dimension
    assert float(right[points.to_joint > 0.15].float().mean()) > 0.95


def test_pieces_meet_at_the_joint_and_have_their_dimension():
    stick = lollipop(1000, generator=seeded())
    on_stick = stick.dimension == 1
    assert int(on_stick.sum()) == 500
    assert bool((stick.x[on_stick, 1] == 0.0).all())
    assert bool((stick.x[~on_stick].norm(dim=1) <= 1.0).all())
    sphere = curve_and_surface(1000, generator=seeded())
    torch.testing.assert_close(sphere.x[sphere.dimension == 2].norm(dim=1), torch.ones(500))
    for points, joint in ((stick, [-1.0, 0.0]), (sphere, [0.0, 0.0, 1.0])):
        torch.testing.assert_close(points.to_joint, torch.stack([(x - torch.tensor(joint)).norm() for x in points.x]))
        assert float(points.to_joint.min()) < 0.1


def test_a_full_dimension_is_the_highest_answer():
    found = pointwise_dimension(torch.randn(300, 2, generator=seeded()))
    assert int(found.max()) == 2  # some of these points look like three dimensions
    assert float((found == 2).double().mean()) > 0.9


def test_each_point_gets_the_dimension_whose_estimate_for_20_neighbours_is_nearest_to_its_own():
    """By SciPy's neighbours, and the estimates of sets of known dimension."""
    x = torch.rand(400, 4, generator=seeded()).double()
    distances, indices = scipy.spatial.cKDTree(x.numpy()).query(x.numpy(), 21)
    logs = np.log(distances[:, 1:])
    inverse = (logs[:, 19:] - logs[:, :19]).sum(1) / 18  # Levina and Bickel's estimate, without bias
    estimates = 1.0 / inverse[indices].mean(1)
    place = NEIGHBOURS.index(20)
    curve = [
        np.mean([calibration_curve(shape, 400)(dimension)[place] for shape in SHAPES]) for dimension in range(1, 5)
    ]
    expected = 1 + np.abs(estimates[:, None] - np.array(curve)).argmin(1)
    assert len(set(expected)) > 1
    np.testing.assert_array_equal(pointwise_dimension(x), expected)


def test_too_few_distinct_points_are_refused():
    with refused(ValueError, "x must have at least 50 distinct points, got 1 among 100"):
        pointwise_dimension(torch.ones(100, 2))


def test_repeated_points_count_once():
    x = torch.randn(300, 2, generator=seeded())
    once, twice = pointwise_dimension(x), pointwise_dimension(x.repeat(2, 1))
    assert torch.equal(twice, once.repeat(2))


def test_points_that_are_all_equally_far_apart_have_the_highest_dimension():
    assert set(pointwise_dimension(torch.eye(60)).tolist()) == {60}


@pytest.mark.parametrize("offset", [1.7e9, 1e12])
def test_the_dimension_of_each_point_is_the_same_far_from_the_origin(offset):
    points = curve_and_surface(1000, generator=seeded())
    there = points.x.double() * 1e4 + offset
    assert torch.equal(pointwise_dimension(there), pointwise_dimension(there - offset))
    right = pointwise_dimension(there) == points.dimension
    assert float(right[points.to_joint > 0.15].float().mean()) > 0.95


@pytest.mark.parametrize("union", [lollipop, curve_and_surface])
def test_new_points_get_the_dimension_of_the_data_around_them(union):
    data, new = union(2000, generator=seeded()), union(500, generator=seeded(1))
    right = pointwise_dimension(new.x, data=data.x) == new.dimension
    assert float(right[new.to_joint > 0.15].float().mean()) > 0.95
    one = int((new.to_joint > 0.15).nonzero()[0])
    assert pointwise_dimension(new.x[one : one + 1], data=data.x).tolist() == [int(new.dimension[one])]


def test_a_part_of_the_data_gets_what_it_gets_together_with_the_rest():
    data = curve_and_surface(600, generator=seeded()).x
    whole = pointwise_dimension(data)
    assert torch.equal(pointwise_dimension(data, data=data), whole)
    asked = torch.tensor([7, 3, 599, 3])
    assert torch.equal(pointwise_dimension(data[asked], data=data), whole[asked])
    assert torch.equal(pointwise_dimension(data[asked], data=data.repeat(2, 1)), whole[asked])


@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor])
def test_the_estimator_seeks_neighbours_in_the_points_or_in_the_data_that_it_is_given(kind):
    data, new = (kind(100.0 + 7.0 * lollipop(n, generator=seeded(n)).x.numpy()) for n in (600, 20))
    estimator = SpreadFlowEstimator(random_state=0, recipe=Recipe(steps=4, layers=2, hidden_features=8)).fit(data)
    expected = pointwise_dimension(torch.as_tensor(new), data=torch.as_tensor(data))
    found = estimator.pointwise_dimension(new, data=data)
    assert type(found) is type(new)
    assert found.tolist() == expected.tolist()
    assert set(found.tolist()) == {1, 2}
    plain = pointwise_dimension(torch.as_tensor(data)).tolist()
    assert estimator.pointwise_dimension(data, n_jobs=2).tolist() == plain
    with refused(ValueError, "at least 50 distinct points, got 20 among 20", "data="):
        estimator.pointwise_dimension(new)


def test_points_and_data_that_do_not_fit_are_refused():
    x = torch.randn(60, 3, generator=seeded())
    with refused(ValueError, "x must have the features of data, (3,), got (2,)"):
        pointwise_dimension(x[:, :2], data=x)
    with refused(ValueError, "data must have at least 50 distinct points, got 5 among 5"):
        pointwise_dimension(x, data=x[:5])
    with refused(ValueError, "x must have at least 50 distinct points, got 5 among 5; give data="):
        pointwise_dimension(x[:5])
    with refused(TypeError, "data"):
        pointwise_dimension(x, data=x.long())
    with refused(ValueError, "data must be finite"):
        pointwise_dimension(x, data=x / 0.0)


def test_no_matrix_of_all_distances_is_ever_made():
    """Of 3 000 points it would take 72 MB."""
    x = torch.randn(3000, 2, generator=seeded())
    with LargestResult() as largest:
        pointwise_dimension(x)
    assert largest.bytes < 2**24


def test_the_pointwise_spectrum_of_a_linear_flow_is_the_covariance_of_the_data_everywhere():
    torch.manual_seed(0)
    flow = Flow(randomize(LULinear(3, identity_init=False)), DegenerateGaussian([3])).double().eval()
    data = torch.randn(20_000, 3, dtype=torch.float64, generator=seeded()) * torch.tensor([3.0, 1.0, 0.0])
    found = pointwise_spectrum(flow, data[:5], data=data, data_noise=0.1, generator=seeded(1))
    np.testing.assert_allclose(found, np.tile([9.01, 1.01, 0.01], (5, 1)), rtol=0.05)


@pytest.mark.parametrize("distance", [1e-12, 1e-7])
def test_rows_repeated_up_to_a_small_difference_change_no_dimension(distance):
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(400, 2, dtype=torch.float64, generator=generator) @ torch.randn(
        2, 4, dtype=torch.float64, generator=generator
    )
    near = x[:100] + distance * torch.randn(100, 4, dtype=torch.float64, generator=generator)
    alone, found = pointwise_dimension(x), pointwise_dimension(torch.cat([x, near]))
    assert torch.equal(found[:400], alone)
    assert torch.equal(found[400:], alone[:100])
