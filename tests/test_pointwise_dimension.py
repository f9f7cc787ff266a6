"""The dimension from place to place, on unions of pieces of different dimension."""

import json

import numpy as np
import pytest
import torch
from nflows.flows import Flow
from nflows.transforms import LULinear

from nflows_spread import DegenerateGaussian
from nflows_spread.datasets import curve_and_surface, lollipop
from nflows_spread.dimension.neighbours import pointwise_dimension
from nflows_spread.dimension.spectra import pointwise_spectrum
from support import randomize, refused


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
    assert float(sphere.to_joint.min()) < 0.1


def test_a_full_dimension_is_the_highest_answer():
    assert set(pointwise_dimension(torch.randn(300, 2, generator=seeded())).tolist()) <= {1, 2}


def test_too_few_distinct_points_are_refused():
    with refused(ValueError, "x must have at least 50 distinct points, got 1 among 100"):
        pointwise_dimension(torch.ones(100, 2))


def test_repeated_points_count_once():
    x = torch.randn(300, 2, generator=seeded())
    once, twice = pointwise_dimension(x), pointwise_dimension(x.repeat(2, 1))
    assert torch.equal(twice, once.repeat(2))


def test_points_that_are_all_equally_far_apart_have_the_highest_dimension():
    assert set(pointwise_dimension(torch.eye(60)).tolist()) == {60}


def test_the_pointwise_spectrum_of_a_linear_flow_is_the_covariance_of_the_data_everywhere():
    torch.manual_seed(0)
    flow = Flow(randomize(LULinear(3, identity_init=False)), DegenerateGaussian([3])).double().eval()
    data = torch.randn(20_000, 3, dtype=torch.float64, generator=seeded()) * torch.tensor([3.0, 1.0, 0.0])
    found = pointwise_spectrum(flow, data[:5], data=data, data_noise=0.1, generator=seeded(1))
    np.testing.assert_allclose(found, np.tile([9.01, 1.01, 0.01], (5, 1)), rtol=0.05)


def test_the_benchmark_leaves_shares_and_a_map(tmp_path):
    pytest.importorskip("matplotlib")
    command = pytest.importorskip("intrinsic_dimension.place_to_place")
    arguments = ["--points", "200", "--steps", "4", "--out", str(tmp_path)]
    assert command.main(arguments) == 0
    record = json.loads((tmp_path / "pointwise-dimension-seed-0.json").read_text())
    assert set(record["results"]) == {"lollipop", "curve and surface"}
    for result in record["results"].values():
        assert set(result["share_right"]) == {"neighbours", "gap", "above noise", "slope"}
        assert 0.9 < result["share_right"]["neighbours"] <= 1.0
    assert (tmp_path / "pointwise-dimension-seed-0.png").stat().st_size > 10_000
