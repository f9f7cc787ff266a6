"""Dtype and device of modules, and how one is moved to those of another."""

import pytest
import torch
from torch import nn

from nflows_spread import DegenerateGaussian
from nflows_spread.hosts.placement import Placement, move, placement_of

CPU, META = torch.device("cpu"), torch.device("meta")


def with_buffer(device="cpu", dtype=torch.float64):
    module = nn.Linear(2, 2)
    module.register_buffer("extra", torch.zeros(1, device=device, dtype=dtype))
    return module


def integers():
    module = nn.Module()
    module.count = nn.Parameter(torch.zeros(1, dtype=torch.int64), requires_grad=False)
    return module


@pytest.mark.parametrize(
    ("modules", "dtype", "device"),
    [
        ([nn.Identity()], None, None),
        ([], None, None),
        ([nn.Linear(2, 2)], torch.float32, CPU),
        ([nn.Linear(2, 2), nn.Linear(2, 2).double()], torch.float64, CPU),
        ([nn.Linear(2, 2).half(), nn.Linear(2, 2).bfloat16()], torch.float32, CPU),
        ([with_buffer()], torch.float32, CPU),
        ([with_buffer("meta")], torch.float32, None),
        ([nn.Linear(2, 2, device="meta")], torch.float32, META),
        ([nn.Linear(2, 2), nn.Linear(2, 2, device="meta")], torch.float32, None),
        ([integers()], None, CPU),
        ([DegenerateGaussian([2])], torch.float32, CPU),
        ([DegenerateGaussian([2]).double()], torch.float64, CPU),
        ([DegenerateGaussian([2]).double(), nn.Linear(2, 2)], torch.float64, CPU),
    ],
)
def test_it_is_the_widest_dtype_of_parameters_and_the_one_device_of_all(modules, dtype, device):
    assert placement_of(*modules) == (dtype, device)


def test_it_says_what_it_is_and_what_it_holds():
    placement = Placement(torch.float64, CPU)
    assert str(placement) == "torch.float64 on cpu"
    assert placement.holds(torch.zeros(1, dtype=torch.float64))
    assert not placement.holds(torch.zeros(1))
    assert not placement.holds(torch.zeros(1, dtype=torch.float64, device="meta"))


@pytest.mark.parametrize(
    ("to", "expected"),
    [
        (Placement(torch.float64, CPU), (torch.float64, CPU)),
        (Placement(None, META), (torch.float32, META)),
        (Placement(torch.float64, META), (torch.float64, META)),
        (Placement(None, None), (torch.float32, CPU)),
    ],
)
def test_a_module_is_moved_to_what_is_known(to, expected):
    module = nn.Linear(2, 2)
    move(module, to)
    assert placement_of(module) == expected


def test_what_has_no_placement_is_left():
    module = integers()
    move(module, Placement(torch.float64, CPU))
    assert module.count.dtype == torch.int64
