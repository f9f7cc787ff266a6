"""Toys of the tests of ``fit(..., compile=True)``: small objectives, and compilers that only pretend."""

from __future__ import annotations

import copy

import torch
from nflows.flows import Flow
from nflows.transforms import CompositeTransform

from nflows_spread import DegenerateGaussian, SpreadKLLoss
from nflows_spread.models import coupling_flow
from nflows_spread.training import compilation, fit
from nflows_spread.transforms import VolumePreservingLULinear

X = torch.randn(30, 2, generator=torch.Generator().manual_seed(5)) * torch.tensor([2.0, 0.2])


def objective_of(*transforms):
    """An objective whose noise comes from torch's global generator."""
    if transforms:
        return SpreadKLLoss(Flow(CompositeTransform(list(transforms)), DegenerateGaussian([2])), data_noise=0.1)
    return SpreadKLLoss(coupling_flow(2, layers=1, hidden_features=(4,)), data_noise=0.1)


def trained(objective, x=X, **options):
    """Losses and parameters after three steps from the same start, and the trained copy."""
    objective = copy.deepcopy(objective)
    torch.manual_seed(3)
    result = fit(objective, x, steps=3, batch_size=10, learning_rate=1e-2, progress=False, **options)
    return result.losses, [parameter.detach() for parameter in objective.parameters()], objective


class Counting(VolumePreservingLULinear):
    """Draws random numbers and counts its batches, as dropout and batch norm do."""

    def __init__(self):
        super().__init__(2)
        self.register_buffer("count", torch.zeros(()))

    def forward(self, inputs, context=None):
        self.count += 1
        return super().forward(inputs + 1e-3 * torch.randn_like(inputs), context)


def compiled_as(compiling, monkeypatch):
    """``torch.compile`` is this function of what it is given, or the identity; the modules of the calls to come."""
    calls = []

    def compile(function, **options):
        made = function if compiling is None else compiling(function)
        return lambda *args, **kwargs: calls.append(function.__self__) or made(*args, **kwargs)

    monkeypatch.setattr(compilation.torch, "compile", compile)
    return calls
