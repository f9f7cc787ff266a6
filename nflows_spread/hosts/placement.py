"""Dtype and device of modules: in which a flow computes, and in which a base draws its samples."""

from __future__ import annotations

from functools import reduce
from itertools import chain
from typing import NamedTuple

import torch
from torch import Tensor, nn

from nflows_spread.distributions import DegeneratePrior


class Placement(NamedTuple):
    """A dtype and a device; None where the modules have none, or several devices."""

    dtype: torch.dtype | None
    device: torch.device | None

    def holds(self, value: Tensor) -> bool:
        """Whether the tensor is of this dtype and on this device."""
        return (value.dtype, value.device) == self

    def __str__(self) -> str:
        return f"{self.dtype} on {self.device}"


def placement_of(*modules: nn.Module) -> Placement:
    """The widest dtype of the floating-point parameters, and the one device of all parameters and buffers.

    Buffers tell no dtype, as some are float64 in any case: a ``DegenerateGaussian`` tells its own by its mean.
    """
    own = [module.mean() for module in modules if isinstance(module, DegeneratePrior)]
    others = [module for module in modules if not isinstance(module, DegeneratePrior)]
    parameters = [*own, *chain.from_iterable(module.parameters() for module in others)]
    buffers = chain.from_iterable(module.buffers() for module in others)
    dtypes = {parameter.dtype for parameter in parameters if parameter.is_floating_point()}
    devices = {tensor.device for tensor in chain(parameters, buffers)}
    dtype = reduce(torch.promote_types, dtypes) if dtypes else None
    return Placement(dtype, devices.pop() if len(devices) == 1 else None)


def move(module: nn.Module, to: Placement) -> None:
    """Convert the module, in place, to what is known of a placement and differs from its own."""
    found = placement_of(module)
    if None not in (found.dtype, to.dtype) and found.dtype != to.dtype:
        module.to(to.dtype)
    if None not in (found.device, to.device) and found.device != to.device:
        module.to(to.device)
