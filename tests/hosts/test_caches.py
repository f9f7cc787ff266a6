"""Weights that nflows' linear layers keep are forgotten in evaluation mode, at any depth; ours know by themselves."""

import pytest
import torch
from nflows.transforms import LULinear
from nflows.transforms.linear import Linear
from torch import nn

from nflows_spread.hosts.caches import forget_caches
from nflows_spread.transforms import VolumePreservingLULinear


def filled(kind=LULinear, *, using_cache=True):
    layer = kind(2, using_cache=using_cache).eval()
    layer.cache.weight = torch.eye(2)
    return layer


def flow_of(*layers):
    flow = nn.Sequential(nn.Identity(), nn.Sequential(*layers)).eval()
    flow.register_module("nothing", None)
    return flow


@pytest.mark.parametrize(
    ("layer", "kinds", "training", "forgotten"),
    [
        (filled(), (Linear,), False, True),
        (filled(), (Linear,), True, False),
        (filled(), (nn.Conv2d,), False, False),
        (filled(), (), False, False),
        (filled(), (nn.Conv2d, Linear), False, True),
        (filled(using_cache=False), (Linear,), False, False),
        (filled(VolumePreservingLULinear), (Linear,), False, False),
    ],
)
def test_those_of_the_kinds_are_forgotten(layer, kinds, training, forgotten):
    other = filled()
    flow = flow_of(layer, nn.Identity(), other)
    flow.training = training  # of the flow alone: in train() nflows' layers forget by themselves
    forget_caches(flow, *kinds)
    assert (layer.cache.weight is None) == forgotten
    assert (other.cache.weight is None) == (not training and Linear in kinds)
