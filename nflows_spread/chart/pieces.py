"""Density of coordinates in pieces: a mixture of Gaussians, and the fit of one to a chart's coordinates."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from nflows_spread.linalg.expectation_maximization import LEAST_FLOOR, expectation_maximization
from nflows_spread.linalg.gaussian_mixture import (
    log_prob_of_mixture,
    moments_of_mixture,
    responsibilities_of_mixture,
    sample_of_mixture,
)
from nflows_spread.linalg.mixture_choice import fit_pieces

ROWS_PER_PIECE = 10
"""Rows that a piece has on average, at least: a choice; held-out rows decide among fewer pieces."""

MOST_PIECES, _MOST_NUMBERS = 64, 1024
"""Pieces, and pieces times coordinates, at most: choices, for time."""

_ROUGHLY, _TO_THE_END = 1e-2, 1e-3
"""Nats by which the steps of a fit still raise the likelihood of a row when it ends, to choose how many pieces there
are and to have them. From trials on photographs' patches, tables, rolls and smooth sets, where 1e-4 was no better."""

_FEW_PSEUDO_COUNTS = 0.1
"""ν beside K, for pieces of different shapes. From trials on planes in several directions, a roll, patches and tables,
where 0 and 1 were each behind it or even."""


@dataclass(frozen=True)
class Pieces:
    """Σ_m w_m N(m_m, S_m), the density of K coordinates in M pieces, float64.

    Attributes:
        weights: w, (M,), which sum to 1.
        means: m, (M, K).
        covariances: S, (M, K, K), positive definite.
        pseudo_counts: ν of the fit that they come from, or None.
    """

    weights: Tensor
    means: Tensor
    covariances: Tensor
    pseudo_counts: float | None = None

    @classmethod
    def fitted(cls, coordinates: Tensor, *, floor: float, generator: torch.Generator | None = None) -> Pieces:
        """As many pieces, 1, 2, 4, … up to 64, as give held-out coordinates the highest likelihood.

        The covariance of each is shrunk towards one shape that all share, see
        ``nflows_spread.linalg.expectation_maximization``, by as much as held-out coordinates like.

        Args:
            coordinates: of the data, (n, K).
            floor: the standard deviation that a piece has at least along each axis.
            generator: source of the starts, and of the folds by which the number is chosen.
        """
        return cls.roughly(coordinates, floor=floor, generator=generator).again(coordinates, floor=floor)

    @classmethod
    def roughly(cls, coordinates: Tensor, *, floor: float, generator: torch.Generator | None = None) -> Pieces:
        """The same, in a fraction of the time; the number of pieces is that of ``fitted``."""
        most = min(MOST_PIECES, len(coordinates) // ROWS_PER_PIECE, _MOST_NUMBERS // coordinates.shape[1])
        found = fit_pieces(
            coordinates,
            [2**i for i in range(max(1, most).bit_length())],
            within=0.0,
            pseudo_counts=(float(coordinates.shape[1]), _FEW_PSEUDO_COUNTS),
            variance_floor=_share(floor, coordinates),
            tolerance=_ROUGHLY,
            generator=generator,
        )
        return cls(*found[:3], pseudo_counts=found.pseudo_counts)

    @classmethod
    def of_number(
        cls,
        coordinates: Tensor,
        number: int,
        *,
        floor: float,
        pseudo_counts: float | None = _FEW_PSEUDO_COUNTS,
        generator: torch.Generator | None = None,
    ) -> Pieces:
        """So many pieces, by default each of a shape of its own."""
        found = expectation_maximization(
            coordinates,
            number,
            pseudo_counts=pseudo_counts,
            variance_floor=_share(floor, coordinates),
            tolerance=_TO_THE_END,
            generator=generator,
        )
        return cls(*found[:3], pseudo_counts=found.pseudo_counts)

    def again(self, coordinates: Tensor, *, floor: float) -> Pieces:
        """These pieces fitted to other coordinates, (n, K), from where they are, shrunk as much."""
        found = expectation_maximization(
            coordinates,
            len(self.weights),
            begun=self.responsibilities(coordinates),
            pseudo_counts=self.pseudo_counts,
            variance_floor=_share(floor, coordinates),
            tolerance=_TO_THE_END,
        )
        return Pieces(*found[:3], pseudo_counts=found.pseudo_counts)

    @property
    def rank(self) -> int:
        """K."""
        return self.means.shape[1]

    def first(self, rank: int) -> Pieces:
        """The density of the first coordinates alone."""
        return replace(self, means=self.means[:, :rank], covariances=self.covariances[:, :rank, :rank])

    def widened(self, variance: float) -> Pieces:
        """The density of the coordinates with independent noise of a variance in each."""
        noise = variance * torch.eye(self.rank, dtype=self.covariances.dtype, device=self.covariances.device)
        return replace(self, covariances=self.covariances + noise)

    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean (K,) and covariance (K, K) of the whole."""
        return moments_of_mixture(self.weights, self.means, self.covariances)

    def log_prob(self, coordinates: Tensor) -> Tensor:
        """log Σ_m w_m N(c; m_m, S_m) of coordinates (n, K), shape (n,), in their dtype."""
        return log_prob_of_mixture(coordinates, self.weights, self.means, self.covariances)

    def responsibilities(self, coordinates: Tensor) -> Tensor:
        """The probability of each piece given the coordinates (n, K), shape (n, M), float64."""
        return responsibilities_of_mixture(coordinates, self.weights, self.means, self.covariances)

    def sample(self, num_samples: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Exact draws, shape (num_samples, K), float64."""
        return sample_of_mixture(num_samples, self.weights, self.means, self.covariances, generator=generator)


def _share(floor: float, coordinates: Tensor) -> float:
    """The square of a standard deviation over the mean variance of the coordinates."""
    return max(LEAST_FLOOR, floor**2 / float(coordinates.double().var(0, correction=0).mean()))
