"""Samples of the clean data at no dimension: of the whole prior, decoded, and without the noise (Tweedie's formula)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nflows_spread import validation
from nflows_spread.chart.inverse import decoded
from nflows_spread.chart.prior_moments import gaussian_of, latent_shape
from nflows_spread.data_noise import data_noise_of
from nflows_spread.dimension.density import posterior_mean
from nflows_spread.distributions import DegeneratePrior
from nflows_spread.hosts import base_of
from nflows_spread.hosts.placement import placement_of


@torch.no_grad()
def whole_samples(
    flow: nn.Module, num_samples: int, context: Tensor | None = None, *, generator: torch.Generator | None = None
) -> Tensor:
    """x̃ + σ_x² ∇log p(x̃) of samples x̃ = f(z) of the prior, shape (num_samples, ...): the mean of x given x̃.

    Pieces of a mixture that lie at an angle have no K directions in common, and samples along K of them lead from one
    to the next; a whole sample has the noise of training in all directions, of which this takes off what is across.

    Args:
        flow: a flow of any host with a Gaussian base, or a mixture.
        num_samples: how many.
        context: conditioning inputs, one row for each sample, or one for all.
        generator: source of the randomness.
    """
    count, base = validation.positive_int("num_samples", num_samples), base_of(flow)
    context = validation.context_of(count, context, of="samples")
    noise = data_noise_of(base, None)
    if isinstance(base, DegeneratePrior):
        z = base.sample(count, generator=generator)
    else:
        mean, covariance = gaussian_of(flow)
        rows = torch.empty(count, len(mean), dtype=mean.dtype, device=mean.device).normal_(generator=generator)
        dtype = placement_of(flow).dtype or torch.get_default_dtype()
        z = (mean + rows * covariance.diagonal().sqrt()).to(dtype).view(-1, *latent_shape(base, len(mean)))
    noisy = decoded(flow, z, context)
    return posterior_mean(flow, noisy, noise=noise, context=context) if noise > 0.0 else noisy
