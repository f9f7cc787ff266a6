"""What users of each entry point have in hand: a fitted estimator, a chart and an atlas of a flow, and points."""

import numpy as np
import pytest
import torch

pytest.importorskip("matplotlib")

from matplotlib import pyplot
from matplotlib.figure import Figure

from nflows_spread import DegenerateGaussianMixture, atlas_of, chart_of, dimension_of, initialize_prior
from nflows_spread.models import coupling_flow


@pytest.fixture(autouse=True)
def _figures_are_closed():
    yield
    pyplot.close("all")


@pytest.fixture
def ax():
    return Figure().subplots()


@pytest.fixture
def space():
    return Figure().add_subplot(projection="3d")


@pytest.fixture(scope="session")
def surface():
    """Half a cylinder in four columns, (n, 4), float64, and its two parameters."""
    u = np.random.default_rng(0).uniform(size=(150, 2))
    return np.stack([np.sin(2 * u[:, 0]), np.cos(2 * u[:, 0]), u[:, 1], u[:, 1] ** 2], axis=1), u


@pytest.fixture(scope="session")
def estimator(surface):
    pytest.importorskip("lightning_fabric")
    from nflows_spread.estimator import Recipe, SpreadFlowEstimator

    return SpreadFlowEstimator(random_state=0, n_components=2, recipe=Recipe(steps=20)).fit(surface[0])


@pytest.fixture(scope="session")
def points_of_cylinder(surface):
    return torch.as_tensor(surface[0], dtype=torch.float32)


@pytest.fixture(scope="session")
def chart(points_of_cylinder):
    """Two coordinates of a flow as it starts."""
    torch.manual_seed(0)
    flow = coupling_flow(4, layers=2)
    initialize_prior(flow, points_of_cylinder, data_noise=0.1)
    flow._distribution.data_noise = 0.1
    return chart_of(flow.eval(), rank=2)


@pytest.fixture(scope="session")
def found(surface):
    return dimension_of(surface[0])


@pytest.fixture(scope="session")
def two_clusters():
    """Two segments far apart in the plane, (200, 2), and which of them each row is of."""
    t = torch.rand(200, generator=torch.Generator().manual_seed(0))
    label = torch.arange(200) % 2
    return torch.stack([t + 5.0 * label, 0.3 * t], 1), label


@pytest.fixture(scope="session")
def atlas(two_clusters):
    x = two_clusters[0]
    torch.manual_seed(0)
    flow = coupling_flow(2, layers=2, base=DegenerateGaussianMixture([2], 2, spread_std=0.005))
    initialize_prior(flow, x, data_noise=0.05)
    flow._distribution.data_noise = 0.05
    return atlas_of(flow.eval(), x)
