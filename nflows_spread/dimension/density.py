"""Intrinsic dimension from a flow's density (the error of its denoiser, LIDL's score), and Tweedie's denoising step."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from nflows_spread import validation
from nflows_spread.argument_types import typed
from nflows_spread.hosts import log_prob

_ROWS_AT_ONCE = 500
"""Rows whose scores are taken together for a dimension: a choice, for memory."""

_DENOISED_AT_ONCE = 1000
"""Rows that are denoised together where nobody says otherwise: a choice, for memory."""

_FARTHEST = 3.0
"""The longest step that takes noise off a point, in standard deviations of noise times √D. A choice: noise is never
much longer, and a longer step would be an error of the flow's."""


@dataclass(frozen=True)
class DensityDimension:
    """What a flow's density says about the dimension of its data, and how sure that is.

    Attributes:
        denoising: E‖ε + σ ∇log p(x̃)‖². The best estimate of x from x̃ = x + σ ε is x̃ + σ² ∇log p(x̃); at a small σ it
            takes away the noise across a K-dimensional manifold and none along it, so that its squared
            error is K σ². A model's own estimate can only be worse: on held-out data this is an upper bound.
        score: E[‖ε‖² − σ² ‖∇log p(x̃)‖²], the same number for the true density by de Bruijn's identity, and
            the slope of the log-likelihood in log σ, plus D, that LIDL fits. For a model it is no bound.
        denoising_error: standard error of ``denoising`` over the points.
        score_error: standard error of ``score`` over the points.
        data_noise: σ.

    The distance of the two says how far the model is from the density that it was trained on.
    """

    denoising: float
    score: float
    denoising_error: float
    score_error: float
    data_noise: float

    def in_units_of(self, scale: float) -> DensityDimension:
        """The same for data that is ``scale`` times larger."""
        return replace(self, data_noise=self.data_noise * scale)


@typed
def density_dimension(
    flow: nn.Module,
    x: Tensor,
    *,
    data_noise: float,
    context: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> DensityDimension:
    """Read the dimension off the density of noisy data.

    Closed surfaces, which no single chart covers, have a density all the same. Both numbers are means
    over points, in which ‖ε‖² stands for its expectation D because it varies together with the other
    term: what remains has a variance of the order of K and not of D.

    Args:
        flow: a flow of any host, with any base.
        x: data that the flow was not trained on, shape (n, ...).
        data_noise: σ, the noise that it was trained with, above 0, in data units.
        context: conditioning inputs, one row for each row of ``x``, or one for all.
        generator: source of ε.

    Raises:
        TypeError: ``x`` is not of a floating dtype.
        ValueError: ``x`` is empty or not finite, or ``data_noise`` is not positive.
    """
    validation.points("x", x)
    context = validation.context_of(len(x), context)
    sigma = validation.positive("data_noise", data_noise)
    denoising, score = [], []
    for index in torch.arange(len(x), device=x.device).split(_ROWS_AT_ONCE):
        noise = torch.empty_like(x[index]).normal_(generator=generator)
        scaled = sigma * score_of(flow, x[index] + sigma * noise, None if context is None else context[index])
        denoising.append((noise + scaled).flatten(1).double().square().sum(1))
        score.append((noise.double().square() - scaled.double().square()).flatten(1).sum(1))
    errors, scores = torch.cat(denoising), torch.cat(score)
    return DensityDimension(
        denoising=float(errors.mean()),
        score=float(scores.mean()),
        denoising_error=_standard_error(errors),
        score_error=_standard_error(scores),
        data_noise=sigma,
    )


def score_of(flow: nn.Module, x: Tensor, context: Tensor | None = None) -> Tensor:
    """∇ log p(x) of the flow's density, of the shape of ``x``; the gradients of parameters stay as they are."""
    with torch.enable_grad():
        leaves = x.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(log_prob(flow, leaves, context).sum(), leaves)
    return gradient


@typed
def denoise(
    flow: nn.Module,
    x: Tensor,
    *,
    variance: float,
    context: Tensor | None = None,
    times: int = 1,
    longest: float = math.inf,
    at_once: int = _DENOISED_AT_ONCE,
) -> Tensor:
    """x + s² ∇log p(x), Tweedie's formula: the best guess of points without Gaussian noise of variance s².

    Args:
        flow: a flow whose density has this noise.
        x: points, shape (n, ...), in units of the flow.
        variance: s², of all noise that the flow was trained on: σ_x² and that of the data.
        context: conditioning inputs, one row for each point, or one for all.
        times: how often; a point that is farther off than the noise needs more than one.
        longest: the length of a step, at most.
        at_once: rows that go through the flow together, for memory; the last digits depend on it.

    Raises:
        TypeError, ValueError: ``x`` is of no floating dtype, or a number is out of range.

    Returns:
        The points, of the shape of ``x``. One where the flow's density has no finite slope stays where it is.

    References:
        B. Efron, Tweedie's formula and selection bias, JASA 106, 2011.
    """
    validation.floating("x", x)
    context = validation.context_of(len(x), context)
    validation.non_negative("variance", variance)
    if not longest >= 0.0:
        raise ValueError(f"longest must be at least 0, got {longest}")
    a_row = (-1, *[1] * (x.dim() - 1))
    parts = torch.arange(len(x), device=x.device).split(validation.positive_int("at_once", at_once))
    for _ in range(validation.non_negative_int("times", times)):
        scores = [score_of(flow, x[part], None if context is None else context[part]) for part in parts]
        step = variance * torch.cat(scores)
        if longest < math.inf:
            step = step * (longest / step.flatten(1).norm(dim=1).clamp_min(longest)).view(a_row)
        moved = x + step
        x = torch.where(moved.isfinite().flatten(1).all(1).view(a_row), moved, x)
    return x


@typed
def posterior_mean(
    flow: nn.Module,
    x: Tensor,
    *,
    noise: float,
    context: Tensor | None = None,
    at_once: int = _DENOISED_AT_ONCE,
) -> Tensor:
    """E[clean | noisy] = x + s² ∇log p(x), a step of ``denoise`` of at most 3 s √D: whole samples without their noise.

    Args:
        flow: a flow whose density has this noise.
        x: noisy points, shape (n, ...), such as samples of the flow.
        noise: s, standard deviation of all noise in each feature.
        context: conditioning inputs, one row for each point, or one for all.
        at_once: as for ``denoise``.
    """
    longest = _FARTHEST * validation.non_negative("noise", noise) * validation.floating("x", x).shape[1:].numel() ** 0.5
    return denoise(flow, x, variance=noise**2, context=context, longest=longest, at_once=at_once)


def _standard_error(values: Tensor) -> float:
    return float(values.std() / len(values) ** 0.5) if len(values) > 1 else float("inf")
