"""Data-dependent initialization of the prior: it takes its first values, or its last, from the latents of data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from functools import partial

import torch
from torch import Tensor, nn

from nflows_spread import validation
from nflows_spread.argument_types import typed
from nflows_spread.data_noise import data_noise_of_fit
from nflows_spread.distributions import DegenerateGaussian, DegenerateGaussianMixture
from nflows_spread.distributions.latent_pieces import LatentMoments, moments_of_latents
from nflows_spread.hosts import base_of, encode
from nflows_spread.hosts.evaluation_mode import evaluating
from nflows_spread.hosts.first_batch import initializers_of_waiting_layers
from nflows_spread.linalg.shrinkage import root_of_moment

_ROWS = 512
"""Rows that are encoded together for the prior's covariance: a choice, for memory."""

_HELD = 2**27
"""Numbers in latents up to which they are held as the flow gives them, 512 MB in float32, and not encoded up to
seventeen times: a choice. They are as many as in the data."""


@torch.no_grad()
@typed
def initialize_prior(
    flow: nn.Module,
    x: Tensor,
    *,
    context: Tensor | None = None,
    data_noise: float | None = None,
    warm_start: bool = False,
    generator: torch.Generator | None = None,
) -> None:
    """Let the degenerate prior start where the latents are: its mean, if it has one, and AAᵀ = their covariance.

    From A = I a factor that is trained by gradient needs thousands of steps to come to the scale of
    the latents, because an optimizer moves each entry by no more than about the learning rate at a time.
    Correlations are shrunk to n / (n + D) of those found, so that few rows do not pretend to flat
    directions; with a warm start, and for a factor that has a shrinkage of its own, they are taken as
    found where there are more rows than D. A ``DegenerateGaussianMixture`` takes pieces of the latents by
    expectation maximisation, see its ``fit_pieces``. Call it after ``initialize``, and like that before the
    flow is wrapped or copied.

    Args:
        flow: a flow whose base is a ``DegenerateGaussian`` of any kind of factor, or a ``DegenerateGaussianMixture``.
        x: data, shape (n, ...), better more rows than there are latent features D.
        context: conditioning inputs, one row for each row of ``x``, or one for all.
        data_noise: σ_x of the training that is to come, or that was, in data units, which the base then knows; by
            default what the base knows, or 0.
        warm_start: after a training: pieces of a mixture go on from where they are, and close dependences are kept.
        generator: source of that noise, and of the starts of pieces.

    Raises:
        TypeError: the base is of another kind, or ``x`` is not of a floating dtype.
        ValueError: ``x`` is not finite or has fewer than two rows, ``data_noise`` is negative, or the flow has latents
            of another size than the base; then the base is as it was.
    """
    base = base_of(flow)
    if not isinstance(base, DegenerateGaussian | DegenerateGaussianMixture):
        raise TypeError(f"the base of the flow must be a DegenerateGaussian, got {type(base).__name__}")
    validation.two_points("x", x)
    context = validation.context_of(len(x), context)
    noise = data_noise_of_fit(flow, data_noise)
    fitting = partial(_of_its_size, base)
    if isinstance(base, DegenerateGaussianMixture):
        latents_of = noisy_latents(flow, x, context, noise, generator)
        base.fit_pieces(lambda: map(fitting, latents_of()), warm_start=warm_start, generator=generator)
    else:
        moments = moments_of_latents(lambda: map(fitting, _noisy_latents(flow, x, context, noise, generator)))
        _take_moments(base, moments, warm_start=warm_start)
    if data_noise is not None:
        base.data_noise = noise


def _of_its_size(base: DegenerateGaussian | DegenerateGaussianMixture, z: Tensor) -> Tensor:
    """Latents as rows, (n, D), which are of the base's size."""
    if z.shape[1] != base.features:
        raise ValueError(
            f"the base must have as many features as the flow has latents, {z.shape[1]}, got {base.features}; build "
            f"{type(base).__name__} with the shape of the flow's latents"
        )
    return z


def _take_moments(base: DegenerateGaussian, moments: LatentMoments, *, warm_start: bool) -> None:
    """The mean of latents, if the prior has one, and AAᵀ = their covariance, or their second moment without it."""
    known = warm_start or getattr(base.factor, "shrinkage", 0.0) > 0.0
    moment = moments.covariance if base.loc is not None else moments.covariance + moments.mean.outer(moments.mean)
    root = root_of_moment(moment, moments.rows, float(base.spread_variance), known=known)
    if base.loc is not None:
        base.loc.copy_(moments.mean.view(base.shape))
    base.factor.assign(root, base.spread_variance)


def noisy_latents(
    flow: nn.Module, x: Tensor, context: Tensor | None, noise: float, generator: torch.Generator | None
) -> Callable[[], Iterable[Tensor]]:
    """g(x + σ_x ε) as rows in blocks, the same at each call; those of few numbers are encoded once and held."""
    context = validation.context_of(len(x), context)
    if x.numel() > _HELD:
        source = generator or torch.Generator(x.device).manual_seed(int(torch.randint(2**62, ())))
        begun = source.get_state()
        for block in x.split(_ROWS):  # what is drawn after it is what it is where latents are held
            torch.empty_like(block).normal_(generator=source)
        return lambda: _noisy_latents(flow, x, context, noise, torch.Generator(x.device).set_state(begun))
    held = list(_noisy_latents(flow, x, context, noise, generator))
    return lambda: held


def _noisy_latents(
    flow: nn.Module, x: Tensor, context: Tensor | None, noise: float, generator: torch.Generator | None
) -> Iterator[Tensor]:
    """g(x + σ_x ε) as rows, (n, D), so many at a time, in evaluation mode: a batch norm learns nothing of it.

    But of a flow that trains and has layers which wait for their first batch, the first of these is that batch.
    """
    waits = flow.training and bool(initializers_of_waiting_layers(flow))
    for index in torch.arange(len(x), device=x.device).split(_ROWS):
        noisy = x[index] + noise * torch.empty_like(x[index]).normal_(generator=generator)
        with nullcontext() if waits else evaluating(flow):
            latents = encode(flow, noisy, None if context is None else context[index]).flatten(1)
        waits = False
        yield latents
