"""To ask for a density changes nothing: no parameter, no buffer, no state, whatever the kind of factor and its mode."""

import copy

import pytest
import torch

from factor_kinds import FACTORS
from nflows_spread import DegenerateGaussian
from nflows_spread.factors import RunningAverageFactor
from nflows_spread.models import coupling_flow
from support import assert_same_state

FEATURES = 6
KINDS = {**FACTORS, "a lagging average": RunningAverageFactor.of_decay(0.9, lag=0.2)}


def fresh(base):
    pass


def trained(base):
    for _ in range(12):
        base.observe(torch.randn(30, FEATURES))
    with torch.no_grad():
        for parameter in base.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))


def assigned(base):
    trained(base)
    base.factor.assign(torch.randn(FEATURES, 2), base.spread_variance)


def of_another_spread(base):
    trained(base)
    base.spread_std = 0.3


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("state", [fresh, trained, assigned, of_another_spread])
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_a_density_changes_nothing(kind, state, training):
    base = DegenerateGaussian([FEATURES], factor=KINDS[kind])
    state(base)
    flow = coupling_flow(FEATURES, layers=2, base=base).train(training)
    before = copy.deepcopy(flow.state_dict())
    tensors = dict(flow.named_buffers(remove_duplicate=False))
    versions = {name: tensor._version for name, tensor in tensors.items()}
    x = torch.randn(5, FEATURES, requires_grad=True)
    base.log_prob(x).sum().backward()
    flow.log_prob(x).sum().backward()
    with torch.no_grad():
        flow.log_prob(x)
    assert_same_state(flow.state_dict(), before)
    after = dict(flow.named_buffers(remove_duplicate=False))
    assert all(after[name] is tensor and tensor._version == versions[name] for name, tensor in tensors.items())


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_a_lagging_average_decomposes_in_training_steps_alone(training):
    base = DegenerateGaussian([FEATURES], factor=KINDS["a lagging average"]).train(training)
    before = base.factor.cholesky
    base.observe(torch.randn(30, FEATURES))
    assert (base.factor.cholesky is before) != training
