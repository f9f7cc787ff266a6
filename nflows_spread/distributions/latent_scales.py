"""Scales of latents: expectation maximisation of a scale mixture Σ_m w_m N(0, s_m² C), in all features.

Concentric pieces of one shape are told apart by zᵀC⁻¹z alone, which has a sum of D terms and so says the scale of one
latent to 1 / √(2D) of it; in a few leading coordinates it could not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from nflows_spread.distributions.latent_pieces import Blocks
from nflows_spread.linalg.shrinkage import root_of_moment

_ALTERNATIONS = 2
"""Between the shape, at O(D²) a row, and the scales: a choice, as each weighs latents by what the last one found."""

_ITERATIONS = 50
"""Of expectation maximisation in one dimension for a given shape: a choice, it is free."""

_TAIL = 1e-3
"""The share of latents on either side of the range over which scales begin: a choice."""

_FEWEST = 1e-6
"""Latents of a piece below which its scale stays where it is: a choice, against a division by 0."""


class LatentScales(NamedTuple):
    """Weights (M,), s² (M,), and a root R of the shape C = RRᵀ, (D, D), all float64."""

    weights: Tensor
    squares: Tensor
    root: Tensor


def scales_of_latents(
    latents: Blocks,
    pieces: int,
    spread_variance: float,
    *,
    begun: LatentScales | None = None,
    decomposed: Callable[[Tensor], Tensor] | None = None,
) -> LatentScales:
    """The mixture of Gaussians about 0 of one shape at M scales that fits latents.

    The shape begins as their second moment, and is that of the latents with the scales of their pieces taken off
    afterwards. It is shrunk as that of one Gaussian is: correlations to n / (n + D) of those found. σ_Z² is added, for
    latents that are constant. A shape that is gone on from is not shrunk where there are more latents than features,
    nor is one that has a decomposition of its own, and σ_Z² is then added where it must be alone.

    Args:
        latents: the blocks, asked for five times.
        pieces: M.
        spread_variance: σ_Z².
        begun: what to go on from, in the place of new starts.
        decomposed: the Cholesky factor in which the shape RRᵀ of a root R is taken for known, as one that is shrunk in
            another way; R itself by default.

    Raises:
        ValueError: there are fewer latents than pieces, or all are 0.
    """
    root_of = partial(
        root_of_moment, spread_variance=spread_variance, known=begun is not None or decomposed is not None
    )
    whitening = decomposed or (lambda root: root)
    root = root_of(*_second_moment(latents, None)) if begun is None else begun.root
    lengths = _mean_squares(latents, whitening(root))
    if len(lengths) < pieces:
        raise ValueError(f"there must be at least as many latents as the {pieces} pieces, got {len(lengths)}")
    if not bool(lengths.max() > 0.0):
        raise ValueError("latents must not all be 0, got only such")
    weights, squares = _spread_over(lengths, pieces) if begun is None else begun[:2]
    for step in range(_ALTERNATIONS):
        lengths = _mean_squares(latents, whitening(root)) if step else lengths
        weights, squares, own = _mixture_of_scales(lengths, weights, squares, features=len(root))
        root = root_of(*_second_moment(latents, own))
    return LatentScales(weights, squares, root)


def _second_moment(latents: Blocks, own: Tensor | None) -> tuple[Tensor, int]:
    """Σ_n a_n z_n z_nᵀ / n, (D, D), and n; a_n = 1 where no weights are given."""
    total, rows = None, 0
    for block in _doubled(latents):
        weighted = block if own is None else block * own[rows : rows + len(block)].unsqueeze(1)
        total = block.new_zeros(block.shape[1], block.shape[1]) if total is None else total
        total.addmm_(weighted.mT, block)
        rows += len(block)
    if total is None:
        raise ValueError("there must be latents, got none")
    return total.div_(rows), rows


def _mean_squares(latents: Blocks, root: Tensor) -> Tensor:
    """zᵀC⁻¹z / D, (n,)."""
    whitened = (torch.linalg.solve_triangular(root, block.mT, upper=False) for block in _doubled(latents))
    return torch.cat([block.square().mean(0) for block in whitened])


def _spread_over(lengths: Tensor, pieces: int) -> tuple[Tensor, Tensor]:
    """Equal weights, and s² at equal distances in log s² over the range of the mean squares but their tails."""
    tails = lengths.new_tensor([_TAIL, 1.0 - _TAIL])
    low, high = lengths.clamp_min(_smallest(lengths)).log().quantile(tails).tolist()
    squares = torch.linspace(low, high, pieces + 2).to(lengths)[1:-1].exp()
    return torch.full_like(squares, 1.0 / pieces), squares


def _mixture_of_scales(
    lengths: Tensor, weights: Tensor, squares: Tensor, *, features: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Weights, s², and Σ_m r_m / s_m² of each latent, from its mean square and where they begin."""
    lengths = lengths.clamp_min(_smallest(lengths))
    for _ in range(_ITERATIONS):
        joint = weights.log() - 0.5 * features * (torch.outer(lengths, 1.0 / squares) + squares.log())
        given = joint.softmax(1)
        counts = given.sum(0)
        weights = counts / len(lengths)
        squares = torch.where(counts > _FEWEST, given.mT @ lengths / counts.clamp_min(_FEWEST), squares)
    return weights, squares, given @ (1.0 / squares)


def _smallest(lengths: Tensor) -> float:
    """Above 0, for latents that are 0."""
    return torch.finfo(lengths.dtype).eps * float(lengths.max())


def _doubled(latents: Blocks) -> Iterator[Tensor]:
    return (block.flatten(1).double() for block in latents())
