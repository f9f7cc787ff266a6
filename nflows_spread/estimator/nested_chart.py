"""Nested coordinates: a decoder for each number k < K of them, by regression of what the decoder of all K makes."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from nflows.distributions import StandardNormal
from nflows.flows import Flow
from torch import Tensor, nn

from nflows_spread import validation
from nflows_spread.chart import Chart, LatentMaps
from nflows_spread.estimator.coordinate_order import ordered_axes, turned_axes
from nflows_spread.estimator.paired_comparison import clearly_above
from nflows_spread.linalg.ridge import AffineMap, ridge_regressions
from nflows_spread.models.lifted import LinearAndNet
from nflows_spread.transforms.lifted import LiftedCouplings

_ROWS = 2000
"""Rows of a regression, at most: a choice, for time."""

_PENALTIES = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, math.inf)
"""Of the weights of hidden units, beside mean squares of these of about 1; held-out rows choose: a choice."""


@dataclass(frozen=True)
class NestedChart(Chart):
    """A chart with a decoder of its own for each number of coordinates.

    The decoder of all K makes of the first k, and 0 for the others, the point that is there. The best reconstruction is
    the mean of all points that share these k, E[x | c₁ … c_k], which may be far from it.

    Attributes:
        of_first: charts of the first 1 … K − 1 coordinates.
    """

    of_first: tuple[Chart, ...] = ()

    def first(self, rank: int) -> Chart:
        """The chart of the first coordinates alone, with its own decoder.

        Raises:
            ValueError: ``rank`` is below 1 or above K.
        """
        kept = validation.rank_within(rank, self.rank)
        if kept == self.rank:
            return self
        of_first = self.of_first[kept - 1]
        return of_first if self.pieces is None else replace(of_first, pieces=self.pieces.first(kept))


class ImputingDecoder(nn.Module):
    """A decoder of a code of which only a part is known: the features of the whole one are regressed on what is known.

    Args:
        decoder: of whole codes, (n, K) to (n, D).
        imputed: from the features (n, K + F) of what is known to those of the whole.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, decoder: LinearAndNet, imputed: AffineMap) -> None:
        super().__init__()
        self.decoder = decoder
        self.register_buffer("weight", imputed.weight)
        self.register_buffer("bias", imputed.bias)

    def forward(self, code: Tensor) -> Tensor:
        imputed = AffineMap(self.weight, self.bias)
        return AffineMap(*self.decoder.last_layer)(imputed(self.decoder.features(code)))


@torch.no_grad()
def regress_last_layer(couplings: LiftedCouplings, train: Tensor, held_out: Tensor) -> None:
    """Give the decoder the last layer of a ridge regression on the rows, in place, if held-out rows gain by it.

    Gradients leave it away from its optimum. Rows and couplings are float64.
    """
    encoder, decoder = couplings.encoder, decoder_of(couplings)
    features, shown = decoder.features(encoder(train[:_ROWS])), decoder.features(encoder(held_out))
    linear, hidden = features[:, : couplings.rank], features[:, couplings.rank :]
    now = AffineMap(*decoder.last_layer)
    found = [now, *ridge_regressions(linear, hidden, train[:_ROWS], _PENALTIES)]
    best, _ = _best_of(found, [each(shown) for each in found], held_out)
    if best is not now:
        decoder.set_last_layer(*best)


def ordered_chart(
    chart: Chart, couplings: LiftedCouplings, train: Tensor, held_out: Tensor, *, limits: Tensor
) -> NestedChart:
    """The nested chart of a lifted flow, whose coordinates come in the order of what they explain of the data.

    They are its principal axes in the units of the data. Where the first few leave more of the held-out rows than
    principal components do, coordinates are turned to those axes that explain most, which are correlated, if these
    leave less.

    Args:
        chart: of the couplings, its coordinates along their principal axes, float64.
        couplings: with a decoder that has a net.
        train: rows to regress on, (n, D).
        held_out: rows to choose by, (m, D).
        limits: root mean squared errors of 1 … K principal components on these, (K,).
    """
    coordinates, below = chart.coordinates(train), limits[:-1]
    first = nested_chart(_turned(chart, ordered_axes(coordinates, train)), couplings, train, held_out)
    above = (first.reconstruction_error(held_out)[:-1] - below).clamp_min(0.0).sum()
    if not bool(above > 0.0):
        return first
    other = nested_chart(_turned(chart, turned_axes(coordinates, train)), couplings, train, held_out)
    return other if (other.reconstruction_error(held_out)[:-1] - below).clamp_min(0.0).sum() < above else first


