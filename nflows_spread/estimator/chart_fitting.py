"""The chart at K: principal components, these with a curved decoder, or a lifted flow, by what held-out rows say."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace

import torch
from nflows.distributions import StandardNormal
from nflows.flows import Flow
from torch import Tensor

from nflows_spread.chart import Chart, LatentMaps
from nflows_spread.chart.tangents import tangents
from nflows_spread.estimator.chart_training import (
    TRUSTED,
    ChartData,
    curved_decoder_at,
    kept_neighbours,
    lifted_flow_at,
)
from nflows_spread.estimator.nested_chart import decoder_of, nested_chart, ordered_chart, regress_last_layer
from nflows_spread.estimator.obstruction import Topology
from nflows_spread.estimator.paired_comparison import clearly_above
from nflows_spread.estimator.recipe import Recipe
from nflows_spread.estimator.training_device import CPU
from nflows_spread.linalg.eigen import eigh_descending, principal_axes
from nflows_spread.linalg.moments import covariance_of
from nflows_spread.models.lifted import LinearAndNet, lifted_couplings
from nflows_spread.transforms.lifted import LiftedCouplings
from nflows_spread.transforms.projected_encoder import ProjectedEncoder

PCA, CURVED_DECODER, LIFTED_FLOW = "PCA", "PCA with a curved decoder", "lifted flow"
"""The kinds of chart, as ``chart_kind_`` has them."""

BY_VARIANCE = "variance"
"""The order of the coordinates: by their principal axes."""

_COMPARED, _AMONG = 500, 1000
"""Held-out rows that are compared, and rows among which their neighbours are sought, at most: choices, for time."""

_FAR = 3.0
"""Distances of rows from their reconstructions over the noise, from which on noise is no reason: a choice."""

_FLAT = 1e-6
"""Standard deviations below this are not scaled up, in units of the flow: a choice, above rounding errors."""

_METRIC_ROWS = 200
"""Rows over which the metric of a code is averaged, at most: a choice, for time."""

_LEAST_METRIC = 1e-6
"""The least eigenvalue of that metric over the largest: a bound; not measured."""

_FEWEST_COMPARED = 10
"""Held-out rows, below which nothing is compared and principal components are taken: a choice."""


@dataclass(frozen=True)
class ChartAtRank:
    """A chart of K coordinates, and what held-out rows say of it.

    Attributes:
        chart: in units of the flow, float64.
        kind: how it was made: ``"PCA"``, ``"PCA with a curved decoder"`` or ``"lifted flow"``.
        errors: root mean squared error of reconstructions from the first 1 … K coordinates, of held-out rows, over the
            root of the total variance, (K,), float64.
        beyond_noise: share of the held-out rows that are farther from their reconstructions than three times the noise.
        topology: tears and pieces that rows at these coordinates show.
    """

    chart: Chart
    kind: str
    errors: Tensor
    beyond_noise: float
    topology: Topology


@dataclass(frozen=True)
class _Candidate:
    """A chart with the squared error and the trustworthiness of each compared row, (n,), float64."""

    chart: Chart
    kind: str
    squares: Tensor
    trust: Tensor


def chart_at(
    train: Tensor,
    held_out: Tensor,
    rank: int,
    *,
    noise: float,
    recipe: Recipe,
    generator: torch.Generator,
    max_minutes: float = math.inf,
    device: torch.device = CPU,
) -> ChartAtRank:
    """The chart at K that reconstructs best, and is below principal components in nothing that held-out rows show.

    A lifted flow has coordinates of its own, which start at principal components, or at geodesic coordinates where
    principal components put points together that are none: at a trustworthiness below 0.99. It is taken if the held-out
    rows are reconstructed better by three standard errors of the differences row by row, and their neighbours are kept
    no worse, from a geodesic start better by three standard errors too. Otherwise the coordinates are principal
    components, and a decoder with a net is taken by the same rule for errors in the place of the linear one.

    Args:
        train: rows, in units of the flow, about 0, (n, D).
        held_out: rows by which to stop and, the first 500 of them, to choose and to tell errors, (m, D).
        rank: K.
        noise: standard deviation of noise in each column, down to which principal components need no rival.
        recipe: the numbers of the training.
        generator: source of all randomness.
        max_minutes: time that is left.
        device: where to train.
    """
    deadline = time.monotonic() + 60.0 * max_minutes
    data_dtype, train, held_out = train.dtype, train.double(), held_out.double()
    rows = torch.cat([held_out, train])
    axes, scale = principal_axes(rows, rank)
    compared, among = held_out[:_COMPARED], rows[: max(_AMONG, min(len(held_out), _COMPARED))]
    pca = _candidate(_linear(axes, rows), PCA, compared, among)
    total = max(float(rows.square().sum(1).mean()), torch.finfo(torch.float64).tiny)
    chosen = pca
    if float(pca.squares.mean()) > noise**2 * total and rank < rows.shape[1] and len(compared) >= _FEWEST_COMPARED:
        parts = [part.to(data_dtype) for part in (train, held_out, axes, scale.clamp_min(_FLAT))]
        data = ChartData(parts[0], parts[1], parts[2], parts[3], device)
        limits = pca.chart.reconstruction_error(compared)
        trusted = float(pca.trust.mean()) >= TRUSTED
        couplings = lifted_flow_at(data, recipe, geodesic=not trusted, deadline=deadline, generator=generator).double()
        regress_last_layer(couplings, train, compared)
        couplings = _projected(couplings)
        found = _candidate(chart_of_code(couplings, rows), LIFTED_FLOW, compared, among)
        keeps = found.trust.mean() >= pca.trust.mean() if trusted else clearly_above(found.trust, pca.trust)
        if clearly_above(pca.squares, found.squares) and bool(keeps):
            nested = ordered_chart(found.chart, couplings, train, compared, limits=limits)
            chosen = replace(found, chart=nested)
        if chosen is pca:
            couplings = curved_decoder_at(data, recipe, deadline=deadline, generator=generator).double()
            regress_last_layer(couplings, train, compared)
            found = _candidate(chart_of_code(couplings, rows), CURVED_DECODER, compared, among)
            if clearly_above(pca.squares, found.squares):
                principal = LinearAndNet(axes.mT, ())
                nested = nested_chart(found.chart, couplings, train, compared, principal=principal)
                chosen = replace(found, chart=nested)
    # what principal components of all rows do on others is seen from those of the training alone
    shown = _linear(principal_axes(train, rank)[0], train) if chosen is pca else chosen.chart
    errors = shown.reconstruction_error(compared) / total**0.5
    with torch.no_grad():
        distances = (shown.reconstruct(compared) - compared).norm(dim=1)
        topology = Topology.of(among, chosen.chart.coordinates(among))
    beyond = float((distances > _FAR * noise * rows.shape[1] ** 0.5).double().mean())
    return ChartAtRank(chosen.chart, chosen.kind, errors, beyond, topology)


def _candidate(chart: Chart, kind: str, compared: Tensor, among: Tensor) -> _Candidate:
    with torch.no_grad():
        coordinates = chart.coordinates(among)
        squares = (chart.points(coordinates[: len(compared)]) - compared).square().sum(1)
        trust = kept_neighbours(compared, coordinates[: len(compared)], among, coordinates)
    return _Candidate(chart, kind, squares, trust)


def _linear(axes: Tensor, x: Tensor) -> Chart:
    """The chart of the projection on axes (D, K)."""
    return chart_of_code(lifted_couplings(axes, encoder_features=(), decoder_features=()), x)


def _projected(couplings: LiftedCouplings) -> LiftedCouplings:
    """The same decoder, and codes nearer to its nearest points."""
    encoder = ProjectedEncoder(couplings.encoder, decoder_of(couplings))
    return LiftedCouplings(encoder, couplings.decoder, features=couplings.features, rank=couplings.rank)


def chart_of_code(couplings: LiftedCouplings, x: Tensor) -> Chart:
    """The chart whose coordinates are the code in the units of the data, on its principal axes over rows; float64.

    A code may be wide along one direction of the manifold and narrow along another at no cost of reconstructions. The
    linear map that makes its mean metric E[JᵀJ] that of the data, J the Jacobian of the decoder, leaves neighbours as
    near as they are, on average. In float32 distances that are equal in the data would not be in as many coordinates.
    """
    features, rank = couplings.features, couplings.rank
    flow = Flow(couplings, StandardNormal([features + rank])).double().eval().requires_grad_(False)
    with torch.no_grad():
        code = couplings.encoder(x)
    columns = tangents(couplings.decoder, code[:_METRIC_ROWS])
    values, axes = eigh_descending((columns @ columns.mT).mean(0))
    values = values.clamp_min(_LEAST_METRIC * values[:1].clamp_min(torch.finfo(values.dtype).tiny))
    scale, back = (axes * values**power @ axes.mT for power in (0.5, -0.5))
    variances, turn = eigh_descending(scale @ covariance_of(code) @ scale)
    mean = torch.cat([code.new_zeros(features), code.mean(0)])
    beside = code.new_zeros(features, rank)
    return Chart(
        flow,
        LatentMaps(mean, torch.cat([beside, scale @ turn]), torch.cat([beside.mT, turn.mT @ back], 1)),
        variances,
        0.0,
        BY_VARIANCE,
        torch.Size([features + rank]),
    )
