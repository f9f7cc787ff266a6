"""Sums of squared differences between points and the centres of pieces, with weights for each feature of a piece."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from nflows_spread.linalg.torch_func import gradients_of_plain, under_transforms

_LARGEST_SQUARE = 1e4
"""The mean w x² of a feature up to which products of matrices leave twelve digits of the sum: 1e4 times 1e-16."""


def weighted_squares(x: Tensor, centres: Tensor, weights: Tensor) -> Tensor:
    """q_nm = Σ_k w_mk (x_nk − c_mk)², (n, M), for points (n, D), centres (M, D) and weights (M, D), all float64.

    Can be differentiated in all three, as often as one likes.
    """
    if under_transforms(x, centres, weights):
        return _plain(x, centres, weights)
    found: Tensor = _WeightedSquares.apply(x, centres, weights)  # type: ignore[no-untyped-call]
    return found


def _plain(x: Tensor, centres: Tensor, weights: Tensor) -> Tensor:
    return ((x.unsqueeze(1) - centres).square() * weights).sum(2)


class _WeightedSquares(torch.autograd.Function):
    """See ``squares_of`` and ``gradients_of_squares``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, centres: Tensor, weights: Tensor) -> Tensor:
        ctx.save_for_backward(x, centres, weights)
        return squares_of(x, centres, weights)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        inputs = ctx.saved_tensors
        if torch.is_grad_enabled() or under_transforms(*grad_outputs):  # differentiated again or mapped
            return gradients_of_plain(_plain, inputs, ctx.needs_input_grad, grad_outputs[0])
        by_x, by_centres, seconds = gradients_of_squares(grad_outputs[0], *inputs)
        return 2.0 * by_x, -2.0 * by_centres, seconds


def squares_of(x: Tensor, centres: Tensor, weights: Tensor) -> Tensor:
    """The numbers of ``weighted_squares``: by products where nothing can cancel, which costs a tenth, else by piece."""
    origin = centres.mean(0)
    points, centred = x - origin, centres - origin
    if _small(points, centred, weights):
        scaled = centred * weights
        squares = torch.addmm((centred * scaled).sum(1), points.square(), weights.mT)
        return squares.addmm_(points, scaled.mT, alpha=-2.0).clamp_min_(0.0)
    pairs = zip(centres, weights, strict=True)
    return torch.stack([(x - centre).square() @ weight for centre, weight in pairs], dim=1)


def gradients_of_squares(
    upstream: Tensor, x: Tensor, centres: Tensor, weights: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Σ_m g_nm w_m (x_n − c_m), (n, D), Σ_n g_nm w_m (x_n − c_m), (M, D), and Σ_n g_nm (x_n − c_m)², (M, D).

    Of Σ_nm g_nm q_nm these are half the gradient in x, minus half that in the centres, and that in the weights.
    """
    origin = centres.mean(0)
    points, centred = x - origin, centres - origin
    if _small(points, centred, weights):
        totals, first = upstream.sum(0).unsqueeze(1), upstream.mT @ points
        by_x = points * (upstream @ weights) - upstream @ (weights * centred)
        seconds = upstream.mT @ points.square() - (2.0 * first - totals * centred) * centred
        return by_x, weights * (first - totals * centred), seconds
    by_x, by_centres, seconds = torch.zeros_like(x), torch.empty_like(centres), torch.empty_like(centres)
    for piece, (centre, weight) in enumerate(zip(centres, weights, strict=True)):
        difference = x - centre
        given = difference * upstream[:, piece : piece + 1]
        by_x.addcmul_(given, weight)
        by_centres[piece] = given.sum(0) * weight
        seconds[piece] = (given * difference).sum(0)
    return by_x, by_centres, seconds


def _small(points: Tensor, centres: Tensor, weights: Tensor) -> bool:
    """Whether w x² and w c² are so small that their difference keeps its digits."""
    largest = torch.maximum(points.square().amax(0), centres.square().amax(0))
    return bool((weights @ largest).amax() <= _LARGEST_SQUARE * points.shape[1])
