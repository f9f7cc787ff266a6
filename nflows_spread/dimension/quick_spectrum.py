"""A fast approximation of the signal-to-noise spectrum of many features, for monitoring during training."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nflows_spread import validation
from nflows_spread.dimension.latents import Latents, without_wishart_bias
from nflows_spread.dimension.spectra import MOST_FEATURES_OF_JACOBIANS
from nflows_spread.hosts import base_of
from nflows_spread.linalg.moments import add_to_diagonal, second_moment_of
from nflows_spread.linalg.signal_to_noise import (
    generalised_eigh,
    log_pointwise_signal_to_noise,
    low_rank_generalised_eigenvalues,
)

_POINTS = 256
"""Points whose latents are taken, at most: a choice, for time."""

_JACOBIANS = 4
"""Points at which J is taken. A choice, with which it agrees with ``intrinsic_dimension`` on the same rows in tests."""

_RESPONSES_PER_FEATURE = 1.5
"""Draws of noise for each feature, beyond as many features as get Jacobians: a choice, enough for N to have a root."""


@torch.no_grad()
def quick_signal_to_noise(
    flow: nn.Module,
    x: Tensor,
    *,
    data_noise: float,
    spread_variance: float,
    context: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """The μ of ``spectrum`` from at most 256 points, 4 Jacobians, and no more decompositions than those take.

    S is the covariance of the latents without noise plus σ_x² N, what noise adds to it to first order, so that few
    points do and pure noise has μ = σ_x². Beyond 1024 features N is the mean response to 1.5 D draws of noise, and the
    only decomposition of a D×D matrix is one of Cholesky: that of the latents has no more rank than there are points.

    Args:
        flow: a flow whose base is Gaussian, as for ``spectrum``.
        x: data like that it was trained on, shape (n, ...).
        data_noise: σ_x, in data units.
        spread_variance: σ_Z², which is added to S where σ_x is 0.
        context: conditioning inputs, one row for each row of ``x``, or one for all.
        generator: source of the noise and the directions.

    Returns:
        Shape (D,), in descending order, float64.

    Raises:
        ValueError: ``x`` has fewer than two rows or is not finite, or the flow is not invertible on it.
    """
    validation.two_points("x", x)
    part = None if context is None else context[:_POINTS]
    latents = Latents(flow, base_of(flow), x[:_POINTS], part, data_noise, generator)
    points, noise_variance = latents.without_noise(), data_noise**2
    added = 0.0 if noise_variance > 0.0 else spread_variance
    if latents.features <= MOST_FEATURES_OF_JACOBIANS:
        jacobians = latents.jacobians(_JACOBIANS)
        response = (jacobians @ jacobians.mT).mean(0)
        signal = add_to_diagonal(second_moment_of(points) + noise_variance * response, added)
        return log_pointwise_signal_to_noise(signal, jacobians).mean(0).exp()
    latents.pairs = int(_RESPONSES_PER_FEATURE * latents.features)
    response = latents.response()
    if added > 0.0:
        signal = add_to_diagonal(second_moment_of(points), added)
        found = generalised_eigh(signal, response)[0]
    else:
        found = noise_variance + low_rank_generalised_eigenvalues(points.mT / len(points) ** 0.5, response)
    return without_wishart_bias(found, noise_variance=noise_variance, rows=latents.pairs)
