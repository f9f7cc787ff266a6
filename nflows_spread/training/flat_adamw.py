"""AdamW on flattened parameters: one tensor a group, for small nets whose step is bound by the number of tensors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW


class FlatAdamW(AdamW):
    """Fused AdamW that moves the parameters of a group, and clips and clears their gradients, as one tensor.

    The parameters become views of it, and their gradients of its gradient, until ``release``. A parameter that a step
    gives no gradient has the gradient 0, and not none as with torch's own: it goes on moving, and decaying.

    Args:
        groups: as ``parameter_groups`` makes them, all of one dtype and on one device.
        lr: learning rate of groups that have none of their own.

    Attributes:
        flattened: the parameters behind the tensors.
    """

    def __init__(self, groups: Iterable[Mapping[str, Any]], *, lr: float) -> None:
        self.flattened: list[Tensor] = []
        flat_groups = []
        for group in groups:
            parameters: list[Tensor] = list(group["params"])
            flat_groups.append({**group, "params": [_flatten(parameters)]})
            self.flattened += parameters
        super().__init__(flat_groups, lr=lr, weight_decay=0.0, fused=True)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clear gradients in place, whatever is asked for: they are views that the next backward pass adds to."""
        for group in self.param_groups:
            for flat in group["params"]:
                flat.grad.zero_()

    @torch.no_grad()
    def release(self) -> None:
        """Give each parameter memory of its own again, without a gradient; the optimizer is of no use afterwards."""
        for parameter in self.flattened:
            parameter.grad = None
            parameter.set_(parameter.clone())  # type: ignore[call-overload]


@torch.no_grad()
def _flatten(parameters: list[Tensor]) -> nn.Parameter:
    """One parameter whose memory, and whose gradient's, these share from now on."""
    flat = nn.Parameter(torch.cat([parameter.flatten() for parameter in parameters]))
    flat.grad = torch.zeros_like(flat)
    sizes = [parameter.numel() for parameter in parameters]
    for parameter, value, gradient in zip(parameters, flat.split(sizes), flat.grad.split(sizes)):
        shape = parameter.shape
        parameter.set_(value.detach().view(shape))
        parameter.grad = gradient.view(shape)
    return flat
