"""Atlas: closed surfaces and unions are covered; each piece has as many coordinates as it has dimensions."""

import math

import pytest
import torch

from nflows_spread.chart.pieces import Pieces
from nflows_spread.dimension import pointwise_dimension
from nflows_spread.estimator import Recipe, SpreadFlowEstimator
from nflows_spread.estimator.local_atlas import LocalCoordinates, local_atlas


def circle(rows, seed=0):
    generator = torch.Generator().manual_seed(seed)
    angle = 2.0 * math.pi * torch.rand(rows, generator=generator, dtype=torch.float64)
    return torch.stack([angle.cos(), angle.sin()], dim=1)


def sphere(rows, seed=0):
    x = torch.randn(rows, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return x / x.norm(dim=1, keepdim=True)


def segment_and_disc(rows, seed=0):
    """A segment along the third axis above a disc in the first two, as many rows of each."""
    generator = torch.Generator().manual_seed(seed)
    disc = circle(rows, seed + 100) * torch.rand(rows, 1, generator=generator, dtype=torch.float64).sqrt()
    flat = torch.cat([disc, torch.zeros(rows, 1, dtype=torch.float64)], dim=1)
    height = 1.0 + 2.0 * torch.rand(rows, generator=generator, dtype=torch.float64)
    line = torch.stack([torch.zeros(rows), torch.zeros(rows), height], dim=1).double()
    return torch.cat([flat, line])


def atlas_of(x, dimensions, pieces=None):
    """The atlas of rows in random order, each with a dimension."""
    generator = torch.Generator().manual_seed(1)
    order = torch.randperm(len(x), generator=generator)
    x, dimensions = x[order], torch.as_tensor(dimensions).expand(len(x))[order]
    pieces = pieces or Pieces.fitted(x, floor=0.01, generator=generator)
    held_out = len(x) // 5
    return local_atlas(pieces, dimensions, x[held_out:], x[:held_out], floor=0.01, generator=generator)


@pytest.mark.parametrize(("surface", "rank", "most"), [(circle, 1, 1e-3), (sphere, 2, 0.03)])
def test_closed_surfaces_are_reconstructed(surface, rank, most):
    atlas = atlas_of(surface(1000), rank)
    x = surface(500, seed=2)
    error = float((atlas.reconstruct(x) - x).square().sum(1).mean().sqrt())
    assert error < most
    assert 0.3 * error < atlas.error < 3.0 * error
    coordinates = atlas.coordinates(x)
    assert coordinates.values.shape == (500, rank)
    torch.testing.assert_close(atlas.points(coordinates), atlas.reconstruct(x), rtol=0.0, atol=0.0)
    assert bool((coordinates.piece == atlas.assign(x)).all())


def test_pieces_of_a_union_have_dimensions_of_their_own():
    x = segment_and_disc(600)
    atlas = atlas_of(x, pointwise_dimension(x))
    x = segment_and_disc(200, seed=3)
    ranks = torch.tensor(atlas.ranks)[atlas.assign(x)]
    assert float((ranks[:200] == 2).double().mean()) > 0.97
    assert float((ranks[200:] == 1).double().mean()) > 0.97
    of_segment = atlas.coordinates(x).values[200:]
    assert bool(of_segment[ranks[200:] == 1][:, 1:].isnan().all())


def test_more_pieces_are_made_where_one_has_no_chart():
    x = sphere(1000)
    one = Pieces(torch.ones(1), torch.zeros(1, 3), torch.eye(3).unsqueeze(0) / 3.0)
    one = Pieces(*(part.double() for part in (one.weights, one.means, one.covariances)))
    atlas = atlas_of(x, 2, one)
    assert len(atlas.charts) >= 16
    assert atlas.error < 0.05


def test_a_few_far_rows_do_not_leave_a_sphere_in_one_piece():
    for seed in range(4):
        x = torch.cat([sphere(500, seed), torch.tensor([[10.0, 10.0, 10.0], [11.0, 10.0, 10.0]], dtype=torch.float64)])
        atlas = atlas_of(x, 2)
        assert len(atlas.charts) >= 8
        fresh = sphere(500, seed + 10)
        assert float((atlas.reconstruct(fresh) - fresh).square().sum(1).mean().sqrt()) < 0.1


def test_no_more_pieces_are_made_where_they_are_no_better():
    generator = torch.Generator().manual_seed(0)
    plane = torch.randn(1000, 2, generator=generator, dtype=torch.float64) @ torch.ones(2, 3).double().triu()
    noisy = plane + 0.05 * torch.randn(1000, 3, generator=generator, dtype=torch.float64)
    centred = noisy - noisy.mean(0)
    one = Pieces(torch.ones(1).double(), noisy.mean(0, keepdim=True), (centred.mT @ centred / 1000).unsqueeze(0))
    assert len(atlas_of(noisy, 2, one).charts) == 1


@pytest.mark.parametrize(
    ("piece", "value", "message"),
    [
        (99, 0.0, "a piece must be a number from 0 to"),
        (0, math.nan, "must be 1 finite numbers"),
        (0.5, 0.0, "coordinates must be whole numbers"),
    ],
)
def test_coordinates_that_are_none_are_refused(piece, value, message):
    atlas = atlas_of(circle(300), 1)
    with pytest.raises(ValueError, match=message):
        atlas.points(LocalCoordinates(torch.tensor([piece]), torch.tensor([[value]], dtype=torch.float64)))


def test_rows_that_are_none_are_refused():
    atlas = atlas_of(circle(300), 1)
    with pytest.raises(TypeError, match="x must be a"):
        atlas.coordinates(circle(5).numpy())
    with pytest.raises(ValueError, match=r"x must have shape \(n, 2\), got \(5, 3\)"):
        atlas.reconstruct(sphere(5))
    with pytest.raises(ValueError, match="x must be finite"):
        atlas.assign(torch.full((2, 2), math.nan))
    assert atlas.reconstruct(circle(5).float()).dtype == torch.float64


def test_the_estimator_has_one_for_a_circle_and_draws_from_it():
    x = 5.0 + 3.0 * circle(1000)
    recipe = Recipe(steps=60, layers=2, hidden_features=16, bins=8, chart_steps=600)
    with pytest.warns(UserWarning, match="closed curve"):
        estimator = SpreadFlowEstimator(random_state=0, recipe=recipe).fit(x)
    assert int(estimator.intrinsic_dimension_) == 1
    assert estimator.samples_from_ == "atlas"
    samples = estimator.sample(1000)
    radii = (samples - 5.0).norm(dim=1)
    assert float((radii / 3.0 - 1.0).abs().max()) < 0.02
    angles = torch.atan2(*(samples - 5.0).unbind(1)).sort().values
    assert float(angles.diff().max()) < 0.1  # all the way round
    unit = (x - torch.as_tensor(estimator.center_)) / estimator.scale_
    assert float((estimator.atlas_.reconstruct(unit) - unit).norm(dim=1).max()) < 0.02
