"""Samplers that older versions have pickled: what their residuals say is drawn, on charts and on atlases."""

import pickle
from dataclasses import replace

import pytest
import torch

from linear_charts import normal
from nflows_spread.chart.pieces import Pieces
from nflows_spread.chart.ranges import Ranges
from nflows_spread.estimator import SpreadFlowEstimator
from nflows_spread.estimator.atlas_sampling import AtlasSampler
from nflows_spread.estimator.local_atlas import local_atlas
from nflows_spread.estimator.old_sampling import upgraded_sampler
from nflows_spread.estimator.recipe import Recipe
from nflows_spread.estimator.residuals import Residuals
from nflows_spread.estimator.sampling import ChartSampler

NOISE = 0.03
WIDE = Ranges(torch.tensor([-100.0, -100.0]).double(), torch.tensor([100.0, 100.0]).double())


class Along:
    """A chart of the first of two columns, a quarter of it about 0 and the rest about 10."""

    pieces = Pieces(
        torch.tensor([0.25, 0.75]).double(),
        torch.tensor([[0.0], [10.0]]).double(),
        torch.full((2, 1, 1), 0.01, dtype=torch.float64),
    )

    def points(self, coordinates):
        return torch.cat([coordinates, torch.zeros_like(coordinates)], dim=1)


def chart_sampler():
    return ChartSampler(Along(), Ranges(WIDE.low[:1], WIDE.high[:1]), WIDE, None), [False, True]


def atlas_sampler():
    x = normal(1000, 0.1, 0.0)
    x[:, 0] += 10.0 * (torch.arange(1000) % 4 > 0)
    means = torch.tensor([[0.0, 0.0], [10.0, 0.0]]).double()
    pieces = Pieces(Along.pieces.weights, means, 0.01 * torch.eye(2).double().expand(2, 2, 2))
    generator = torch.Generator().manual_seed(0)
    atlas = local_atlas(pieces, torch.ones(1000, dtype=torch.int64), x[200:], x[:200], floor=1e-3, generator=generator)
    return AtlasSampler(atlas, 0.0, WIDE, None), (atlas.pieces.means[:, 0] > 5.0).tolist()


def with_residuals_of_older_versions(sampler, means, variances):
    """Residuals of piece m about (0, b_m), of a variance along the second column that has the noise too."""
    old = object.__new__(Residuals)
    vars(old).update(
        means=torch.tensor([[0.0, mean] for mean in means]).double(),
        scales=torch.tensor(variances).double(),
        axes=torch.tensor([[0.0], [1.0]]).double(),
        variances=torch.ones(1).double(),
        noise=NOISE,
        widths=torch.tensor([1.0, 2.0]).double(),
    )
    return pickle.loads(pickle.dumps(replace(sampler, residuals=old)))


@pytest.mark.parametrize("made", [chart_sampler, atlas_sampler])
def test_residuals_of_pieces_are_drawn_as_they_were(made):
    sampler, is_right = made()
    means, variances = [3.0, -2.0], [0.01, 0.04]
    of_pieces = [[numbers[right] for right in is_right] for numbers in (means, variances)]
    new = upgraded_sampler(with_residuals_of_older_versions(sampler, *of_pieces))
    samples = new.sample(20_000, torch.Generator().manual_seed(1))
    right = samples[:, 0] > 5.0
    assert float(right.double().mean()) == pytest.approx(0.75, abs=0.02)
    for rows, mean, variance in zip((~right, right), means, variances, strict=True):
        assert float(samples[rows, 1].mean()) == pytest.approx(2.0 * mean, abs=0.02)
        assert float(samples[rows, 1].var()) == pytest.approx(4.0 * (variance - NOISE**2), rel=0.06)


def test_estimators_of_older_versions_draw_after_they_are_pickled_again():
    x = normal(60, 1.0, 0.5, 0.3)
    fitted = SpreadFlowEstimator(random_state=0, recipe=Recipe(steps=2)).fit(x[:, :2].numpy())
    fitted._sampler = with_residuals_of_older_versions(chart_sampler()[0], [3.0, -2.0], [0.01, 0.04])
    old = pickle.loads(pickle.dumps(fitted))
    again = pickle.loads(pickle.dumps(old))
    samples = old.sample(10, random_state=0)
    assert samples.shape == (10, 2)
    assert (samples == again.sample(10, random_state=0)).all()
