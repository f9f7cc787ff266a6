"""Affine coupling with log-scales bounded by tanh, forward and gradient in the fewest calls."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from nflows_spread.linalg.by_columns import plain_gradients


def tanh_affine(z: Tensor, said: Tensor, scale: Tensor, *, leading: bool) -> tuple[Tensor, Tensor]:
    """y = x ⊙ exp(s) + t, s = scale · tanh(r), of the last m features x of a batch, the others as they are.

    Args:
        z: the batch, (n, D), by columns.
        said: shifts t and raw scales r, (n, 2 m), by columns.
        scale: (m,).
        leading: whether x are the first m features instead.

    Returns:
        The batch, (n, D), by columns, and Σ s, (n,); with gradients that can be differentiated again.
    """
    outputs: tuple[Tensor, Tensor] = _TanhAffine.apply(z, said, scale, leading)  # type: ignore[no-untyped-call]
    return outputs


def plain_tanh_affine(z: Tensor, said: Tensor, scale: Tensor, leading: bool) -> tuple[Tensor, Tensor]:
    """``tanh_affine`` by operations that torch differentiates."""
    count = len(scale)
    shift, raw = said.split(count, dim=1)
    s = scale * torch.tanh(raw)
    x, others = (z[:, :count], z[:, count:]) if leading else (z[:, -count:], z[:, :-count])
    y = x * torch.exp(s) + shift
    return torch.cat([y, others] if leading else [others, y], dim=1), s.sum(1)


class _TanhAffine(torch.autograd.Function):
    """With e = exp(s): ẋ = ẏ e, ṫ = ẏ, ṡ = ẋ x + the gradient of Σ s. Features come first, as the batch lies."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, said: Tensor, scale: Tensor, leading: bool) -> tuple[Tensor, Tensor]:
        columns, count = z.mT, len(scale)
        bounded = said.mT[count:].tanh()
        s = bounded * scale.unsqueeze(1)
        factor = s.exp()
        x, others = _parts(columns, count, leading)
        y = torch.addcmul(said.mT[:count], x, factor)
        ctx.save_for_backward(z, said, scale, bounded, factor)
        ctx.leading = leading
        return torch.cat([y, others] if leading else [others, y]).mT, s.sum(0)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        z, said, scale, bounded, factor = ctx.saved_tensors
        leading = ctx.leading
        if torch.is_grad_enabled():
            plain = partial(plain_tanh_affine, leading=leading)
            return *plain_gradients(plain, [z, said, scale], ctx.needs_input_grad[:3], grad_outputs), None
        x, _ = _parts(z.mT, len(scale), leading)
        by_y, by_others = _parts(grad_outputs[0].mT, len(scale), leading)
        by_x = by_y * factor
        by_s = torch.addcmul(grad_outputs[1], by_x, x)
        by_scale = (by_s * bounded).sum(1)
        by_raw = torch.ops.aten.tanh_backward(by_s * scale.unsqueeze(1), bounded)
        by_z = torch.cat([by_x, by_others] if leading else [by_others, by_x]).mT
        return by_z, torch.cat([by_y, by_raw]).mT, by_scale, None


def _parts(columns: Tensor, count: int, leading: bool) -> tuple[Tensor, Tensor]:
    """The rows that are transformed, and the others."""
    return (columns[:count], columns[count:]) if leading else (columns[-count:], columns[:-count])
