"""How an atlas is read off a trained flow with a mixture as prior: rows of each piece, its spectrum and its chart."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from nflows_spread import validation
from nflows_spread.argument_types import typed
from nflows_spread.atlas.atlas import Atlas, AtlasPiece
from nflows_spread.atlas.components import components_of, overlaps
from nflows_spread.chart import Chart, LatentMaps, chart_of
from nflows_spread.chart.inverse import encoded
from nflows_spread.chart.making import BY_SIGNAL_TO_NOISE
from nflows_spread.chart.ranges import Ranges
from nflows_spread.data_noise import data_noise_of
from nflows_spread.dimension.rules import IntrinsicDimension, decide
from nflows_spread.dimension.spectra import spectrum
from nflows_spread.distributions import DegenerateGaussianMixture
from nflows_spread.hosts import base_of, swap_base

_FEWEST_ROWS = 10
"""Rows that a piece must have to be read: a choice. Fewer span few directions, and their covariance is off by half."""

_ROWS = 1024
"""Rows that are encoded together: a choice, for memory."""


@torch.no_grad()
@typed
def atlas_of(
    flow: nn.Module,
    x: Tensor,
    *,
    data_noise: float | None = None,
    rule: str = "signal_to_noise",
    context: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Atlas:
    """The atlas of a trained flow with a ``DegenerateGaussianMixture``: dimension and chart of each piece of its prior.

    Each row of data is drawn to one piece m by its responsibilities, p(m | g(x)) ∝ w_m N(g(x); m_m, A_m A_mᵀ + σ_Z² I),
    so that moments over the rows of a piece are those by responsibilities, in the mean. Over these rows the piece is
    read as a flow with one Gaussian is: its spectrum μ, S_m v = μ N_m v, its dimension by the rule, and its chart
    (``chart_of``) of as many coordinates as the component has that it belongs to (``components_of``). A mixture
    of one piece gives the plain chart. A piece that gets fewer than ten rows is left out, and the others have its rows.

    Args:
        flow: a flow of any host, in evaluation mode.
        x: data like that it was trained on, shape (n, ...), some hundred rows for each piece or component.
        data_noise: σ_x, in data units; by default what the base is trained with.
        rule: by which dimensions are read, see ``nflows_spread.dimension.rules``.
        context: conditioning inputs, one row for each row of ``x``, or one for all.
        generator: source of the rows' pieces, of the noise on ``x`` and of random directions.

    Raises:
        TypeError: the base is no ``DegenerateGaussianMixture``, or ``x`` is of no floating dtype.
        ValueError: ``x`` is not finite or has fewer than two rows, no piece gets ten rows, there is no such rule, or
            the flow is far from invertible on ``x``.

    Warns:
        UserWarning: nobody knows σ_x; 0 is taken.

    Example:
        >>> from nflows_spread.models import coupling_flow
        >>> flow = coupling_flow(3, layers=2, base=DegenerateGaussianMixture([3], 2))
        >>> x = torch.cat([torch.randn(99, 3) * torch.tensor([1.0, 0.0, 0.0]), 5.0 + torch.randn(99, 3)])
        >>> base_of(flow).fit_pieces(flow.transform_to_noise(x))
        >>> atlas = atlas_of(flow, x, data_noise=0.05)
        >>> sorted(component.dimension for component in atlas.components)
        [IntrinsicDimension(1, ...), IntrinsicDimension(3, ...)]
    """
    base = base_of(flow)
    if not isinstance(base, DegenerateGaussianMixture):
        raise TypeError(
            f"the base of the flow must be a DegenerateGaussianMixture, got {type(base).__name__}; "
            "chart_of and intrinsic_dimension read a flow with one Gaussian"
        )
    context = validation.context_of(len(validation.two_points("x", x)), context)
    noise = data_noise_of(base, data_noise)
    latents = _latents(flow, x, context)
    prior, labels = _drawn(base, latents, generator)
    estimates: list[IntrinsicDimension | None] = []
    rows, flows = [], []
    for m in range(base.pieces):
        rows.append((labels == m).nonzero().flatten())
        flows.append(swap_base(flow, prior.piece(m)))
        given = _part(context, rows[m])
        if not len(rows[m]):
            estimates.append(None)
            continue
        of = spectrum(flows[m], x[rows[m]], context=given, data_noise=noise, generator=generator)
        estimates.append(decide(of, rule))
    weights = prior.weights
    components = components_of(overlaps(prior.responsibilities(latents)), weights, estimates)
    of_piece = {m: number for number, component in enumerate(components) for m in component.pieces}
    pieces = []
    for m, estimate in enumerate(estimates):
        number, chart, ranges = of_piece.get(m), None, None
        if number is not None:
            rank, own = min(int(components[number].dimension), len(rows[m])), rows[m]
            chart = _chart(flows[m], x[own], rank, _part(context, own), noise, generator)
            ranges = Ranges.of(chart.maps.coordinates(latents[own]))
        pieces.append(AtlasPiece(float(base.weights[m]), len(rows[m]), estimate, chart, ranges, number))
    return Atlas(flow, prior, tuple(pieces), components)


def _latents(flow: nn.Module, x: Tensor, context: Tensor | None) -> Tensor:
    parts = torch.arange(len(x), device=x.device).split(_ROWS)
    return torch.cat([encoded(flow, x[index], _part(context, index)) for index in parts])


def _drawn(
    base: DegenerateGaussianMixture, latents: Tensor, generator: torch.Generator | None
) -> tuple[DegenerateGaussianMixture, Tensor]:
    """The prior without the pieces that have too few rows, and the piece of each row, (n,), drawn by responsibility."""
    prior = copy.deepcopy(base).requires_grad_(False)
    if base.pieces == 1:
        return prior, torch.zeros(len(latents), dtype=torch.long, device=latents.device)
    while True:
        labels = torch.multinomial(prior.responsibilities(latents), 1, generator=generator).squeeze(1)
        counts = torch.bincount(labels, minlength=base.pieces)
        few = (counts < _FEWEST_ROWS) & (prior.weights > 0.0)
        if not bool(few.any()):
            return prior, labels
        smallest = int(torch.where(few, counts, len(latents) + 1).argmin())
        prior.logits[smallest] = -torch.inf
        if not bool((prior.logits > -torch.inf).any()):
            raise ValueError(
                f"x must have at least {_FEWEST_ROWS} rows for one of the {base.pieces} pieces of the prior, got "
                f"{len(latents)} rows; pass more rows, or fit the pieces to them by initialize_prior"
            )


def _chart(
    flow: nn.Module, x: Tensor, rank: int, context: Tensor | None, noise: float, generator: torch.Generator | None
) -> Chart:
    """The chart of a piece; of no coordinates, the point at the mean of its latents, where the rows do not vary."""
    if rank > 0:
        return chart_of(flow, x, rank=rank, context=context, data_noise=noise, generator=generator)
    latents = encoded(flow, x, context)
    mean = latents.flatten(1).double().mean(0)
    none = mean.new_zeros(len(mean), 0)
    return Chart(flow, LatentMaps(mean, none, none.mT), mean.new_zeros(0), noise, BY_SIGNAL_TO_NOISE, latents.shape[1:])


def _part(context: Tensor | None, index: Tensor) -> Tensor | None:
    return None if context is None else context[index.to(context.device)]
