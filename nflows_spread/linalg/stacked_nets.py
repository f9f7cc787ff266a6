"""Stacked fully connected nets (multilayer perceptrons) with leaky ReLUs, forward and gradient in the fewest calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from nflows_spread.linalg.by_columns import plain_gradients


def stacked_nets(x: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor], slope: float) -> Tensor:
    """What s nets of the same widths give for the same inputs, side by side.

    Args:
        x: inputs, shape (n, D), by columns.
        weights: of each layer, shape (s, in, out).
        biases: of each layer, shape (s, 1, out).
        slope: of the leaky ReLUs between layers, above 0.

    Returns:
        Shape (n, s · out), by columns, the first net's outputs first; with a gradient that can be differentiated again.
    """
    outputs: Tensor = _StackedNets.apply(slope, x, *weights, *biases)  # type: ignore[no-untyped-call]
    return outputs


def plain_stacked_nets(x: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor], slope: float) -> Tensor:
    """``stacked_nets`` of inputs that lie in any way, by operations that torch differentiates."""
    hidden = x.expand(len(weights[0]), *x.shape)
    for i, (weight, bias) in enumerate(zip(weights, biases)):
        if i > 0:
            hidden = F.leaky_relu(hidden, slope)
        hidden = torch.baddbmm(bias, hidden, weight)
    return hidden.transpose(0, 1).flatten(1)


class _StackedNets(torch.autograd.Function):
    """h₀ = xᵀ, h_{i+1} = Wᵢᵀ φ(hᵢ) + bᵢ, features first: narrow layers then are products of long rows."""

    @staticmethod
    def forward(ctx: Any, slope: float, x: Tensor, *parameters: Tensor) -> Tensor:
        depth = len(parameters) // 2
        hidden = x.mT.expand(len(parameters[0]), x.shape[1], x.shape[0])
        seen = [hidden]
        for i in range(depth):
            if i > 0:
                seen.append(F.leaky_relu_(hidden, slope))
            hidden = torch.baddbmm(parameters[depth + i].mT, parameters[i].mT, hidden)
        ctx.save_for_backward(x, *parameters, *seen[1:])
        ctx.slope, ctx.depth = slope, depth
        return hidden.flatten(0, 1).mT

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        depth, slope = ctx.depth, ctx.slope
        x, *saved = ctx.saved_tensors
        parameters, activations = saved[: 2 * depth], saved[2 * depth :]
        if torch.is_grad_enabled():

            def plain(x: Tensor, *p: Tensor) -> tuple[Tensor]:
                return (plain_stacked_nets(x, p[:depth], p[depth:], slope),)

            return None, *plain_gradients(plain, [x, *parameters], ctx.needs_input_grad[1:], grad_outputs)
        grad = grad_outputs[0].mT.contiguous().unflatten(0, (len(parameters[0]), -1))
        seen = [x.mT.expand(len(parameters[0]), x.shape[1], x.shape[0]), *activations]
        found: list[Tensor | None] = [None] * (2 * depth)
        for i in reversed(range(depth)):
            found[depth + i] = grad.sum(2).unsqueeze(1)
            found[i] = torch.bmm(seen[i], grad.mT)
            if i > 0:
                # of the outputs, whose signs are those of the inputs
                grad = torch.ops.aten.leaky_relu_backward(torch.bmm(parameters[i], grad), seen[i], slope, True)
        by_x = torch.bmm(parameters[0], grad).sum(0).mT if ctx.needs_input_grad[1] else None
        return None, by_x, *found
