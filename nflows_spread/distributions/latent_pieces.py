"""Pieces of latents by expectation maximisation in their leading principal coordinates; moments in all features.

Latents come in blocks, several times, so that memory does not grow with rows times features: what is kept of each row
are at most 64 coordinates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from nflows_spread.linalg.dense import covariance_cholesky
from nflows_spread.linalg.expectation_maximization import NEGLIGIBLE, FittedPieces, expectation_maximization
from nflows_spread.linalg.gaussian_mixture import responsibilities_of_mixture

Blocks = Callable[[], Iterable[Tensor]]
"""Gives latents anew, in blocks (rows, D)."""

COORDINATES = 64
"""Principal coordinates in which latents are told apart, at most: a choice, for time and for few rows."""

_ITERATIONS = 3
"""Of the subspace iteration that finds them among more features: a choice, as any few near them tell as much."""

_ROWS = 512
"""Rows of a block: a choice, for memory."""

_SAMPLE = 10_000
"""Rows on which expectation maximisation runs to its end; on more it only goes on from there. A choice, for time."""

_FURTHER_ITERATIONS = 10
"""Iterations on all rows: a choice, as they begin near the optimum."""

_TOLERANCE = 1e-4
"""The change of the mean log-likelihood, in nats per coordinate, at which it ends: a choice, that of
``expectation_maximization`` for one."""


class LatentMoments(NamedTuple):
    """Rows n, mean (D,) and covariance (D, D) of latents, float64."""

    rows: int
    mean: Tensor
    covariance: Tensor


def blocks_of(z: Tensor) -> Blocks:
    """Latents that are there already, (n, ...), in blocks."""
    return lambda: z.flatten(1).split(_ROWS)


def pieces_of_latents(
    latents: Blocks,
    pieces: int,
    spread_variance: float,
    *,
    tied: bool = False,
    begun: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Weights (M,), means (M, D) and roots (D, D) of the covariances of M pieces of latents, float64.

    Responsibilities are those of a mixture that ``expectation_maximization`` fits to at most 64 principal coordinates,
    of one shape if the pieces are ``tied``; beyond 10 000 rows to so many of them, and then in ten iterations to all.
    The covariance of a piece is shrunk towards the one that all have on average, as if D more latents had been seen
    with that one, so that few do not pretend to flat directions; σ_Z² is added, for latents that are constant.

    Args:
        latents: the blocks, asked for three times.
        pieces: M.
        spread_variance: σ_Z².
        tied: of one shape.
        begun: responsibilities (n, M) of all latents to go on from, ten iterations at most.
        generator: source of the starts and of the choice of rows.

    Raises:
        ValueError: there are fewer latents than pieces, or all of them are equal.
    """
    moments = moments_of_latents(latents)
    basis = leading_directions(moments.covariance, generator)
    coordinates = coordinates_of(latents, moments.mean, basis)
    fit = fit_in_stages(coordinates, pieces, tied=tied, begun=begun, generator=generator)
    counts, sums, squares = _weighted_sums(latents, moments.mean, basis, fit)
    means = sums / counts.clamp_min(torch.finfo(sums.dtype).tiny).unsqueeze(1)
    weights, features = counts / counts.sum(), len(moments.mean)
    within = torch.zeros_like(moments.covariance)  # of these latents, whose noise may be another than before
    for own, mean, count in zip(squares, means, counts, strict=True):
        own.addmm_(mean.unsqueeze(1), mean.unsqueeze(0), alpha=-float(count))
        within += own / moments.rows
    for own, count in zip(squares, counts, strict=True):  # one by one and in place, for the memory
        shrunk = own.add_(within, alpha=features).div_(count + features)
        own.copy_(covariance_cholesky(shrunk, shrunk.new_tensor(spread_variance)))
    return weights, means + moments.mean, list(squares)


def moments_of_latents(latents: Blocks) -> LatentMoments:
    """Of all rows, about the mean of the first block, so that an offset costs no digits.

    Raises:
        ValueError: there are none.
    """
    rows, origin, first, second = 0, None, None, None
    for block in _doubled(latents):
        if origin is None or first is None or second is None:
            origin = block.mean(0)
            first, second = torch.zeros_like(origin), block.new_zeros(block.shape[1], block.shape[1])
        centred = block - origin
        rows += len(block)
        first += centred.sum(0)
        second.addmm_(centred.mT, centred)
    if origin is None or first is None or second is None:
        raise ValueError("there must be latents, got none")
    shift = first / rows
    return LatentMoments(rows, origin + shift, second / rows - torch.outer(shift, shift))


def leading_directions(covariance: Tensor, generator: torch.Generator | None) -> Tensor:
    """About the leading eigenvectors, (D, 64), by subspace iteration; the identity of fewer features."""
    features = len(covariance)
    if features <= COORDINATES:
        return torch.eye(features, dtype=covariance.dtype, device=covariance.device)
    basis = covariance.new_empty(features, COORDINATES).normal_(generator=generator)
    for _ in range(_ITERATIONS):
        basis = torch.linalg.qr(covariance @ basis).Q
    return basis


def coordinates_of(latents: Blocks, mean: Tensor, basis: Tensor) -> Tensor:
    """Of all rows, (n, K), for a basis (D, K)."""
    return torch.cat([(block - mean) @ basis for block in _doubled(latents)])


def fit_in_stages(
    coordinates: Tensor,
    pieces: int,
    *,
    tied: bool = False,
    begun: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> FittedPieces:
    """``expectation_maximization`` on rows (n, K): of many on some to its end, and then a little further on all.

    Args:
        coordinates: the rows.
        pieces: M.
        tied: of one shape.
        begun: responsibilities (n, M) to go on from, on all rows.
        generator: source of the starts, and of the choice of rows.
    """
    fitted = partial(
        expectation_maximization,
        pieces=pieces,
        tied=tied,
        tolerance=_TOLERANCE * coordinates.shape[1],
        generator=generator,
    )
    if begun is None and len(coordinates) > _SAMPLE:
        order = torch.empty(len(coordinates), device=coordinates.device).uniform_(generator=generator).argsort()
        some = fitted(coordinates[order[:_SAMPLE]])
        begun = responsibilities_of_mixture(coordinates, *some[:3])
    return fitted(coordinates) if begun is None else fitted(coordinates, begun=begun, iterations=_FURTHER_ITERATIONS)


def _weighted_sums(latents: Blocks, mean: Tensor, basis: Tensor, fit: FittedPieces) -> tuple[Tensor, Tensor, Tensor]:
    """Sums of responsibilities, (M,), of rows about the mean, (M, D), and of their squares, (M, D, D), by piece."""
    counts, features = torch.zeros_like(fit.weights), len(mean)
    sums, squares = mean.new_zeros(len(counts), features), mean.new_zeros(len(counts), features, features)
    for block in _doubled(latents):
        centred = block - mean
        given = responsibilities_of_mixture(centred @ basis, *fit[:3])
        given = torch.where(given > NEGLIGIBLE, given, 0.0)  # for all three sums, or the covariance may be none
        counts += given.sum(0)
        sums += given.mT @ centred
        for piece in range(len(counts)):
            chosen = given[:, piece] > 0.0
            rows = centred[chosen]
            squares[piece].addmm_((rows * given[chosen, piece : piece + 1]).mT, rows)
    return counts, sums, squares


def _doubled(latents: Blocks) -> Iterator[Tensor]:
    return (block.flatten(1).double() for block in latents())
