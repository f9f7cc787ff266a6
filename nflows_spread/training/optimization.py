"""The optimizer: which parameters decay or learn at a rate of their own, and the fused kind where there is one."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterator, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim import LBFGS
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from nflows_spread import validation
from nflows_spread.argument_types import typed
from nflows_spread.distributions import DegeneratePrior
from nflows_spread.training.flat_adamw import FlatAdamW

_NOT_WEIGHTS = ("bias", "scale", "shift", "diag")


@typed
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


@typed
@typed
def parameter_groups(
    objective: nn.Module,
    weight_decay: float,
    *,
    weights_alone: bool = True,
    learning_rates: Mapping[type[nn.Module], float] | None = None,
) -> list[dict[str, Any]]:
    """The trainable parameters in groups: what decays, what must not, and what has a learning rate of its own.

    Decay would bias the rank of AAᵀ towards 0, so nothing of a degenerate prior decays.

    Args:
        objective: what is trained.
        weight_decay: of the first group.
        weights_alone: keep scales, shifts and biases out of it too: parameters called so, and those with fewer than
            two dimensions.
        learning_rates: of modules of these classes, whose parameters do not decay either; the others have the
            optimizer's.

    Returns:
        The groups that have parameters, in this order, for any optimizer of torch.
    """
    validation.non_negative("weight_decay", weight_decay)
    decaying: list[Tensor] = []
    free: list[Tensor] = []
    apart: dict[type[nn.Module], list[Tensor]] = {kind: [] for kind in learning_rates or {}}
    special: list[type[nn.Module]] = [DegeneratePrior, *apart]
    kinds = {id(parameter): kind for kind in special for parameter in _parameters_within(objective, kind)}
    for name, parameter in _trainable(objective):
        kind = kinds.get(id(parameter))
        is_weight = parameter.dim() >= 2 and not any(word in name for word in _NOT_WEIGHTS)
        if kind in apart:
            apart[kind].append(parameter)
        else:
            (decaying if kind is None and (is_weight or not weights_alone) else free).append(parameter)
    groups: list[dict[str, Any]] = [
        {"params": decaying, "weight_decay": weight_decay},
        {"params": free, "weight_decay": 0.0},
        *({"params": apart[kind], "weight_decay": 0.0, "lr": rate} for kind, rate in (learning_rates or {}).items()),
    ]
    return [group for group in groups if group["params"]]


def check_trainable(objective: nn.Module) -> None:
    """See that gradients are on and that there is something to train.

    Raises:
        RuntimeError: gradients are off.
        ValueError: no parameter takes one.
    """
    if not torch.is_grad_enabled():
        raise RuntimeError("fit needs gradients, got a call inside torch.no_grad or inference_mode; call it outside")
    if not any(parameter.requires_grad for parameter in objective.parameters()):
        raise ValueError(
            f"objective must have a parameter that takes a gradient, got none among the "
            f"{len(list(objective.parameters()))} of this {type(objective).__name__}; call requires_grad_() on what is "
            "to be trained"
        )


def check_optimizer(optimizer: object, objective: nn.Module) -> None:
    """See that an optimizer is one that the loop can use, and that it moves this objective.

    Raises:
        TypeError: it is no optimizer, or its steps need a closure.
        ValueError: none of its parameters is the objective's.
    """
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise TypeError(
            f"optimizer must be a torch.optim.Optimizer of the objective's parameters, got {optimizer!r}; "
            "build it first: Adam(objective.parameters())"
        )
    if isinstance(optimizer, LBFGS) or _step_needs_argument(cast(Any, type(optimizer))):
        raise TypeError(
            f"optimizer must take a step without a closure, got {type(optimizer).__name__}, which evaluates the loss "
            "several times a step and needs it without noise; pass Adam or another one of first order"
        )
    own = {id(parameter) for parameter in objective.parameters()}
    moved = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    if isinstance(optimizer, FlatAdamW):
        moved = optimizer.flattened
    if not any(id(parameter) in own for parameter in moved):
        raise ValueError(
            f"optimizer must be one of the objective's parameters, got {type(optimizer).__name__} of others; "
            "build it from objective.parameters()"
        )


def follows_the_loss(schedule: object) -> bool:
    """Whether a learning-rate schedule moves by a loss that it is given, as torch's ``ReduceLROnPlateau``."""
    moved_by_it = isinstance(schedule, ReduceLROnPlateau)  # a subclass may give the loss a default
    return moved_by_it or (isinstance(schedule, LRScheduler) and _step_needs_argument(cast(Any, type(schedule))))


@functools.cache  # asked at each step, and a signature takes as long as a small product
def _step_needs_argument(kind: type) -> bool:
    """Whether ``step`` of a class cannot be called without arguments. Not of an object: schedulers wrap that one's."""
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    _, *others = inspect.signature(cast(Any, kind).step).parameters.values()
    return any(parameter.default is parameter.empty and parameter.kind in positional for parameter in others)


def _parameters_within(objective: nn.Module, kind: type[nn.Module]) -> Iterator[Tensor]:
    for module in objective.modules():
        if isinstance(module, kind):
            yield from module.parameters()


def _trainable(objective: nn.Module) -> Iterator[tuple[str, Tensor]]:
    for name, parameter in objective.named_parameters():
        if parameter.requires_grad:
            yield name, parameter
