"""Informative dimensions as an experiment: its set, the loss that knows the labels, and what it reads out."""

from types import SimpleNamespace

import torch
from nflows.distributions import StandardNormal
from nflows.flows import Flow
from nflows.transforms import IdentityTransform

from nflows_spread import DegenerateGaussianMixture
from nflows_spread.datasets import Points
from paper import informative
from paper.data_sets import Folders


def test_the_set_has_its_labels_as_coordinates_and_is_split():
    data = informative.data(1.0, 0, Folders(None, None))
    assert data.train.x.shape == (10_000, 10)
    assert data.held_out.x.shape == (2000, 10)
    assert data.train.coordinates.unique().tolist() == [0, 1, 2, 3, 4]
    assert float(data.distance(data.train.x[:5]).max()) == 0.0


def test_the_loss_is_that_of_the_piece_of_each_label():
    base = DegenerateGaussianMixture([3], 2).double()
    with torch.no_grad():
        for parameter in base.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    flow = Flow(IdentityTransform(), base)
    x, labels = torch.randn(40, 3, dtype=torch.float64), torch.randint(2, (40,))
    each = torch.stack([base.piece(m).log_prob(x) + base.weights[m].log() for m in range(2)], 1)
    expected = -each.gather(1, labels.unsqueeze(1)).mean()
    torch.testing.assert_close(informative.LabelledPiecesLoss(flow, data_noise=0.0)(x, labels), expected)


def test_a_flow_that_is_right_has_two_informative_directions():
    labels = torch.randint(3, (1500, 1))
    x = torch.randn(1500, 4)
    x[:, 0] += 3.0 * labels[:, 0]
    x[:, 1] *= 1.0 + labels[:, 0]
    result = SimpleNamespace(
        data=SimpleNamespace(train=Points(x, labels)),
        trained=SimpleNamespace(flow=Flow(IdentityTransform(), StandardNormal([4])), data_noise=0.01),
        generator=lambda: torch.Generator().manual_seed(0),
    )
    found = informative.read_out(result)
    assert found["informative"] == 2
    assert len(found["information"]) == 5
    assert found["information"][2] > found["information"][1] > 0.5
