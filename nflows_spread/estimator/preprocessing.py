"""Preprocessing: rows checked for outliers, brought to unit scale, shuffled and split, and how they are arranged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from nflows_spread.dimension.distinct_points import TooFewPointsError, first_of_each, first_of_equal
from nflows_spread.dimension.few_points import neighbours_of_few
from nflows_spread.dimension.neighbours import NeighbourDimension, neighbour_dimension
from nflows_spread.dimension.shells import PrincipalCoordinates, principal_coordinates, shells_of
from nflows_spread.dimension.tangent_spaces import TangentSpaces, tangent_spaces
from nflows_spread.dimension.time_order import along_a_path
from nflows_spread.dimension.unfilled_spans import ALL_FILLED, UnfilledSpans, unfilled_spans
from nflows_spread.dimension.variation import Part, parts_of
from nflows_spread.estimator.outliers import check_outliers, warn_of_hidden_columns
from nflows_spread.estimator.units import Units


@dataclass(frozen=True)
class Rows:
    """Rows of data in units of a flow, (n, D), float32.

    Attributes:
        in_order: all of them, in the order in which they came.
        train: those to train on, in random order.
        validation: those kept for the density's estimate.
        units: what takes data to these units and back.
        neighbours: what distances between all rows say of their dimension.
        tangents: what local principal axes of all rows say of it; None where fewer than 50 rows are distinct, which
            show none.
    """

    in_order: Tensor
    train: Tensor
    validation: Tensor
    units: Units
    neighbours: NeighbourDimension
    tangents: TangentSpaces | None

    @classmethod
    def of(
        cls,
        x: Tensor,
        names: Sequence[object] | None,
        *,
        standardize: bool,
        fewest_axes: int,
        min_noise: float,
        validation_fraction: float,
        generator: torch.Generator,
    ) -> Rows:
        """Those of data (n, D).

        Args:
            x: rows of data.
            names: of the columns, for warnings; by default their numbers.
            standardize: a scale for each column.
            fewest_axes: principal axes of wide data, at the least.
            min_noise: the smallest σ_x of the training, in units of the flow.
            validation_fraction: share of the rows that are kept from the training, at least one.
            generator: source of the order.

        Raises:
            ValueError: the rows do not vary, fewer than 6 are distinct, or a few of them hide all others.

        Warns:
            UserWarning: a few rows set the scale of all, or a few values that of a column.
        """
        units = Units.of(x, standardize=standardize)
        unit = units.to_flow(x)
        check_outliers(unit, data_noise=min_noise)
        if units.scale.dim() > 0:
            warn_of_hidden_columns(x, units.scale, names)
        units = units.along_leading_axes(x, fewest=fewest_axes)
        unit = unit if units.leading is None else units.to_flow(x)
        tangents: TangentSpaces | None = None
        try:
            neighbours = neighbour_dimension(unit, generator=generator)
        except TooFewPointsError:
            neighbours = neighbours_of_few(unit)
        else:
            seeded = torch.Generator().manual_seed(generator.initial_seed())  # the order of rows is as without them
            tangents = tangent_spaces(unit, generator=seeded)
        order = torch.randperm(len(unit), generator=generator)
        kept, train = (unit[rows] for rows in _split(unit[order], order, validation_fraction))
        return cls(unit, train, kept, units, neighbours, tangents)

    @cached_property
    def spanned(self) -> int:
        """Dimensions that the distinct rows span at most."""
        seeded = torch.Generator().manual_seed(0)
        weights = torch.randn(self.in_order.shape[1], dtype=torch.float64, generator=seeded)
        # equal rows have equal sums, others do not
        return max(1, len((self.in_order.double() @ weights).unique()) - 1)

    @property
    def few(self) -> bool:
        """Whether fewer than 50 rows are distinct."""
        return self.tangents is None

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """The two parts of data whose dimension varies from place to place, or none."""
        # the local dimension of a mesh that is finer along one axis than along another is not that of its surface
        return () if self.few or self.neighbours.even else parts_of(self.in_order)

    @cached_property
    def path(self) -> bool:
        """Whether the rows, in their order, follow a path."""
        return along_a_path(self.in_order)

    @cached_property
    def shells(self) -> tuple[int, ...]:
        """Dimensions of linear spans in which the rows may fill a closed surface alone."""
        return () if self.few else shells_of(self._principal)

    @cached_property
    def unfilled(self) -> UnfilledSpans:
        """Dimensions that the rows surely do not have, as they do not fill a span of so many."""
        return ALL_FILLED if self.few else unfilled_spans(self._distinct, self._principal)

    @cached_property
    def shuffled(self) -> Tensor:
        """All rows in random order, those that are held out first."""
        return torch.cat([self.validation, self.train])

    @cached_property
    def _distinct(self) -> Tensor:
        """Those rows without repetitions, through few of which there are many surfaces."""
        return self.shuffled[first_of_equal(self.shuffled)]

    @cached_property
    def _principal(self) -> PrincipalCoordinates:
        return principal_coordinates(self._distinct)


def _split(shuffled: Tensor, order: Tensor, fraction: float) -> tuple[Tensor, Tensor]:
    """The indices of rows to keep from the training, and of those to train on, in random order.

    Rows that are repeated are all on one side: those that are trained on would tell nothing of others. At least half of
    the distinct ones are trained on, as where most rows are one that is repeated.
    """
    count = max(1, int(fraction * len(order)))
    distinct, which = shuffled.unique(dim=0, return_inverse=True)
    if len(distinct) == len(order):
        return order[:count], order[count:]
    first = first_of_each(which, len(distinct))
    sizes = which.bincount()
    by_turn = first.argsort()
    few = sizes[by_turn].where(sizes[by_turn] <= count, 0)
    fits = (few > 0) & (few.cumsum(0) <= count)
    fits &= fits.cumsum(0) <= len(distinct) // 2
    if not bool(fits.any()):
        fits[sizes[by_turn].argmin()] = True  # the rarest, where each is repeated more often than there are to keep
    held = torch.zeros(len(distinct), dtype=torch.bool)
    held[by_turn[fits]] = True
    return order[held[which]], order[~held[which]]
