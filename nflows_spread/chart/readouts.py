"""Projection to K coordinates, reconstruction, samples and density on the manifold: a flow's chart in one call."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nflows_spread import validation
from nflows_spread.argument_types import typed
from nflows_spread.chart.chart import Chart
from nflows_spread.chart.inverse import explained
from nflows_spread.chart.making import BY_SIGNAL_TO_NOISE, chart_of
from nflows_spread.chart.whole_samples import whole_samples
from nflows_spread.distributions import DegeneratePrior
from nflows_spread.hosts import base_of, encode


@typed
def project(
    flow: nn.Module,
    x: Tensor,
    *,
    rank: int,
    context: Tensor | None = None,
    order: str = BY_SIGNAL_TO_NOISE,
    chart: Chart | None = None,
) -> Tensor:
    """Coordinates on the manifold, in the units of the data: ``chart_of(flow, rank=rank).coordinates(x)``.

    Each has the variance μ_k of the noisy data along it, the largest first, whatever the gauge of the latent space. Of
    a linear flow they are the principal components of the data. Those of a row depend on no other row. What is
    decomposed for them is kept until a parameter of the flow changes.

    Args:
        flow: a flow of any host with a Gaussian base.
        x: data, shape (n, ...).
        rank: K, the number of coordinates.
        context: conditioning inputs, one row for each row of ``x``, or one for all.
        order: ``"signal-to-noise"``; ``"eigenvalue"`` for the paper's (z − m) E_K (section 3), in latent units, whose
            order is a matter of gauge; or another order of ``chart_of``.
        chart: ``chart_of(flow, ...)``, of which the first K coordinates are taken, in its order. A conditional flow
            needs one that knows which contexts there are, ``chart_of(flow, context=...)``: else that at a context of
            zeros is taken for all rows.

    Returns:
        Shape (n, K), in the dtype of ``x``.

    Raises:
        TypeError, ValueError: ``x`` is no finite floating-point data of the flow, the flow has no inverse on it,
            ``rank`` is not between 1 and D, or ``chart`` is of another flow, order, or smaller rank.

    Warns:
        UserWarning: there is a context and no chart, and the order needs one; or nobody knows σ_x, see ``chart_of``.
    """
    return _of_data(flow, x, rank, order, context, chart).coordinates(x, context)


@typed
def reconstruct(
    flow: nn.Module,
    x: Tensor,
    *,
    rank: int,
    context: Tensor | None = None,
    order: str = BY_SIGNAL_TO_NOISE,
    chart: Chart | None = None,
) -> Tensor:
    """The data with all but its leading K coordinates removed, the shape of ``x``.

    Args as for ``project``. In the order ``"eigenvalue"`` it is the paper's f(m + (g(x) − m) E_K E_Kᵀ).
    """
    return _of_data(flow, x, rank, order, context, chart).reconstruct(x, context)


@typed
def sample(
    flow: nn.Module,
    num_samples: int,
    *,
    rank: int | None = None,
    context: Tensor | None = None,
    generator: torch.Generator | None = None,
    order: str = BY_SIGNAL_TO_NOISE,
    chart: Chart | None = None,
) -> Tensor:
    """Samples on the manifold: points at coordinates c_k ~ N(0, μ_k − σ_x²), or without a rank, whole ones.

    Whole samples of the prior are moved by x + σ_x² ∇log p(x), the mean of the point without noise (Tweedie's formula).
    Take them of a ``DegenerateGaussianMixture``: its pieces have no K coordinates in common, and K of the whole lead
    over bridges from one to the next. ``atlas_of(flow, x).sample(n)`` has samples of each piece by its own chart.

    Args:
        flow: a flow of any host with a Gaussian base.
        num_samples: number of samples.
        rank: K, the dimension of the manifold; by default all of the chart, or whole samples where there is none.
        context: conditioning inputs, one row for each sample, or one for all.
        generator: source of the randomness.
        order: as for ``project``; ``"eigenvalue"`` gives the paper's f(m + E_K √Λ_K ε), ε ~ N(0, I_K) (section 3).
        chart: as for ``project``.

    Returns:
        Shape (num_samples, ...).

    Raises:
        ValueError: ``order`` is given, and neither rank nor chart, or as for ``project``.

    Warns:
        UserWarning: as for ``project``; or whole samples are asked for and nobody knows σ_x: then 0 is taken.
    """
    context = validation.context_of(validation.positive_int("num_samples", num_samples), context, of="samples")
    if rank is None and chart is None:
        if order != BY_SIGNAL_TO_NOISE:
            raise ValueError(f"order {order!r} needs a rank, got none; whole samples have no order: leave it out")
        return whole_samples(flow, num_samples, context, generator=generator)
    if rank is None:
        rank = chart.rank if isinstance(chart, Chart) else 1  # what is no chart is refused below
    return _chart(flow, rank, order, context, chart).sample(num_samples, context, generator=generator)


@typed
def manifold_log_prob(
    flow: nn.Module,
    x: Tensor,
    *,
    rank: int,
    context: Tensor | None = None,
    order: str = BY_SIGNAL_TO_NOISE,
    chart: Chart | None = None,
) -> Tensor:
    """The density allocation of appendix C.2: the log-density of the coordinates, ``coordinate_log_prob`` of the chart.

    Args as for ``project``. Returns shape (n,). ``Chart.log_prob`` is the density with respect to area.

    Raises:
        ValueError: the K-th coordinate does not vary under the prior, so that there is no K-dimensional density.
    """
    return _of_data(flow, x, rank, order, context, chart).coordinate_log_prob(x, context)


def _of_data(flow: nn.Module, x: Tensor, rank: int, order: str, context: Tensor | None, chart: Chart | None) -> Chart:
    """The chart, once it is seen that the latents of the data are those of the base."""
    base = base_of(flow)
    context = validation.context_of(len(validation.points("x", x)), context)
    with explained(flow):
        z = encode(flow, x[:1], None if context is None else context[:1])
    if isinstance(base, DegeneratePrior):
        base.flatten(z)
    return _chart(flow, rank, order, context, chart)


def _chart(flow: nn.Module, rank: int, order: str, context: Tensor | None, chart: Chart | None) -> Chart:
    """The first coordinates of what is given, or of the prior's chart, which no context of a call decides."""
    if chart is not None:
        if not isinstance(chart, Chart):
            raise TypeError(f"chart must be a Chart, got {type(chart).__name__}; make it by chart_of(flow, rank=K)")
        chart.check_flow(flow)
        if order not in (BY_SIGNAL_TO_NOISE, chart.order):
            raise ValueError(f"order must be that of the chart, {chart.order!r}, got {order!r}; leave it out")
        return chart.first(rank)
    if context is None or order != BY_SIGNAL_TO_NOISE:
        return chart_of(flow, rank=rank, order=order)
    found = chart_of(flow, rank=rank, context=torch.zeros_like(context[:1]))
    validation.warn(
        "a read-out of a conditional flow must know its contexts, got those of some rows alone, on which coordinates "
        "must not depend; pass chart=chart_of(flow, context=...) with all of them, zeros are taken"
    )
    return found
