"""The dimension that is shown while a flow is trained: that of the read-out, at a cost that it can bear."""

import pytest
import torch
from nflows.flows import Flow
from nflows.transforms import CompositeTransform, PointwiseAffineTransform, Transform
from torch import nn

from nflows_spread import DegenerateGaussian, SpreadKLLoss, intrinsic_dimension
from nflows_spread.dimension.rules import CLEAR_GAP
from nflows_spread.models import coupling_flow
from nflows_spread.training import current_dimension
from support import randomize


class Gauge(Transform):
    """z = R (1 − 29/30 P) x: directions are shrunk below the noise in the others, then all are rotated."""

    def __init__(self, directions):
        super().__init__()
        features = len(directions)
        shrunk = torch.eye(features) - 29.0 / 30.0 * directions @ directions.mT
        self.matrix = nn.Parameter(torch.linalg.qr(torch.randn(features, features)).Q @ shrunk)

    def forward(self, inputs, context=None):
        logabsdet = torch.linalg.slogdet(self.matrix).logabsdet
        return inputs @ self.matrix.mT, logabsdet.expand(len(inputs))


@pytest.mark.parametrize(("features", "offset"), [(5, 0.0), (64, 1e3), (65, 0.0), (130, 0.0), (130, 1e3), (1030, 1e3)])
def test_the_dimension_on_the_way_is_that_of_the_read_out_whatever_the_gauge(features, offset):
    directions = torch.linalg.qr(torch.randn(features, 3)).Q
    x = 2.0 * torch.randn(300, 3) @ directions.mT + offset
    flow = Flow(
        CompositeTransform([PointwiseAffineTransform(shift=-offset, scale=1.0), Gauge(directions)]),
        DegenerateGaussian([features]),
    )
    with torch.no_grad():  # A as training leaves it
        z = flow.transform_to_noise(x + 0.1 * torch.randn_like(x)).double()
        flow._distribution.factor.assign(torch.linalg.cholesky(z.mT.cov() + 1e-6 * torch.eye(features)), 1e-4)
    flow._distribution.data_noise = 0.1
    if features < 1000:
        assert intrinsic_dimension(flow, x, rule="gap") != 3
        assert intrinsic_dimension(flow, x) == 3
    assert current_dimension(SpreadKLLoss(flow, data_noise=0.1), x) == 3


@pytest.mark.parametrize("features", [80, 1030])
def test_the_dimension_of_many_features_takes_a_bounded_number_of_rows_and_no_spectrum_of_the_prior(
    features, monkeypatch
):
    objective = SpreadKLLoss(coupling_flow(features, layers=1), data_noise=0.1)
    passed = []
    objective.flow._transform.register_forward_pre_hook(lambda _, inputs: passed.append(len(inputs[0])))
    objective.base.data_noise = 0.1
    monkeypatch.setattr(type(objective.base.factor), "eigenvalues", None)
    monkeypatch.setattr(torch.linalg, "eigh", None)
    x = torch.randn(1000, 4) @ torch.randn(4, features)
    assert current_dimension(objective, x) is not None
    # four Jacobians by differences, and up to three in both precisions to see whether float32 resolves them
    assert sum(passed) <= 20 * features + 256


@pytest.mark.parametrize("features", [80, 1030])
def test_the_dimension_of_many_features_without_data_noise_is_that_of_the_read_out(features):
    objective = SpreadKLLoss(coupling_flow(features, layers=1), data_noise=0.0)
    x = torch.randn(300, 4) @ torch.linalg.qr(torch.randn(features, 4)).Q.mT
    assert current_dimension(objective, x) == 4


def test_the_dimension_of_many_features_without_a_clear_gap_is_about_that_of_the_read_out_on_the_same_rows():
    """Curved data whose spectrum falls off without a step: what counts is the number of μ above the noise."""
    x = torch.sin(torch.randn(256, 3) @ torch.randn(3, 64)) @ torch.randn(64, 90) / 8.0
    flow = randomize(coupling_flow(90, layers=4), 0.15)
    objective = SpreadKLLoss(flow, data_noise=0.1)
    objective.base.data_noise = 0.1
    found, expected = current_dimension(objective, x), intrinsic_dimension(flow, x)
    assert expected.gap < CLEAR_GAP
    assert found == pytest.approx(int(expected), abs=max(2, 0.1 * int(expected)))
