"""Samples of the estimator: on the manifold, as near to the data and as wide as it is, and within its range."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from nflows.flows import Flow
from nflows.transforms import IdentityTransform

from linear_charts import identity_flow, linear_chart, normal
from nflows_spread import DegenerateGaussian
from nflows_spread.chart import LatentMaps
from nflows_spread.chart.pieces import Pieces
from nflows_spread.estimator import Recipe, SpreadFlowEstimator
from nflows_spread.estimator.sampling import ChartSampler, FlowSampler

SHORT = Recipe(steps=5, layers=2, hidden_features=8, bins=4)
SIGNAL = torch.tensor([1.0, 0.25, 0.0], dtype=torch.float64)
"""Variances of points without noise along three axes, in the flow's units."""


def apart(x):
    """Four rows of five for training, and the others."""
    held_out = torch.arange(len(x)) % 5 == 0
    return x[~held_out], x[held_out]


@pytest.mark.parametrize("noise", [0.1, math.hypot(0.06, 0.18), math.hypot(0.01, 0.3)])
def test_samples_of_a_known_density_are_the_best_guesses_of_points_without_noise(noise):
    """Of a Gaussian with variances s + σ² that of the best guess E[x | noisy x] is s² / (s + σ²), 0 where s is."""
    variances = SIGNAL + noise**2
    base = DegenerateGaussian([3], spread_variance=1e-12)
    base.factor.assign(variances.sqrt().diag(), base.spread_variance)
    chart = replace(linear_chart(Flow(IdentityTransform(), base), 3, 3), noisy_variances=variances)
    samples = FlowSampler(chart, noise).sample(20_000, torch.Generator().manual_seed(0)).double()
    expected = SIGNAL.square() / (SIGNAL + noise**2)
    torch.testing.assert_close(samples.var(0)[:2], expected[:2], rtol=0.05, atol=0)
    assert float(samples.std(0)[2]) < 1e-4 * noise


def test_nothing_is_drawn_between_clusters_though_the_density_of_coordinates_has_one_piece():
    clusters = torch.cat([normal(300, 0.5) - 3.0, normal(300, 0.5, seed=1) + 3.0])
    x = torch.cat([clusters, torch.zeros_like(clusters)], 1)[
        torch.randperm(600, generator=torch.Generator().manual_seed(4))
    ]
    one = Pieces(torch.ones(1).double(), x[None, :, :1].mean(1), x[:, :1].var(0).reshape(1, 1, 1))
    sampler = ChartSampler.of(
        linear_chart(identity_flow(2), 2, 1, one), *apart(x), noise=0.01, generator=torch.Generator().manual_seed(1)
    )
    between = sampler.sample(1000, torch.Generator().manual_seed(2))[:, 0].abs() < 1.0
    unbound = replace(sampler, support=None).sample(1000, torch.Generator().manual_seed(2))[:, 0].abs() < 1.0
    assert float(unbound.double().mean()) > 0.2
    assert float(between.double().mean()) < 0.06


def test_a_chart_that_leaves_noise_alone_has_samples_on_the_manifold():
    x = normal(1000, 1.0, 0.5, 0.02)
    pieces = Pieces.fitted(x[:, :2], floor=0.003, generator=torch.Generator().manual_seed(0))
    chart = linear_chart(identity_flow(3), 3, 2, pieces)
    samples = ChartSampler.of(chart, *apart(x), noise=0.02, generator=torch.Generator().manual_seed(1)).sample(
        5000, torch.Generator().manual_seed(2)
    )
    assert float(samples[:, 2].std()) < 0.01
    torch.testing.assert_close(samples.std(0)[:2], x.std(0)[:2], rtol=0.06, atol=0)


def test_what_a_chart_leaves_out_beyond_noise_is_in_the_samples():
    """The third column varies by 0.3, of which 0.1 is noise; the fourth follows the piece."""
    x = normal(1000, 1.0, 1.0, 0.3, 0.05)
    x[:500, 0] += 6.0
    x[:500, 3] += 1.0
    generator = torch.Generator().manual_seed(0)
    chart = linear_chart(identity_flow(4), 4, 2, Pieces.fitted(x[:, :2], floor=0.003, generator=generator))
    samples = ChartSampler.of(chart, *apart(x), noise=0.1, generator=generator).sample(5000, generator)
    assert float(samples[:, 2].std()) == pytest.approx(math.sqrt(0.09 - 0.01), rel=0.1)
    right = samples[:, 0] > 3.0
    assert float(samples[right, 3].mean()) == pytest.approx(1.0, abs=0.05)
    assert float(samples[~right, 3].mean()) == pytest.approx(0.0, abs=0.05)