@torch.no_grad()
def nested_chart(
    chart: Chart, couplings: LiftedCouplings, train: Tensor, held_out: Tensor, *, principal: nn.Module | None = None
) -> NestedChart:
    """The chart with a decoder for the first k of K coordinates, which leaves no more of held-out rows than for k − 1.

    Args:
        chart: of the couplings, float64.
        couplings: with a decoder that has a net.
        train: rows to regress on, (n, D).
        held_out: rows to choose by, (m, D).
        principal: a linear decoder, taken where the regression is not clearly better.
    """
    features, rank, decoder = couplings.features, chart.rank, decoder_of(couplings)
    mean, back = chart.maps.mean[features:], chart.maps.back[:, features:]
    coordinates, shown = chart.coordinates(train[:_ROWS]), chart.coordinates(held_out)
    whole, output = decoder.features(mean + coordinates @ back), AffineMap(*decoder.last_layer)
    charts: tuple[Chart, ...] = ()
    least = torch.full((len(held_out),), math.inf, dtype=torch.float64)
    for k in range(1, rank):
        known, known_shown = (mean + c[:, :k] @ back[:k] for c in (coordinates, shown))
        hidden = decoder.features(known)[:, rank:]
        regressions = ridge_regressions(coordinates[:, :k], hidden, whole, _PENALTIES)
        found = [_of_the_code(each, back[:k], mean) for each in regressions]
        features_shown = decoder.features(known_shown)
        best, squares = _best_of(found, [output(each(features_shown)) for each in found], held_out)
        of_k: nn.Module = ImputingDecoder(decoder, best)
        if principal is not None:
            by_principal = (principal(known_shown) - held_out).square().sum(1)
            if not clearly_above(by_principal, squares):
                of_k, squares = principal, by_principal
        maps = chart.maps.first(k)
        if charts and squares.mean() > least.mean():  # then the last coordinate of them is left out
            flow, used = charts[-1].flow, charts[-1].maps.back
            maps = LatentMaps(maps.mean, maps.forth, torch.cat([used, torch.zeros_like(used[:1])]))
        else:
            flow, least = _flow_of(LiftedCouplings(couplings.encoder, of_k, features=features, rank=rank)), squares
        of_first = NestedChart(flow, maps, chart.noisy_variances[:k], 0.0, chart.order, chart.shape, of_first=charts)
        charts = (*charts, of_first)
    return NestedChart(chart.flow, chart.maps, chart.noisy_variances, 0.0, chart.order, chart.shape, of_first=charts)


def _of_the_code(found: AffineMap, back: Tensor, mean: Tensor) -> AffineMap:
    """A map of k coordinates (code − mean) back⁺ and hidden units as one of the code and hidden units."""
    rank = len(back)
    of_code = torch.linalg.pinv(back) @ found.weight[:rank]
    return AffineMap(torch.cat([of_code, found.weight[rank:]]), found.bias - mean @ of_code)


def _best_of(found: list[AffineMap], points: list[Tensor], x: Tensor) -> tuple[AffineMap, Tensor]:
    """The map whose points (m, D) are nearest to rows x, and its squared distances, (m,)."""
    squares = [(each - x).square().sum(1) for each in points]
    best = min(range(len(found)), key=lambda i: float(squares[i].mean()))
    return found[best], squares[best]


def _turned(chart: Chart, axes: Tensor) -> Chart:
    """The chart in coordinates along other axes, (K, K), orthonormal in columns."""
    maps = LatentMaps(chart.maps.mean, chart.maps.forth @ axes, axes.mT @ chart.maps.back)
    return replace(chart, maps=maps, noisy_variances=axes.square().mT @ chart.noisy_variances)


def _flow_of(couplings: LiftedCouplings) -> Flow:
    flow = Flow(couplings, StandardNormal([couplings.features + couplings.rank]))
    return flow.double().eval().requires_grad_(False)


def decoder_of(couplings: LiftedCouplings) -> LinearAndNet:
    """The decoder of couplings by ``lifted_couplings``, or a TypeError."""
    decoder = couplings.decoder
    if not isinstance(decoder, LinearAndNet):
        raise TypeError(f"couplings must be those of lifted_couplings, got a decoder {type(decoder).__name__}")
    return decoder
