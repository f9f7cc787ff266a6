"""Jacobian-vector products and tangent vectors by reverse-mode differentiation alone, twice over.

Every layer that can be trained supports these; forward-mode differentiation needs a rule of its own from each custom
function. The derivative of a pullback Jᵀu in u, which is linear in it, is J itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Map = Callable[[Tensor], Tensor]


@torch.enable_grad()
def pushed_forward(function: Map, inputs: Tensor, directions: Sequence[Tensor]) -> list[Tensor]:
    """J v for each row: the derivatives of a function of rows, which is asked once, in directions of their own.

    Args:
        function: of rows, (n, ...) to (n, ...), each row by itself.
        inputs: where J is taken, (n, ...).
        directions: v, each of the shape of ``inputs``.

    Returns:
        One for each v, of the shape of the outputs, detached.
    """
    pulled, weights = _pullback(function, inputs)
    return [torch.autograd.grad(pulled, weights, v, retain_graph=True)[0].detach() for v in directions]


@torch.enable_grad()
def tangents(function: Map, inputs: Tensor) -> Tensor:
    """The columns of J for each row, (n, K, D), for a function of rows (n, K) whose outputs have D features."""
    pulled, weights = _pullback(function, inputs)
    columns = [torch.autograd.grad(column.sum(), weights, retain_graph=True)[0] for column in pulled.unbind(1)]
    return torch.stack([column.flatten(1) for column in columns], dim=1).detach()


def _pullback(function: Map, inputs: Tensor) -> tuple[Tensor, Tensor]:
    """Jᵀu and u, at u = 0."""
    leaves = inputs.detach().clone().requires_grad_()
    outputs = function(leaves)
    weights = torch.zeros_like(outputs, requires_grad=True)
    (pulled,) = torch.autograd.grad(outputs, leaves, weights, create_graph=True)
    return pulled, weights
