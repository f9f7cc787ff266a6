"""Data-dependent first values, once and on request."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nflows_spread import validation
from nflows_spread.distributions import DegenerateGaussian
from nflows_spread.hosts import base_of, encode
from nflows_spread.hosts.starts import waiting_layers_held, waiting_layers_started
from nflows_spread.linalg.moments import add_to_diagonal, second_moment_of
from nflows_spread.transforms import ExplicitActNorm, GlowStep

_ROWS = 512


@torch.no_grad()
def initialize(flow: nn.Module, x: Tensor, *, context: Tensor | None = None) -> int:
    """Set every ``ExplicitActNorm`` of a flow, the volume-preserving ones too, from the output of the layers before it.

    An ``ActNorm`` of nflows or normflows that still waits for its first batch is set too, in training and in evaluation
    mode. A channel that is constant up to rounding is not blown up: its deviation is below 64 roundings of its own
    values, or below 7.6e-6 (64 roundings of float32) of the largest; scale columns of such different units first.
    Call it once, before training and before the flow is wrapped or copied to several processes. What it sets are
    parameters, which are saved, loaded, copied and broadcast like all others.

    Args:
        flow: a flow of any host.
        x: a batch of data, shape (n, ...), at least two rows.
        context: conditioning inputs, one row for each row of ``x``.

    Returns:
        The number of layers that were set.

    Raises:
        TypeError, ValueError: ``x`` is no finite floating-point batch of two rows or more, or does not
            fit the flow; then no layer has changed.
    """
    validation.two_points("x", x)
    with waiting_layers_held(flow):
        encode(flow, x, context)  # what does not fit shows before the first layer changes
    layers = [module for module in flow.modules() if isinstance(module, ExplicitActNorm | GlowStep)]
    hooks = [layer.register_forward_pre_hook(_initialize_from_input) for layer in layers]
    try:
        with waiting_layers_started(flow) as started:
            encode(flow, x, context)
    finally:
        for hook in hooks:
            hook.remove()
    return sum(isinstance(layer, ExplicitActNorm) for layer in layers) + len(started)


@torch.no_grad()
def initialize_prior(
    flow: nn.Module,
    x: Tensor,
    *,
    context: Tensor | None = None,
    data_noise: float = 0.0,
    generator: torch.Generator | None = None,
) -> None:
    """Let the degenerate prior start where the latents are: its mean, if it has one, and AAᵀ = their covariance.

    From A = I a factor that is trained by gradient needs thousands of steps to come to the scale of
    the latents, because an optimizer moves each entry by no more than about the learning rate at a time.
    Correlations are shrunk to n / (n + D) of those found, so that few rows do not pretend to flat
    directions. Call it after ``initialize``, and like that before the flow is wrapped or copied.

    Args:
        flow: a flow whose base is a ``DegenerateGaussian`` of any kind of factor.
        x: data, shape (n, ...), better more rows than there are latent features D.
        context: conditioning inputs, one row for each row of ``x``.
        data_noise: σ_x of the training that is to come, in data units.
        generator: source of that noise.

    Raises:
        TypeError: the base is of another kind, or ``x`` is not of a floating dtype.
        ValueError: ``x`` is not finite or has fewer than two rows, or ``data_noise`` is negative.
    """
    base = base_of(flow)
    if not isinstance(base, DegenerateGaussian):
        raise TypeError(f"the base of the flow must be a DegenerateGaussian, got {type(base).__name__}")
    validation.two_points("x", x)
    validation.context_of(len(x), context)
    noise = validation.non_negative("data_noise", data_noise)
    first = torch.zeros(base.features, dtype=torch.float64, device=x.device)
    second = torch.zeros(base.features, base.features, dtype=torch.float64, device=x.device)
    for index in torch.arange(len(x), device=x.device).split(_ROWS):
        noisy = x[index] + noise * torch.empty_like(x[index]).normal_(generator=generator)
        z = encode(flow, noisy, None if context is None else context[index]).flatten(1).double()
        first += z.sum(0) / len(x)
        second += second_moment_of(z) * (len(z) / len(x))
    covariance = second if base.loc is None else second - torch.outer(first, first)
    shrunk = covariance * (len(x) / (len(x) + base.features))
    shrunk.diagonal().copy_(covariance.diagonal())
    if base.loc is not None:
        base.loc.copy_(first.view(base.shape))
    root = torch.linalg.cholesky(add_to_diagonal(shrunk, float(base.spread_variance)))  # a constant latent too
    base.factor.assign(root, base.spread_variance)


def _initialize_from_input(layer: nn.Module, args: tuple[Tensor, ...]) -> None:
    if isinstance(layer, ExplicitActNorm | GlowStep):  # a step never calls the actnorm that it holds
        layer.initialize(args[0])
