"""What the tests of training train: a mean, in which nothing is random, and a small flow on a sine."""

import torch
from torch import nn

from nflows_spread import SpreadKLLoss
from nflows_spread.models import TABLE_1, coupling_flow


class MeanSquare(nn.Module):
    """½ E|x − m|², whose gradient is m − E x: nothing in it is random."""

    def __init__(self, features=2):
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(features, dtype=torch.float64))

    def forward(self, x, context=None):
        return 0.5 * (x - self.mean).square().sum(1).mean()


def rows(n=60, seed=0):
    return torch.randn(n, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def sgd(objective, rate=0.1):
    return torch.optim.SGD(objective.parameters(), lr=rate)


def sine_objective():
    torch.manual_seed(0)
    return SpreadKLLoss(coupling_flow(**TABLE_1), data_noise=0.1)


def sine_rows(n, generator):
    t = torch.randn(n, 1, generator=generator)
    return torch.cat([t, torch.sin(t)], dim=1)
