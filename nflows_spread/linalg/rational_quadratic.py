"""Monotone rational-quadratic splines of each feature (neural spline flows), with a gradient in the fewest calls."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from nflows_spread.linalg.by_columns import plain_gradients

_LEAST_BIN = 1e-4
"""Share of the range that a bin has, at the least: a choice; not measured."""

_LEAST_SLOPE = 1e-4
"""Slope at a knot, at the least: a choice; not measured."""


class Bins(NamedTuple):
    """The bins of values: where each begins and how far it goes on both axes, and the slopes at its two ends.

    All of shape (D, n) for n values of D features.
    """

    left: Tensor
    width: Tensor
    bottom: Tensor
    height: Tensor
    slope: Tensor
    next_slope: Tensor


class Knots(NamedTuple):
    """Where bins begin and end, on both axes, and the slopes there, each (D, bins + 1)."""

    positions: Tensor
    heights: Tensor
    slopes: Tensor


def knots(widths: Tensor, heights: Tensor, slopes: Tensor, bound: float) -> Knots:
    """The knots from −bound to bound of unnormalised widths and heights (D, bins) and slopes (D, bins − 1)."""
    bins = widths.shape[1]
    shares = _LEAST_BIN + (1.0 - _LEAST_BIN * bins) * torch.stack([widths, heights]).softmax(2)
    positions, levels = bound * (2.0 * F.pad(shares.cumsum(2), (1, 0)) - 1.0)
    return Knots(positions, levels, F.pad(F.softplus(slopes) + _LEAST_SLOPE, (1, 1), value=1.0))


def bins_of(columns: Tensor, found: Knots, *, inverse: bool) -> tuple[Bins, Tensor]:
    """The bins of values (D, n) within the range, or of levels for the inverse, and their indices, (D, n)."""
    positions, heights, slopes = found
    searched = (heights if inverse else positions).detach()
    index = (torch.searchsorted(searched, columns.detach(), right=True) - 1).clamp(0, searched.shape[1] - 2)
    table = torch.stack(
        [positions[:, :-1], positions.diff(), heights[:, :-1], heights.diff(), slopes[:, :-1], slopes[:, 1:]]
    )
    return Bins(*table.gather(2, index.expand(6, *index.shape))), index


def spline(x: Tensor, widths: Tensor, heights: Tensor, slopes: Tensor, bound: float) -> tuple[Tensor, Tensor]:
    """The spline at values (n, D) and Σ of the logarithms of its derivatives, (n,).

    The values come back by columns, with gradients that can be differentiated again.
    """
    outputs: tuple[Tensor, Tensor] = _Spline.apply(x, widths, heights, slopes, bound)  # type: ignore[no-untyped-call]
    return outputs


def plain_spline(x: Tensor, widths: Tensor, heights: Tensor, slopes: Tensor, bound: float) -> tuple[Tensor, Tensor]:
    """``spline`` by operations that torch differentiates."""
    columns = x.mT
    clamped = columns.clamp(-bound, bound).contiguous()
    bins, _ = bins_of(clamped, knots(widths, heights, slopes, bound), inverse=False)
    theta = (clamped - bins.left) / bins.width
    secant = bins.height / bins.width
    mixed = theta * (1.0 - theta)
    denominator = secant + (bins.next_slope + bins.slope - 2.0 * secant) * mixed
    risen = secant * theta.square() + bins.slope * mixed
    logs = log_slope(secant, bins.slope, bins.next_slope, theta, denominator)
    inside = columns.abs() < bound
    outputs = torch.where(inside, bins.bottom + bins.height * risen / denominator, columns)
    return outputs.mT, torch.where(inside, logs, 0.0).sum(0)


def log_slope(secant: Tensor, slope: Tensor, next_slope: Tensor, theta: Tensor, denominator: Tensor) -> Tensor:
    """The logarithm of the derivative at θ (Durkan et al., equation 5)."""
    rest = 1.0 - theta
    numerator = next_slope * theta.square() + 2.0 * secant * theta * rest + slope * rest.square()
    return 2.0 * secant.log() + numerator.log() - 2.0 * denominator.log()


class _Spline(torch.autograd.Function):
    """With s = height / width, slopes a and b at the ends of a bin, θ in it and m = θ (1 − θ):

    y = bottom + height · u / d,    log y' = 2 log s + log v − 2 log d,
    u = s θ² + a m,    d = s + (a + b − 2 s) m,    v = b θ² + 2 s m + a (1 − θ)².
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, widths: Tensor, heights: Tensor, slopes: Tensor, bound: float
    ) -> tuple[Tensor, Tensor]:
        columns = x.mT.contiguous()
        clamped = columns.clamp(-bound, bound)
        found = knots(widths, heights, slopes, bound)
        bins, index = bins_of(clamped, found, inverse=False)
        left, width, bottom, height, slope, next_slope = bins
        theta = (clamped - left).div_(width)
        secant = height / width
        rest = 1.0 - theta
        mixed, square = theta * rest, theta.square()
        bend = torch.add(next_slope + slope, secant, alpha=-2.0)
        denominator = torch.addcmul(secant, bend, mixed)
        risen = (secant * square).addcmul_(slope, mixed)
        ratio = risen / denominator
        numerator = (next_slope * square).addcmul_(secant, mixed, value=2.0).addcmul_(slope, rest.square())
        logs = torch.log(secant * secant * numerator / (denominator * denominator))
        inside = (columns.abs() < bound).to(x.dtype)
        outputs = torch.where(inside > 0.0, torch.addcmul(bottom, height, ratio), columns)
        ctx.save_for_backward(
            x,
            widths,
            heights,
            slopes,
            inside,
            index,
            width,
            height,
            slope,
            next_slope,
            theta,
            secant,
            mixed,
            bend,
            denominator,
            ratio,
            numerator,
        )
        ctx.bound = bound
        return outputs.mT, (logs * inside).sum(0)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        x, widths, heights, slopes, *saved = ctx.saved_tensors
        if torch.is_grad_enabled():
            plain = partial(plain_spline, bound=ctx.bound)
            needed = ctx.needs_input_grad[:4]
            return *plain_gradients(plain, [x, widths, heights, slopes], needed, grad_outputs), None
        inside, index, width, height, a, b, theta, s, mixed, bend, denominator, ratio, numerator = saved
        by_y = grad_outputs[0].mT * inside
        by_log = grad_outputs[1] * inside
        by_risen = by_y * height / denominator
        by_denominator = torch.addcmul(by_log * 2.0 / denominator, by_risen, ratio).neg_()
        by_numerator = by_log / numerator
        rest, square = 1.0 - theta, theta.square()
        by_a = torch.addcmul(by_numerator * rest.square(), by_risen + by_denominator, mixed)
        by_b = torch.addcmul(by_numerator * square, by_denominator, mixed)
        by_s = 2.0 * (by_log / s + (by_numerator - by_denominator) * mixed) + by_risen * square + by_denominator
        slant = rest - theta  # 1 − 2θ
        by_theta = (
            2.0 * by_numerator * (b * theta + s * slant - a * rest)
            + by_risen * (2.0 * s * theta + a * slant)
            + by_denominator * bend * slant
        )
        by_x = by_theta / width
        by_height = torch.addcmul(by_s / width, by_y, ratio)
        by_width = -(by_s * s / width + by_x * theta)
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_x = (by_x + grad_outputs[0].mT * (1.0 - inside)).mT
        return (
            grad_x,
            *_of_parameters(
                torch.stack([-by_x, by_width, by_y, by_height, by_a, by_b]), index, widths, heights, slopes, ctx.bound
            ),
            None,
        )


def _of_parameters(
    by_bins: Tensor, index: Tensor, widths: Tensor, heights: Tensor, slopes: Tensor, bound: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of the unnormalised parameters by those of the bins of values, (6, D, n), at indices (D, n)."""
    features, count = widths.shape
    table = by_bins.new_zeros(6, features, count).scatter_add_(2, index.expand_as(by_bins), by_bins)
    begins, extents = table[0:4:2], table[1:4:2]
    # a share moves all bins after its own
    by_shares = extents + (begins.sum(2, keepdim=True) - begins.cumsum(2))
    shares = torch.stack([widths, heights]).softmax(2)
    by_shares.mul_(2.0 * bound * (1.0 - _LEAST_BIN * count))
    by_both = torch.ops.aten._softmax_backward_data(by_shares, shares, 2, shares.dtype)
    by_slopes = (table[4, :, 1:] + table[5, :, :-1]) * slopes.sigmoid()
    return by_both[0], by_both[1], by_slopes
