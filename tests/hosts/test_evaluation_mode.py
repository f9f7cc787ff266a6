"""Evaluation mode for a while, after which each part of a module is in its own mode again."""

import pytest
import torch
from torch import nn

from nflows_spread import SpreadKLLoss
from nflows_spread.hosts.evaluation_mode import evaluating
from nflows_spread.models import coupling_flow


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
