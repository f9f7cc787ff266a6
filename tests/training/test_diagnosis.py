"""What ``fit`` says about why training failed."""

import pytest
import torch
from nflows.flows import Flow
from nflows.nn.nets import ResidualNet
from nflows.transforms import ActNorm, AffineCouplingTransform, CompositeTransform, Logit
from torch import nn

from nflows_spread import DegenerateGaussian, SpreadKLLoss, initialize
from nflows_spread.models import coupling_flow
from nflows_spread.training import NotFiniteError, fit
from training_toys import rows

X = rows()


def behind(transform, noise=0.1):
    """A flow whose first transform is defined on [0, 1] alone."""
    flow = Flow(CompositeTransform([transform, coupling_flow(2, layers=2)._transform]), DegenerateGaussian([2]))
    return SpreadKLLoss(flow, data_noise=noise, generator=torch.Generator().manual_seed(0))


class QuietLogit(nn.Module):
    """A logit that gives NaN outside of [0, 1] and infinity at its ends, as that of normflows does."""

    def forward(self, x, context=None):
        return torch.logit(x), -(x * (1.0 - x)).log().sum(1)

    def inverse(self, z, context=None):
        raise NotImplementedError


LOGITS = {"one that raises": (Logit, ValueError), "one that gives NaN": (QuietLogit, NotFiniteError)}
every_logit = pytest.mark.parametrize(("logit", "error"), LOGITS.values(), ids=LOGITS)


def inside(n=60):
    return 0.02 + 0.96 * torch.rand(n, 2, generator=torch.Generator().manual_seed(0))


@every_logit
def test_noise_that_leaves_a_domain_is_named_as_the_cause(logit, error):
    with pytest.raises(
        error, match=r"data noise of 0.1 takes rows out of a transform's domain.*lower the data noise"
    ) as e:
        fit(behind(logit()), inside(), steps=3, batch_size=60)
    assert "raise the data noise" not in str(e.value)


@pytest.mark.parametrize("noise", [0.0, 0.1])
@every_logit
def test_rows_outside_of_a_domain_are_counted(logit, error, noise):
    x = inside()
    x[7], x[9, 1] = 1.5, -0.2
    with pytest.raises(error, match=r"2 of 60 rows, the first with values from 1.5 to 1.5, are on .*scale"):
        fit(behind(logit(), noise), x, steps=3, batch_size=60, generator=torch.Generator().manual_seed(0))


def test_rows_outside_of_a_domain_are_counted_where_the_flow_takes_a_context():
    """By a net that cannot do without it."""
    coupling = AffineCouplingTransform([0, 1], lambda inputs, outputs: ResidualNet(inputs, outputs, 8, 3, num_blocks=1))
    objective = SpreadKLLoss(Flow(CompositeTransform([Logit(), coupling]), DegenerateGaussian([2])), data_noise=0.0)
    x = inside()
    x[7] = 1.5
    with pytest.raises(ValueError, match=r"1 of 60 rows, the first with values from 1\.5 to 1\.5, are on the"):
        fit(objective, (x, torch.randn(60, 3)), steps=3, batch_size=60)


@pytest.mark.parametrize(("scale", "rate"), [(1e4, 50.0), (1e25, 1e-3)])
def test_data_without_scale_is_named_as_the_cause(scale, rate):
    objective = SpreadKLLoss(coupling_flow(2, layers=4), data_noise=0.1)
    with pytest.raises(NotFiniteError, match=r"data is not scaled, this batch has values up to .*divide"):
        fit(objective, scale * X.float(), steps=500, batch_size=60, learning_rate=rate)


@pytest.mark.filterwarnings("ignore:this flow does not preserve volume")
def test_an_actnorm_that_a_constant_channel_has_spoiled_is_named_as_the_cause():
    x = X.float().clone()
    x[:, 1] = 3.0
    flow = Flow(CompositeTransform([ActNorm(2), coupling_flow(2, layers=2)._transform]), DegenerateGaussian([2]))
    with pytest.raises(NotFiniteError, match=r"transforms.0 \(ActNorm\) has set itself from a batch in .*initialize"):
        fit(SpreadKLLoss(flow, data_noise=0.0), x, steps=1, batch_size=10)
    flow = Flow(CompositeTransform([ActNorm(2), coupling_flow(2, layers=2)._transform]), DegenerateGaussian([2]))
    initialize(flow, x)
    fit(SpreadKLLoss(flow, data_noise=0.1), x, steps=5, batch_size=10)  # after the remedy


def test_a_step_too_long_is_named_as_the_cause():
    objective = SpreadKLLoss(coupling_flow(2, layers=4), data_noise=0.1)
    with pytest.raises(NotFiniteError, match="lower the learning rate, set gradient_clip") as e:
        fit(objective, X.float(), steps=500, batch_size=60, learning_rate=50.0)
    assert "domain" not in str(e.value)
    assert "scaled" not in str(e.value)
