"""How a chart is made of a trained flow: by signal-to-noise, which no gauge changes, eigenvalue, or energy."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nflows_spread import validation
from nflows_spread.chart.chart import Chart
from nflows_spread.chart.directions import ORDERS as OF_DIRECTIONS
from nflows_spread.chart.directions import directions_of
from nflows_spread.chart.latent_maps import LatentMaps
from nflows_spread.chart.prior_moments import prior_moments
from nflows_spread.data_noise import data_noise_of
from nflows_spread.dimension.latents import Latents, without_wishart_bias
from nflows_spread.distributions import DegeneratePrior
from nflows_spread.hosts import base_of
from nflows_spread.hosts.bases import describe_base
from nflows_spread.linalg.signal_to_noise import generalised_eigh

BY_SIGNAL_TO_NOISE = "signal-to-noise"

ORDERS = (BY_SIGNAL_TO_NOISE, *OF_DIRECTIONS)
"""What coordinates can be ordered by."""


@torch.no_grad()
def chart_of(
    flow: nn.Module,
    x: Tensor | None = None,
    *,
    rank: int | None = None,
    order: str = BY_SIGNAL_TO_NOISE,
    context: Tensor | None = None,
    data_noise: float | None = None,
    generator: torch.Generator | None = None,
) -> Chart:
    """The chart of a trained flow: its K leading coordinates.

    With S the covariance of the latents and N = E[J Jᵀ] their response to data noise, S w = μ N w and WᵀNW = I (the
    eigenproblem of ``spectrum``), coordinates are Wᵀ(z − m): data noise has the variance σ_x² in each, and the noisy
    data μ_k, in data units. Any linear gauge of the latent space gives the same ones, up to signs. Without data S is
    AAᵀ and N is taken under the prior, so that a chart is a property of the flow alone; with data both are measured.

    Args:
        flow: a flow of any host with a Gaussian base, in evaluation mode.
        x: data like that it was trained on, shape (n, ...), from which to measure; by default the prior is asked.
        rank: K; by default all D.
        order: ``"signal-to-noise"``; ``"eigenvalue"``, the paper's eigenvectors of AAᵀ by Λ, whose order is a matter of
            gauge; ``"energy"`` and ``"principal energy"``, see ``directions_of``, which need ``x``.
        context: conditioning inputs: one row for each row of ``x``, or some, over which the response is averaged.
        data_noise: σ_x, in data units; by default what the base is trained with.
        generator: source of the noise on ``x`` and of random directions.

    Raises:
        TypeError: the base is not Gaussian, or ``x`` is of no floating dtype.
        ValueError: ``rank`` is not between 1 and D, ``order`` is none of these, or ``x`` is not finite, has fewer than
            two rows, or is missing where the order needs it.

    Warns:
        UserWarning: nobody knows σ_x; 0 is taken. Not in the order ``"eigenvalue"``, which does not need it.

    Example:
        >>> from nflows_spread.models import coupling_flow
        >>> flow = coupling_flow(3, layers=2)
        >>> chart = chart_of(flow, rank=2, data_noise=0.1)
        >>> chart.coordinates(torch.randn(5, 3)).shape, chart.sample(4).shape
        (torch.Size([5, 2]), torch.Size([4, 3]))
    """
    if order not in ORDERS:
        raise ValueError(f"order must be one of {', '.join(ORDERS)}, got {order!r}")
    base = base_of(flow)
    if order != BY_SIGNAL_TO_NOISE:
        return _of_directions(flow, base, x, rank, order, generator)
    noise = data_noise_of(base, data_noise)
    if x is None:
        mean, covariance, response = prior_moments(flow, context)
        values, vectors = generalised_eigh(covariance, response)
    else:
        latents = Latents(flow, base, validation.two_points("x", x), context, noise, generator)
        mean, covariance, response = latents.moments_and_response()
        values, vectors = generalised_eigh(covariance, response)
    kept = len(mean) if rank is None else validation.rank_within(rank, len(mean))
    maps = LatentMaps(mean, vectors, vectors.mT @ response).first(kept)
    if x is not None:  # N is known from so many random directions only, and W with it
        known = without_wishart_bias(values, noise_variance=noise**2, rows=latents.pairs)
        scale = (known / values.clamp_min(torch.finfo(values.dtype).tiny)).sqrt()[:kept]
        maps, values = LatentMaps(mean, maps.forth * scale, maps.back / scale.unsqueeze(1)), known
    return Chart(flow, maps, values[:kept], noise, order, _shape_of(base, mean))


def _of_directions(
    flow: nn.Module, base: nn.Module, x: Tensor | None, rank: int | None, order: str, generator: torch.Generator | None
) -> Chart:
    if order == OF_DIRECTIONS[0] and isinstance(base, DegeneratePrior):
        mean = base.mean().flatten().double()
        kept = len(mean) if rank is None else validation.rank_within(rank, len(mean))
        values, vectors = base.eigh()
        leading = vectors[:, :kept]
        return Chart(flow, LatentMaps(mean, leading, leading.mT), values[:kept], 0.0, order, base.shape)
    if x is None:
        raise ValueError(f"order {order!r} needs data, got none; pass x to chart_of")
    directions = directions_of(flow, x, generator=generator)
    kept = len(directions.mean) if rank is None else rank
    maps = directions.maps(kept, order)
    double = LatentMaps(maps.mean.double(), maps.forth.double(), maps.back.double())
    variances = directions.variances_of(kept, order).double()
    return Chart(flow, double, variances, 0.0, order, _shape_of(base, directions.mean))


def _shape_of(base: nn.Module, mean: Tensor) -> torch.Size:
    """Of one latent, as its base describes it, or a vector."""
    description = describe_base(base)
    return torch.Size(mean.shape if description is None else description["shape"])