@pytest.mark.parametrize(("left", "drawn"), [(0.01, False), (0.2, True)])
def test_what_a_chart_leaves_is_drawn_from_a_fiftieth_of_a_columns_variance_on(left, drawn):
    """The third column is the first and a share of its own, of which the chart knows nothing."""
    x = normal(1000, 1.0, 0.5, left**0.5)
    x[:, 2] += (1.0 - left) ** 0.5 * x[:, 0]
    generator = torch.Generator().manual_seed(0)
    chart = linear_chart(identity_flow(3), 3, 2, Pieces.fitted(x[:, :2], floor=0.003, generator=generator))
    back = torch.tensor([[1.0, 0.0, (1.0 - left) ** 0.5], [0.0, 1.0, 0.0]], dtype=torch.float64)
    chart = replace(chart, maps=LatentMaps(chart.maps.mean, chart.maps.forth, back))
    samples = ChartSampler.of(chart, *apart(x), noise=0.003, generator=generator).sample(5000, generator)
    beside = float((samples[:, 2] - (1.0 - left) ** 0.5 * samples[:, 0]).std())
    assert (beside > 0.3 * left**0.5) == drawn
    assert drawn or beside < 1e-3
    torch.testing.assert_close(samples.std(0), x.std(0), rtol=0.06, atol=0)


def test_no_sample_is_beyond_the_range_of_the_data_by_a_tenth_of_it():
    x = normal(300, 1.0, 0.5).exp()
    generator = torch.Generator().manual_seed(0)
    chart = linear_chart(identity_flow(2), 2, 2, Pieces.fitted(x, floor=0.003, generator=generator))
    samples = ChartSampler.of(chart, *apart(x), noise=0.01, generator=generator).sample(5000, generator)
    low, high = x.amin(0), x.amax(0)
    assert bool((samples >= low - 0.1 * (high - low)).all())
    assert bool((samples <= high + 0.1 * (high - low)).all())


def test_pieces_at_the_ends_of_the_range_keep_their_weight():
    """A tenth of the rows, far off and all but equal, in a piece that is much wider than they are."""
    x = torch.cat([normal(900, 1.0, 0.5), 20.0 + normal(100, 0.1, 0.1)])
    means = torch.tensor([[0.0, 0.0], [20.0, 20.0]], dtype=torch.float64)
    covariances = torch.stack([torch.diag(torch.tensor([1.0, 0.25])), 9.0 * torch.eye(2)]).double()
    pieces = Pieces(torch.tensor([0.9, 0.1], dtype=torch.float64), means, covariances)
    chart = linear_chart(identity_flow(2), 2, 2, pieces)
    generator = torch.Generator().manual_seed(0)
    samples = ChartSampler.of(chart, *apart(x), noise=0.01, generator=generator).sample(5000, generator)
    assert float((samples > 8.0).all(1).double().mean()) == pytest.approx(0.1, abs=0.015)


@pytest.mark.parametrize("standardize", [False, True])
def test_samples_of_the_estimator_are_in_units_of_the_data(standardize):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 2)) @ rng.normal(size=(2, 4)) * 8.0 + 100.0
    estimator = SpreadFlowEstimator(random_state=0, recipe=SHORT, standardize=standardize).fit(x)
    samples = estimator.sample(2000)
    assert estimator.samples_from_ == "chart"
    np.testing.assert_allclose(samples.mean(0), x.mean(0), atol=0.15 * x.std())
    np.testing.assert_allclose(samples.std(0), x.std(0), rtol=0.15)


def test_draws_of_a_seed_are_the_same_and_leave_the_others_as_they_are():
    x = np.random.default_rng(0).normal(size=(60, 3))
    estimator, other = (SpreadFlowEstimator(random_state=0, recipe=SHORT).fit(x) for _ in range(2))
    seeded = estimator.sample(4, random_state=7)
    np.testing.assert_array_equal(estimator.sample(4, random_state=7), seeded)
    assert not np.array_equal(estimator.sample(4, random_state=8), seeded)
    np.testing.assert_array_equal(estimator.sample(4), other.sample(4))
