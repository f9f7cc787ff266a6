"""Samples of the estimator are on the manifold: σ_x and the noise of the data are taken away, and nothing else."""

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from nflows.flows import Flow
from nflows.transforms import IdentityTransform

from nflows_spread import DegenerateGaussian
from nflows_spread.chart import LatentMaps
from nflows_spread.estimator import Recipe, SpreadFlowEstimator

SHORT = Recipe(steps=5, layers=2, hidden_features=8, bins=4)
SIGNAL, LENGTH = torch.tensor([1.0, 0.25, 0.0], dtype=torch.float64), 8.0
"""Variances of points without noise along three axes, in the flow's units, and what such a unit is in the data's."""


def knowing(*, data_noise, ambient_noise, standardize=False):
    """An estimator whose flow is exactly the density of those points with both noises, and which knows both."""
    x = LENGTH * np.random.default_rng(0).normal(size=(100, 3))
    estimator = copy.copy(SpreadFlowEstimator(random_state=0, recipe=SHORT, standardize=standardize).fit(x))
    variances = SIGNAL + data_noise**2 + ambient_noise**2
    base = DegenerateGaussian([3], spread_variance=1e-12)
    base.factor.assign(variances.sqrt().diag(), base.spread_variance)
    length = 1.0 if standardize else estimator.scale_
    estimator.flow_ = Flow(IdentityTransform(), base)
    estimator.data_noise_ = length * data_noise
    estimator.estimates_ = replace(estimator.estimates_, ambient_noise=length * ambient_noise)
    root = variances.sqrt().diag()
    maps = LatentMaps(torch.zeros(3, dtype=torch.float64), torch.linalg.inv(root), root)
    ones = torch.ones(3, dtype=torch.float64)
    estimator._chart = replace(estimator._chart, flow=estimator.flow_, maps=maps, noisy_variances=ones)
    return estimator


@pytest.mark.parametrize("standardize", [False, True])
@pytest.mark.parametrize(("data_noise", "ambient_noise"), [(0.1, 0.0), (0.06, 0.18), (0.01, 0.3)])
def test_samples_of_a_known_density_are_the_best_guesses_of_points_without_noise(
    data_noise, ambient_noise, standardize
):
    """Of a Gaussian with variances s + σ² that of the best guess E[x | noisy x] is s² / (s + σ²), 0 where s is."""
    estimator = knowing(data_noise=data_noise, ambient_noise=ambient_noise, standardize=standardize)
    samples = (estimator.sample(20_000) - estimator.center_.numpy()) / np.asarray(estimator.scale_)
    noise = data_noise**2 + ambient_noise**2
    expected = (SIGNAL.square() / (SIGNAL + noise)).numpy()
    np.testing.assert_allclose(samples.var(axis=0)[:2], expected[:2], rtol=0.05)
    assert samples.std(axis=0)[2] < 1e-4 * math.sqrt(noise)
