"""The optimizer: which parameters decay, and the fused kind where there is one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from nflows_spread import validation
from nflows_spread.distributions import DegenerateGaussian

_NOT_WEIGHTS = ("bias", "scale", "shift", "diag")


def default_optimizer(
    objective: nn.Module, *, learning_rate: float = 5e-4, weight_decay: float = 0.0
) -> torch.optim.Optimizer:
    """Adam, or AdamW where there is weight decay, fused where the device has it.

    Args:
        objective: what is trained.
        learning_rate: of all parameters.
        weight_decay: of the weights of the nets alone, see ``parameter_groups``.

    Raises:
        ValueError: ``learning_rate`` is not positive or ``weight_decay`` negative.
    """
    groups: Any = parameter_groups(objective, validation.non_negative("weight_decay", weight_decay))
    if weight_decay == 0.0:  # one group: each costs a toy's step as much as a layer
        groups = [parameter for _, parameter in _trainable(objective)]
    rate = validation.positive("learning_rate", learning_rate)
    kind = torch.optim.AdamW if weight_decay > 0.0 else torch.optim.Adam
    try:
        return kind(groups, lr=rate, weight_decay=0.0, fused=True)
    except RuntimeError:  # no fused kind for this device or dtype
        return kind(groups, lr=rate, weight_decay=0.0)


def parameter_groups(objective: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """The parameters in two groups: weights, which decay, and all that must not.

    Decay would bias the rank of AAᵀ towards 0, so nothing of a ``DegenerateGaussian`` decays, and
    neither do scales, shifts and biases: parameters called so, and those with fewer than two dimensions.
    """
    kept_free = {
        id(parameter)
        for module in objective.modules()
        if isinstance(module, DegenerateGaussian)
        for parameter in module.parameters()
    }
    decaying: list[Tensor] = []
    free: list[Tensor] = []
    for name, parameter in _trainable(objective):
        is_weight = parameter.dim() >= 2 and not any(word in name for word in _NOT_WEIGHTS)
        (decaying if is_weight and id(parameter) not in kept_free else free).append(parameter)
    groups = [{"params": decaying, "weight_decay": weight_decay}, {"params": free, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def _trainable(objective: nn.Module) -> Iterator[tuple[str, Tensor]]:
    for name, parameter in objective.named_parameters():
        if parameter.requires_grad:
            yield name, parameter
