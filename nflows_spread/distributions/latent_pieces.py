"""Pieces of latents by expectation maximisation in their leading principal coordinates; moments in all features."""

from __future__ import annotations

import torch
from torch import Tensor

from nflows_spread.linalg.expectation_maximization import NEGLIGIBLE, expectation_maximization
from nflows_spread.linalg.gaussian_mixture import responsibilities_of_mixture
from nflows_spread.linalg.moments import add_to_diagonal, covariance_of

_COORDINATES = 64
"""Principal coordinates in which latents are told apart, at most: a choice, for time and for few rows."""

_ROWS = 20_000
"""Latents that expectation maximisation sees, at most, drawn from all: a choice, for time. The moments are of all."""

_TOLERANCE = 1e-4
"""The change of the mean log-likelihood, in nats per coordinate, at which it ends: a choice, that of
``expectation_maximization`` for one."""

_ITERATIONS = 3
"""Of the subspace iteration that finds them among more features: a choice, as any few near them tell as much."""


def pieces_of_latents(
    z: Tensor, pieces: int, spread_variance: float, *, tied: bool = False, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Weights (M,), means (M, D) and roots (D, D) of the covariances of M pieces of latents (n, D), float64.

    Responsibilities are those of a mixture that ``expectation_maximization`` fits to at most 64 principal coordinates,
    of one shape if the pieces are ``tied``. The covariance of a piece is shrunk towards the one that all have on
    average, as if D more latents had been seen with that one, so that few do not pretend to flat directions; σ_Z² is
    added, for latents that are constant.

    Raises:
        ValueError: there are fewer latents than pieces, or all of them are equal.
    """
    rows = z.double()
    covariance, features = covariance_of(rows), rows.shape[1]
    centred = rows - rows.mean(0)
    coordinates = centred if features <= _COORDINATES else centred @ _leading(covariance, generator)
    some = coordinates
    if len(rows) > max(_ROWS, pieces):
        some = coordinates[torch.randperm(len(rows), generator=generator, device=rows.device)[: max(_ROWS, pieces)]]
    tolerance = _TOLERANCE * some.shape[1]
    fit = expectation_maximization(some, pieces, tolerance=tolerance, tied=tied, generator=generator)
    responsibilities = responsibilities_of_mixture(coordinates, *fit[:3])
    counts = responsibilities.sum(0)
    shares = responsibilities / counts.clamp_min(torch.finfo(rows.dtype).tiny)
    means = shares.mT @ centred
    weights = counts / len(rows)
    within = covariance - (means.mT * weights) @ means
    roots = []
    for piece in range(pieces):  # one by one, for the memory
        own_rows = responsibilities[:, piece] > NEGLIGIBLE
        difference = centred[own_rows] - means[piece]
        own = (difference * responsibilities[own_rows, piece : piece + 1]).mT @ difference
        shrunk = (own + features * within) / (counts[piece] + features)
        roots.append(torch.linalg.cholesky(add_to_diagonal(shrunk, spread_variance)))
    return weights, means + rows.mean(0), roots


def _leading(covariance: Tensor, generator: torch.Generator | None) -> Tensor:
    """About the leading eigenvectors, (D, 64), by subspace iteration."""
    basis = covariance.new_empty(len(covariance), _COORDINATES).normal_(generator=generator)
    for _ in range(_ITERATIONS):
        basis = torch.linalg.qr(covariance @ basis).Q
    return basis
