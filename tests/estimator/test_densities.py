"""Density of the noisy data: normalized, ahead of both of its parts; that of the clean data by area."""

import numpy as np
import pytest
import torch
from nflows.distributions import StandardNormal
from nflows.flows import Flow
from nflows.transforms import IdentityTransform
from sklearn.mixture import GaussianMixture

from nflows_spread.chart.pieces import Pieces
from nflows_spread.estimator import Recipe, SpreadFlowEstimator
from nflows_spread.estimator.densities import StackedDensity, stacked_density
from nflows_spread.hosts import log_prob

SHORT = Recipe(steps=5, layers=2, hidden_features=8, bins=4)


def standard_flow(features):
    return Flow(IdentityTransform(), StandardNormal([features]))


def two_scales(rows, seed=0):
    """A Gaussian whose scale is 1 or 0.05, in four features."""
    generator = torch.Generator().manual_seed(seed)
    scale = torch.where(torch.rand(rows, 1, generator=generator) < 0.5, 1.0, 0.05)
    return scale * torch.randn(rows, 4, generator=generator)


def test_it_integrates_to_one():
    pieces = Pieces(torch.ones(1).double(), torch.full((1, 2), 0.5).double(), 0.09 * torch.eye(2).double().unsqueeze(0))
    density = StackedDensity(standard_flow(2), pieces, 0.3)
    axis = torch.linspace(-8.0, 8.0, 801, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    values = density.log_prob(grid).exp().view(801, 801)
    assert float(torch.trapezoid(torch.trapezoid(values, axis), axis)) == pytest.approx(1.0, abs=1e-6)


def test_held_out_rows_choose_the_share():
    generator = torch.Generator().manual_seed(1)
    found = stacked_density(standard_flow(4), two_scales(800), two_scales(200, 1), min_noise=0.003, generator=generator)
    fresh = two_scales(2000, 2)
    ours, of_flow = found.log_prob(fresh).mean(), log_prob(found.flow, fresh).mean()
    assert float(ours - of_flow) > 1.0
    normal = torch.randn(1000, 4, generator=generator)
    found = stacked_density(standard_flow(4), normal[:800], normal[800:], min_noise=0.003, generator=generator)
    fresh = torch.randn(2000, 4, generator=generator)
    assert abs(float(found.log_prob(fresh).mean() - log_prob(found.flow, fresh).double().mean())) < 0.05
    assert 0.0 < found.share < 1.0


def test_neither_part_can_ruin_the_other():
    """A row that one of the two never expects costs no more than the logarithm of the other's share."""
    pieces = Pieces(torch.ones(1).double(), torch.zeros(1, 2).double(), 1e-4 * torch.eye(2).double().unsqueeze(0))
    density = StackedDensity(standard_flow(2), pieces, 0.9)
    x = torch.tensor([[3.0, 0.0]])
    assert float(density.log_prob(x)) == pytest.approx(float(log_prob(density.flow, x)) + np.log(0.1), abs=1e-6)


def test_many_features_have_the_density_of_the_flow_alone():
    x = torch.randn(60, 200, generator=torch.Generator().manual_seed(0))
    found = stacked_density(standard_flow(200), x[:50], x[50:], min_noise=0.003, generator=torch.Generator())
    assert found.pieces is None
    torch.testing.assert_close(found.log_prob(x), log_prob(found.flow, x).double())


@pytest.mark.parametrize("standardize", [False, True])
def test_densities_of_the_estimator_are_in_units_of_the_data(standardize):
    """Of a Gaussian in a plane, in columns of different width: log p changes by the logarithm of the volume."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 3)) * [2.0, 3.0, 5.0]
    estimator = SpreadFlowEstimator(random_state=0, recipe=SHORT, standardize=standardize).fit(x[:500])
    oracle = GaussianMixture(1, random_state=0).fit(x[:500])
    assert estimator.score_samples(x[500:]).mean() == pytest.approx(oracle.score(x[500:]), abs=0.1)


@pytest.mark.parametrize("scale", [1.0, 7.0])
def test_the_density_of_clean_data_is_by_area(scale):
    """A uniform rectangle in a plane of three features: one over its area, whatever the units."""
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.uniform(size=(1500, 2)) * [2.0, 1.0], np.zeros((1500, 1))], axis=1) * scale
    estimator = SpreadFlowEstimator(random_state=0, recipe=SHORT, n_components=1).fit(x)
    assert int(estimator.intrinsic_dimension_) == 2
    inside = (np.abs(x / scale - [1.0, 0.5, 0.0]) < [0.7, 0.35, 1.0]).all(axis=1)
    found = estimator.manifold_score_samples(x[inside])
    assert np.median(found) == pytest.approx(-np.log(2.0 * scale**2), abs=0.15)


def test_a_row_has_the_same_score_alone_as_among_others():
    x = np.random.default_rng(0).uniform(size=(60, 3))
    for points in (x, x.astype(np.float32)):
        estimator = SpreadFlowEstimator(random_state=0, recipe=SHORT).fit(points)
        alone = np.concatenate([estimator.score_samples(x[i : i + 1]) for i in range(len(x))])
        np.testing.assert_allclose(alone, estimator.score_samples(x), rtol=1e-11)
        assert next(estimator.flow_.parameters()).dtype == torch.float32
