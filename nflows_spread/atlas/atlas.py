"""Atlas of a manifold in several pieces: assignment, coordinates, reconstructions and samples by charts of pieces."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nflows_spread import validation
from nflows_spread.atlas.components import Component
from nflows_spread.chart import Chart
from nflows_spread.chart.inverse import encoded
from nflows_spread.chart.ranges import Ranges
from nflows_spread.dimension.rules import IntrinsicDimension
from nflows_spread.distributions import DegenerateGaussianMixture
from nflows_spread.hosts.placement import placement_of


@dataclass(frozen=True)
class AtlasPiece:
    """What is read off one piece of the prior.

    Attributes:
        weight: w_m.
        rows: of the data that it was read from.
        dimension: of these rows alone, with ``interval`` and ``spectrum``; None where there were too few.
        chart: K coordinates of the piece, K the dimension of its component; None where there were too few rows.
        ranges: of the coordinates of these rows, or None.
        component: number of the component that it belongs to, or None.
    """

    weight: float
    rows: int
    dimension: IntrinsicDimension | None
    chart: Chart | None
    ranges: Ranges | None
    component: int | None


@dataclass(frozen=True)
class Atlas:
    """A chart for each piece of a flow's prior, and which pieces make up one manifold. Build it with ``atlas_of``.

    A row belongs to the piece that is most responsible for it, and is read by that piece's chart alone. Pieces of one
    component overlap, so that a point may have coordinates in several charts.

    There is no density on the manifold: the charts of neighbouring pieces have planes of their own, which agree
    to within the noise and not exactly. ``Chart.log_prob`` of a piece that is alone is exact; the
    density of the noisy data is the flow's.

    Attributes:
        flow: the flow, of any host; shared and not copied.
        prior: of the flow as it was, without the pieces that have no chart.
        pieces: one for each of the prior's.
        components: the heaviest first.
    """

    flow: nn.Module
    prior: DegenerateGaussianMixture
    pieces: tuple[AtlasPiece, ...]
    components: tuple[Component, ...]

    def __repr__(self) -> str:
        """Its components alone; of the flow and of each chart there would be more than a thousand lines."""
        parts = ", ".join(
            f"dimension {int(one.dimension)} with weight {one.weight:.2f} of {len(one.pieces)}"
            for one in self.components
        )
        return f"{type(self).__name__}({len(self.pieces)} pieces; components: {parts})"

    @property
    def component_of_pieces(self) -> Tensor:
        """The number of the component of each piece, (M,), int64; −1 for a piece without a chart."""
        numbers = [-1 if piece.component is None else piece.component for piece in self.pieces]
        return torch.tensor(numbers, device=self.prior.logits.device)

    @torch.no_grad()
    def responsibilities(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """p(m | g(x)) of data (n, ...), shape (n, M), float64; 0 for a piece without a chart."""
        return self.prior.responsibilities(encoded(self.flow, x, context))

    def assign(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """The piece that is most responsible for each row of data, (n,), int64.

        ``component_of_pieces[assign(x)]`` are labels of clusters.

        Args:
            x: data, shape (n, ...).
            context: conditioning inputs, one row for each row of ``x``, or one for all.
        """
        return self.responsibilities(x, context).argmax(1)

    @torch.no_grad()
    def coordinates(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The piece of each row, (n,), and its coordinates in the chart of that piece, (n, K), K the largest dimension.

        What a chart of fewer coordinates leaves is NaN. ``pieces[m].chart.points`` leads back.
        """
        labels = self.assign(x, context)
        found = x.new_full((len(x), max(int(component.dimension) for component in self.components)), torch.nan)
        for m, index, given in _by_piece(labels, context):
            chart = self.chart(m)
            found[index, : chart.rank] = chart.coordinates(x[index], given)
        return labels, found

    @torch.no_grad()
    def reconstruct(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """f(m + (g(x) − m) P Q) by the chart of the piece of each row, the shape of ``x``: all else removed."""
        found = torch.empty_like(x)
        for m, index, given in _by_piece(self.assign(x, context), context):
            found[index] = self.chart(m).reconstruct(x[index], given)
        return found

    def chart(self, piece: int) -> Chart:
        """The chart of a piece.

        Raises:
            ValueError: there is no such piece, or too few rows of the data were its own.
        """
        number = _within("piece", piece, len(self.pieces))
        chart = self.pieces[number].chart
        if chart is None:
            raise ValueError(
                f"piece must be one with a chart, got {number}, which had too few rows; make the atlas of more data"
            )
        return chart

    @torch.no_grad()
    def sample(
        self,
        num_samples: int,
        context: Tensor | None = None,
        *,
        piece: int | None = None,
        component: int | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Points on the manifold, shape (num_samples, ...): a piece drawn by its weight, then a point of its chart.

        Coordinates are drawn again where they are beyond those of the piece's rows by more than a twentieth of their
        range: a Gaussian's tails would lead over the edges of a manifold and between its pieces.

        Args:
            num_samples: how many.
            context: conditioning inputs, one row for each sample, or one for all.
            piece: draw from this one alone.
            component: draw from this one alone.
            generator: source of the randomness.

        Raises:
            ValueError: there is no such piece or component, the piece has no chart, or both are given.
        """
        count = validation.positive_int("num_samples", num_samples)
        context = validation.context_of(count, context, of="samples")
        weights = self._weights_of(piece, component)
        labels = torch.multinomial(weights, count, replacement=True, generator=generator)
        parts, indices = [], []
        for m, index, given in _by_piece(labels, context):
            parts.append(self._points(m, len(index), given, generator))
            indices.append(index)
        return torch.cat(parts)[torch.cat(indices).argsort()]

    def _weights_of(self, piece: int | None, component: int | None) -> Tensor:
        """Of the pieces to draw from, (M,)."""
        if piece is not None and component is not None:
            raise ValueError(f"either piece or component must be given, got {piece} and {component}; pass one")
        weights = self.prior.weights.detach()
        if component is not None:
            number = _within("component", component, len(self.components))
            return weights * (self.component_of_pieces == number)
        if piece is None:
            return weights
        self.chart(piece)
        return torch.nn.functional.one_hot(weights.new_tensor(piece, dtype=torch.long), len(weights)).to(weights)

    def _points(self, piece: int, count: int, context: Tensor | None, generator: torch.Generator | None) -> Tensor:
        """Points of the chart of a piece at draws of its coordinates, N(0, variances) within their ranges."""
        chart, ranges = self.chart(piece), self.pieces[piece].ranges
        scale = chart.variances.sqrt()

        def drawn(rows: int) -> Tensor:
            noise = torch.empty(rows, len(scale), dtype=scale.dtype, device=scale.device)
            return scale * noise.normal_(generator=generator)

        draws = drawn(count)
        if ranges is not None:
            draws = ranges.within(draws, lambda beyond: drawn(len(beyond)))
        return chart.points(draws.to(placement_of(self.flow).dtype or torch.get_default_dtype()), context)


def _by_piece(labels: Tensor, context: Tensor | None) -> Iterator[tuple[int, Tensor, Tensor | None]]:
    """Each piece that labels name, the indices of its rows, and their contexts."""
    context = validation.context_of(len(labels), context)
    for m in labels.unique().tolist():
        index = (labels == m).nonzero().flatten()
        yield m, index, None if context is None else context[index.to(context.device)]


def _within(name: str, value: int, count: int) -> int:
    number = validation.non_negative_int(name, value)
    if number >= count:
        raise ValueError(f"{name} must be between 0 and {count - 1}, got {number}")
    return number
