"""The number of components of a Gaussian mixture prior, chosen by the held-out likelihood of a flow's latents."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nflows_spread import validation
from nflows_spread.argument_types import typed
from nflows_spread.data_noise import data_noise_of_fit
from nflows_spread.distributions.latent_pieces import coordinates_of, leading_directions, moments_of_latents
from nflows_spread.linalg.mixture_choice import fit_pieces
from nflows_spread.prior_initialization import noisy_latents

_ROWS = 5000
"""Rows that decide: a choice, for time."""

_WITHIN = 2.0
"""Standard errors within which fewer pieces are as good: of three clusters 60 draws of 60 are
counted so, and 57 with one standard error."""

_NUMBERS = (1, 2, 4, 8, 16, 32)
"""Numbers that are tried by default: a choice, as the likelihood changes with their logarithm."""


@torch.no_grad()
@typed
def choose_pieces(
    flow: nn.Module,
    x: Tensor,
    numbers: Sequence[int] = _NUMBERS,
    *,
    context: Tensor | None = None,
    data_noise: float | None = None,
    generator: torch.Generator | None = None,
) -> int:
    """How many pieces the latents of a flow want: the fewest that are as good as the best by held-out likelihood.

    Mixtures of each number are fitted to at most 64 principal coordinates of the noisy latents, in a cross-validation,
    see ``linalg.mixture_choice.fit_pieces``. The answer is that of the flow as it is: before training that of the data,
    where a curve wants a piece for each stretch that is about straight; where pieces part late, ask when they do. It is
    for a mixture that is built then: ``swap_base(flow, DegenerateGaussianMixture([D], choose_pieces(flow, x)))``.

    Args:
        flow: a flow of any host and base.
        x: data, shape (n, ...), of which at most 5 000 rows, drawn at random, are used.
        numbers: to choose from, tried in order up to the first that is clearly worse than the best; those above the
            rows of a training fold are left out.
        context: conditioning inputs, one row for each row of ``x``, or one for all.
        data_noise: σ_x of the training, in data units; by default what the base knows, or 0.
        generator: source of that noise, of the rows, of the folds and of the starts.

    Raises:
        TypeError: ``x`` is no floating-point tensor, or a number is no integer.
        ValueError: ``x`` is not finite or has fewer than two rows, no number is left to choose, or one is below 1.

    Example:
        >>> from nflows_spread.models import coupling_flow
        >>> x = torch.randn(300, 2) + 20.0 * torch.arange(3).repeat(100).unsqueeze(1)
        >>> choose_pieces(coupling_flow(2, layers=2), x, (1, 2, 3, 4))
        3
    """
    validation.two_points("x", x)
    context = validation.context_of(len(x), context)
    asked = list(validation.sizes("numbers", numbers))
    if not asked:
        raise ValueError(f"numbers must have at least one to choose from, got {numbers!r}")
    noise = data_noise_of_fit(flow, data_noise)
    if len(x) > _ROWS:
        chosen = torch.empty(len(x), device=x.device).uniform_(generator=generator).argsort()[:_ROWS]
        x, context = x[chosen], None if context is None else context[chosen]
    latents = noisy_latents(flow, x, context, noise, generator)
    moments = moments_of_latents(latents)
    coordinates = coordinates_of(latents, moments.mean, leading_directions(moments.covariance, generator))
    return len(fit_pieces(coordinates, asked, within=_WITHIN, generator=generator).weights)
