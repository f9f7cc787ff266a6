"""How a chart is made of a trained flow: by signal-to-noise, which no gauge changes, eigenvalue, or energy."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nflows_spread import validation
from nflows_spread.argument_types import typed
from nflows_spread.chart.chart import Chart
from nflows_spread.chart.directions import ORDERS as OF_DIRECTIONS
from nflows_spread.chart.directions import directions_of
from nflows_spread.chart.inverse import check_inverse
from nflows_spread.chart.latent_maps import LatentMaps
from nflows_spread.chart.prior_decomposition import prior_decomposition
from nflows_spread.chart.prior_moments import latent_shape, mean_of, not_gaussian
from nflows_spread.chart.prior_pieces import prior_pieces
from nflows_spread.data_noise import data_noise_of
from nflows_spread.dimension.latents import Latents, without_wishart_bias
from nflows_spread.distributions import DegeneratePrior
from nflows_spread.hosts import base_of, variances_of_base
from nflows_spread.linalg.moments import root_mean_variance
from nflows_spread.linalg.signal_to_noise import generalised_eigh

BY_SIGNAL_TO_NOISE = "signal-to-noise"

ORDERS = (BY_SIGNAL_TO_NOISE, *OF_DIRECTIONS)
"""What coordinates can be ordered by."""


@torch.no_grad()
@typed
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
        context: conditioning inputs of a conditional flow: one row for each row of ``x`` or one for all, or without
            ``x`` all of those over which the response is averaged, such as those of the data. One chart serves them
            all.
        data_noise: σ_x, in data units; by default what the base is trained with.
        generator: source of the noise on ``x`` and of random directions; without one two calls with ``x`` differ by
            what that noise does.

    Raises:
        TypeError: the base is not Gaussian, or ``x`` is of no floating dtype.
        ValueError: ``rank`` is not between 1 and D, ``order`` is none of these, the prior is not finite, or ``x`` is
            not finite, has fewer than two rows or than ``rank``, does not vary, is far from what the flow decodes its
            latents to, or is missing where the order needs it.

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
    features = _features_of(flow, base, x)
    kept = features if rank is None else validation.rank_within(rank, features)  # before anything is asked of the flow
    measured = order != OF_DIRECTIONS[0] or not isinstance(base, DegeneratePrior)
    if x is not None and measured:
        _check_measurable(flow, x, context, rank)
    if order != BY_SIGNAL_TO_NOISE:
        return _of_directions(flow, base, x, kept, order, context, generator)
    noise = data_noise_of(base, data_noise)
    if x is None:
        found = prior_decomposition(flow, context)
        maps, values = LatentMaps(found.mean, found.forth, found.back), found.values
    else:
        latents = Latents(flow, base, x, context, noise, generator)
        mean, covariance, response = latents.moments_and_response()
        values, vectors = generalised_eigh(covariance, response)
        # N is known from so many random directions only, and W with it
        known = without_wishart_bias(values, noise_variance=noise**2, rows=latents.pairs)
        scale = torch.where(values > 0.0, known / values, 1.0).sqrt()
        maps, values = LatentMaps(mean, vectors * scale, vectors.mT @ response / scale.unsqueeze(1)), known
    maps = maps.copied(kept)
    pieces = prior_pieces(base, maps, data_noise=noise)
    return Chart(flow, maps, values[:kept].clone(), noise, order, latent_shape(base, features), pieces)


def _features_of(flow: nn.Module, base: nn.Module, x: Tensor | None) -> int:
    """D: of the base if it says so, else of the data."""
    if isinstance(base, DegeneratePrior):
        return base.features
    variances = variances_of_base(flow)
    if variances is not None:
        return len(variances)
    return not_gaussian(base) if x is None else validation.points("x", x)[0].numel()


def _check_measurable(flow: nn.Module, x: Tensor, context: Tensor | None, rank: int | None) -> None:
    """``ValueError`` for data from which no chart can be measured."""
    rows = len(validation.two_points("x", x))
    if rank is not None and rows < rank:
        raise ValueError(
            f"x must have at least as many rows as the chart has coordinates, {rank}, got {rows}; pass more rows, or a "
            "smaller rank, or leave x out to ask the prior"
        )
    spread, size = float(root_mean_variance(x.double())), float(x.abs().max())
    if spread <= torch.finfo(x.dtype).eps * size:
        raise ValueError(
            f"x must vary for a chart to be measured from it, got {rows} rows that are the same to within rounding; "
            "pass rows that differ, or leave x out to ask the prior"
        )
    check_inverse(flow, x, validation.context_of(rows, context))


def _of_directions(
    flow: nn.Module,
    base: nn.Module,
    x: Tensor | None,
    rank: int,
    order: str,
    context: Tensor | None,
    generator: torch.Generator | None,
) -> Chart:
    if order == OF_DIRECTIONS[0] and isinstance(base, DegeneratePrior):
        mean, (values, vectors) = mean_of(base), base.eigh()
        leading = vectors[:, :rank].clone()
        maps = LatentMaps(mean, leading, leading.mT)
        pieces = prior_pieces(base, maps, data_noise=0.0)
        return Chart(flow, maps, values[:rank].clone(), 0.0, order, base.shape, pieces)
    if x is None:
        raise ValueError(f"order {order!r} needs data, got none; pass x to chart_of")
    directions = directions_of(flow, x, context=context, generator=generator)
    maps = directions.maps(rank, order)
    double = LatentMaps(maps.mean.double(), maps.forth.double(), maps.back.double())
    variances = directions.variances_of(rank, order).double()
    pieces = prior_pieces(base, double, data_noise=0.0)
    return Chart(flow, double, variances, 0.0, order, latent_shape(base, len(directions.mean)), pieces)
