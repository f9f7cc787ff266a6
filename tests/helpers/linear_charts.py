"""Charts of flows that do nothing: the first columns of the data."""

import torch
from nflows.distributions import StandardNormal
from nflows.flows import Flow
from nflows.transforms import IdentityTransform

from nflows_spread.chart import Chart, LatentMaps


def linear_chart(flow, features, rank, pieces=None):
    """The chart of the first latents of a flow, of variance 1, with or without a density in pieces."""
    eye = torch.eye(features, dtype=torch.float64)[:, :rank]
    maps = LatentMaps(torch.zeros(features, dtype=torch.float64), eye, eye.mT)
    return Chart(flow, maps, torch.ones(rank, dtype=torch.float64), 0.0, "variance", torch.Size([features]), pieces)


def identity_flow(features):
    """A flow of as many features whose transform is the identity, float64."""
    return Flow(IdentityTransform(), StandardNormal([features])).double()


def normal(rows, *deviations, seed=0):
    """Rows of independent normal columns, float64."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(rows, len(deviations), generator=generator, dtype=torch.float64)
    return noise * torch.tensor(deviations, dtype=torch.float64)
