"""Gaussians of a low-rank covariance plus a diagonal, WWᵀ + Ψ, as in factor analysis: densities, and the nearest one.

W may have fewer rows than there are features: it reaches the first of them, the others have their variances alone.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from nflows_spread.linalg.eigen import eigh_descending
from nflows_spread.linalg.low_rank import low_rank_log_prob
from nflows_spread.linalg.spread_covariance import LOG_2PI

_STEPS = 20
"""Steps in which the variances that W takes and those of the diagonal are found, one from the other: a choice, as each
leaves a share of what was missing that is about r / D."""


def low_rank_plus_diagonal_log_prob(z: Tensor, low_rank: Tensor, variances: Tensor) -> Tensor:
    """log N(z; 0, WWᵀ + Ψ), shape (n,), in the dtype of ``z``: that of z / √Ψ under the low-rank W / √Ψ.

    Args:
        z: points, shape (n, D).
        low_rank: W, shape (K, r), K at most D.
        variances: the diagonal of Ψ, shape (D,), float64.
    """
    std = variances.sqrt()
    whole = pad(low_rank.double(), (0, 0, 0, len(std) - len(low_rank)))
    whitened = low_rank_log_prob(z.double() / std, whole / std.unsqueeze(1), torch.ones_like(std[0]))
    return (whitened - std.log().sum()).to(z.dtype)


def low_rank_plus_diagonal_log_probs(z: Tensor, means: Tensor, low_rank: Tensor, variances: Tensor) -> Tensor:
    """log N(z; m_m, W_m W_mᵀ + Ψ_m) of M pieces, (n, M), in float64, by products of all pieces at once.

    With C = I + WᵀΨ⁻¹W = LLᵀ and c = z − m, the square is cᵀΨ⁻¹c − |L⁻¹WᵀΨ⁻¹c|², whose first term is written out so
    that nothing of the size n M D is formed. It loses the digits by which the variance along W exceeds Ψ.

    Args:
        z: points, shape (n, D).
        means: m, shape (M, D).
        low_rank: W, shape (M, K, r), K at most D.
        variances: the diagonals of Ψ, shape (M, D), float64.
    """
    a, centre = low_rank.double(), means.double().mean(0)
    rows, m = z.double() - centre, means.double() - centre
    leading, rank = a.shape[1:]
    precision = variances.reciprocal()
    identity = torch.eye(rank, dtype=a.dtype, device=a.device)
    scaled = a * precision[:, :leading].unsqueeze(2)
    cholesky = torch.linalg.cholesky(a.mT @ scaled + identity)
    whitening = torch.linalg.solve_triangular(cholesky, identity, upper=False) @ scaled.mT
    along = (rows[:, :leading] @ whitening.flatten(0, 1).mT).unflatten(1, (-1, rank))
    explained = (along - (whitening @ m[:, :leading].unsqueeze(2)).squeeze(2)).square().sum(2)
    moved = m * precision
    squares = rows.square() @ precision.mT - 2.0 * rows @ moved.mT + (m * moved).sum(1)
    log_det = variances.log().sum(1) + 2.0 * cholesky.diagonal(dim1=1, dim2=2).log().sum(1)
    return -0.5 * (squares - explained + log_det + z.shape[1] * LOG_2PI)


def low_rank_plus_diagonal_of(root: Tensor, rank: int, leading: int) -> tuple[Tensor, Tensor]:
    """W, (K, r), along the leading eigenvectors of the first K features of RRᵀ, and the diagonal of Ψ, (D,), float64.

    WWᵀ + Ψ has the diagonal of RRᵀ. The variance of WWᵀ along an eigenvector is what RRᵀ has there and Ψ has not: the
    principal-factor method of factor analysis, on fixed axes.
    """
    first = root[:leading].double()
    values, vectors = eigh_descending(first @ first.mT)
    axes, wanted = vectors[:, :rank], values[:rank]
    variances = root.double().square().sum(1)
    total, along = variances[:leading], wanted
    for _ in range(_STEPS):
        rest = (total - axes.square() @ along).clamp_min(0.0)
        along = (wanted - rest @ axes.square()).clamp_min(0.0)
    low_rank = axes * along.sqrt()
    return low_rank, torch.cat([(total - low_rank.square().sum(1)).clamp_min(0.0), variances[leading:]])
