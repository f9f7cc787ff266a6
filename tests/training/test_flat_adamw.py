"""AdamW on flattened parameters against torch's own."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.optim import AdamW

from nflows_spread.training import fit
from nflows_spread.training.flat_adamw import FlatAdamW


class Loss(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()

    def forward(self, x):
        return self.net(x).square().sum(1).mean()


@pytest.fixture
def losses():
    torch.manual_seed(0)
    one = Loss()
    return one, copy.deepcopy(one)


def groups_of(loss):
    return [
        {"params": list(loss.net[0].parameters()), "weight_decay": 0.1},
        {"params": list(loss.net[2].parameters()), "weight_decay": 0.0, "lr": 0.03},
    ]


def trained(loss, optimizer, clip):
    x = torch.randn(50, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    fit(
        loss,
        x,
        steps=20,
        batch_size=10,
        optimizer=optimizer,
        gradient_clip=clip,
        generator=torch.Generator().manual_seed(2),
        progress=False,
    )
    return torch.cat([parameter.detach().flatten() for parameter in loss.parameters()])


@pytest.mark.parametrize("clip", [None, 0.1])
def test_training_is_that_of_torch(losses, clip):
    flat, plain = losses
    optimizer = FlatAdamW(groups_of(flat), lr=0.01)
    mine = trained(flat, optimizer, clip)
    other = trained(plain, AdamW(groups_of(plain), lr=0.01, fused=True), clip)
    torch.testing.assert_close(mine, other, rtol=1e-10, atol=1e-12)


def test_released_parameters_have_memory_of_their_own_and_the_same_values(losses):
    loss, _ = losses
    optimizer = FlatAdamW(groups_of(loss), lr=0.01)
    before = [parameter.detach().clone() for parameter in loss.parameters()]
    shared = {parameter.untyped_storage().data_ptr() for parameter in loss.parameters()}
    optimizer.release()
    assert len(shared) == 2
    for parameter, value in zip(loss.parameters(), before, strict=True):
        assert torch.equal(parameter, value)
        assert parameter.untyped_storage().nbytes() == parameter.numel() * parameter.element_size()
        assert parameter.grad is None
        assert parameter.requires_grad


def test_parameters_of_another_loss_are_refused(losses):
    loss, other = losses
    with pytest.raises(ValueError, match="optimizer must be one of the objective's parameters"):
        trained(loss, FlatAdamW(groups_of(other), lr=0.01), None)
