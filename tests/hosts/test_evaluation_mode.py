"""Evaluation mode for a while, after which each part of a module is in its own mode again."""

from functools import partial

import pytest
import torch
from nflows.flows import Flow
from nflows.transforms import BatchNorm, CompositeTransform, LULinear
from torch import nn

from nflows_spread import DegenerateGaussian, SpreadKLLoss, chart_of, encode, intrinsic_dimension, spectrum
from nflows_spread.hosts.evaluation_mode import evaluating
from nflows_spread.models import coupling_flow
from support import refused


def modes(module):
    return [part.training for part in module.modules()]


def test_a_part_that_is_frozen_in_evaluation_mode_stays_so():
    module = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Dropout())
    module[1].eval()
    before = modes(module)
    with evaluating(module):
        assert not any(modes(module))
    assert modes(module) == before
    assert not module[1].training


def test_modes_come_back_after_an_error_too():
    module = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2).eval())
    before = modes(module)
    with pytest.raises(RuntimeError, match="in between"), evaluating(module):
        raise RuntimeError("in between")
    assert modes(module) == before


def test_a_held_out_loss_leaves_a_frozen_part_of_a_flow_alone():
    evaluation = pytest.importorskip("nflows_spread.training.evaluation", reason="needs the extra train")
    objective = SpreadKLLoss(coupling_flow(2, layers=2), data_noise=0.1)
    list(objective.modules())[-1].eval()
    before = modes(objective)
    evaluation.held_out_loss(objective, (torch.randn(10, 2),))
    assert modes(objective) == before


@pytest.mark.filterwarnings("ignore:var..:UserWarning")  # nflows' own, of one row
@pytest.mark.parametrize("read", [intrinsic_dimension, spectrum, partial(chart_of, rank=1)])
def test_a_batch_norm_in_training_mode_is_told_to_go_into_evaluation_mode(read):
    x = torch.randn(100, 3, generator=torch.Generator().manual_seed(0))
    flow = Flow(CompositeTransform([BatchNorm(3), LULinear(3)]), DegenerateGaussian([3]))
    flow._distribution.data_noise = 0.1
    encode(flow, x)
    with refused(ValueError, "latents of the data must be finite", "call flow.eval() first", "train the flow again"):
        read(flow, x)
    read(flow.eval(), x)
