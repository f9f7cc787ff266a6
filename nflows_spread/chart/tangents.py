"""Jacobian-vector products and tangent vectors by reverse-mode differentiation alone, twice over.

Every layer that can be trained supports these, but for those that say that they are differentiated once alone, as
zuko's solver of differential equations; forward-mode differentiation needs a rule of its own from each custom
function. The derivative of a pullback Jᵀu in u, which is linear in it, is J itself. Where it cannot be taken, J is
asked row by row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Map = Callable[[Tensor], Tensor]

_NOT_TWICE = ("once_differentiable", "not have been used in the graph", "does not require grad")
"""What torch says of a pullback whose derivative a function leaves out, of which it has no gradient."""


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
    leaves, outputs = _called(function, inputs)
    pulled, weights = _pullback(leaves, outputs)
    try:
        return [torch.autograd.grad(pulled, weights, v, retain_graph=True)[0].detach() for v in directions]
    except RuntimeError as error:
        jacobians = _by_rows(leaves, outputs, error)
        return [(jacobians @ v.flatten(1).unsqueeze(2)).view_as(outputs) for v in directions]


@torch.enable_grad()
def tangents(function: Map, inputs: Tensor) -> Tensor:
    """The columns of J for each row, (n, K, D), for a function of rows (n, K) whose outputs have D features."""
    leaves, outputs = _called(function, inputs)
    pulled, weights = _pullback(leaves, outputs)
    try:
        columns = [torch.autograd.grad(column.sum(), weights, retain_graph=True)[0] for column in pulled.unbind(1)]
    except RuntimeError as error:
        return _by_rows(leaves, outputs, error).mT
    return torch.stack([column.flatten(1) for column in columns], dim=1).detach()


def _called(function: Map, inputs: Tensor) -> tuple[Tensor, Tensor]:
    leaves = inputs.detach().clone().requires_grad_()
    return leaves, function(leaves)


def _pullback(leaves: Tensor, outputs: Tensor) -> tuple[Tensor, Tensor]:
    """Jᵀu and u, at u = 0."""
    weights = torch.zeros_like(outputs, requires_grad=True)
    (pulled,) = torch.autograd.grad(outputs, leaves, weights, create_graph=True)
    return pulled, weights


def _by_rows(leaves: Tensor, outputs: Tensor, error: RuntimeError) -> Tensor:
    """J of each row, (n, outputs, inputs), at the cost of a backward pass for each output, or the error raised again.

    Args:
        leaves: the inputs.
        outputs: what the function made of them.
        error: why the pullback has no derivative.
    """
    if not any(words in str(error) for words in _NOT_TWICE):
        raise error
    columns = outputs.flatten(1).unbind(1)
    rows = [torch.autograd.grad(column.sum(), leaves, retain_graph=True)[0].flatten(1) for column in columns]
    return torch.stack(rows, dim=1).detach()
