"""Gaussian mixtures Σ_m w_m N(m_m, S_m) of full covariances: log-density, responsibilities, samples, moments."""

from __future__ import annotations

import torch
from torch import Tensor

from nflows_spread.linalg.spread_covariance import LOG_2PI

_ENTRIES = 2**16
"""Whitened coordinates of a block of rows and all pieces, 0.5 MB in float64, which stays in a cache: by measurement,
blocks of 32 MB took twice as long."""


def log_joint_of_mixture(z: Tensor, weights: Tensor, means: Tensor, covariances: Tensor) -> Tensor:
    """log w_m N(z; m_m, S_m), shape (n, M), float64; −∞ where the weight of a piece is 0.

    Args:
        z: points, shape (n, K).
        weights: w, shape (M,), which sum to 1.
        means: m, shape (M, K).
        covariances: S, shape (M, K, K), positive definite.

    Raises:
        torch.linalg.LinAlgError: a covariance is not positive definite.
    """
    cholesky = torch.linalg.cholesky(covariances.double())
    log_det = 2.0 * cholesky.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    at_most = weights.double().log() - 0.5 * (log_det + z.shape[1] * LOG_2PI)
    centre = weights.double() @ means.double()
    inverse = torch.linalg.solve_triangular(cholesky, torch.eye(z.shape[1]).to(cholesky), upper=False)
    moved = (inverse @ (means.double() - centre).unsqueeze(2)).flatten()
    rows = max(1, _ENTRIES // max(1, means.numel()))
    flat = inverse.flatten(0, 1)  # a copy, as solves leave their results by columns
    squares = [_squares(block.double() - centre, flat, moved) for block in z.split(rows)]
    return at_most - 0.5 * torch.cat(squares)


def _squares(z: Tensor, inverse: Tensor, moved: Tensor) -> Tensor:
    """|L_m⁻¹ (z − m_m)|² of rows about a centre, (n, M), with all L_m⁻¹, (M K, K), and L_m⁻¹ m_m, (M K,)."""
    whitened = z @ inverse.mT - moved
    return whitened.square().unflatten(1, (-1, z.shape[1])).sum(2)


def log_prob_of_mixture(z: Tensor, weights: Tensor, means: Tensor, covariances: Tensor) -> Tensor:
    """log Σ_m w_m N(z; m_m, S_m), shape (n,), in the dtype of the points; arguments as ``log_joint_of_mixture``."""
    return log_joint_of_mixture(z, weights, means, covariances).logsumexp(1).to(z.dtype)


def responsibilities_of_mixture(z: Tensor, weights: Tensor, means: Tensor, covariances: Tensor) -> Tensor:
    """The probability of each piece given the point, shape (n, M), float64; arguments as ``log_joint_of_mixture``."""
    return log_joint_of_mixture(z, weights, means, covariances).softmax(1)


def sample_of_mixture(
    num_samples: int,
    weights: Tensor,
    means: Tensor,
    covariances: Tensor,
    *,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Exact samples, shape (num_samples, K), float64, in the order in which their pieces are drawn.

    Raises:
        torch.linalg.LinAlgError: a covariance is not positive definite.
    """
    chosen = torch.multinomial(weights.double(), num_samples, replacement=True, generator=generator)
    return sample_of_pieces(chosen, means, covariances, generator=generator)


def sample_of_pieces(
    chosen: Tensor, means: Tensor, covariances: Tensor, *, generator: torch.Generator | None = None
) -> Tensor:
    """Exact samples of the pieces at the indices (n,), one each, shape (n, K), float64.

    Raises:
        torch.linalg.LinAlgError: a covariance is not positive definite.
    """
    cholesky = torch.linalg.cholesky(covariances.double())
    samples = torch.empty(len(chosen), means.shape[1], dtype=torch.float64, device=means.device)
    samples.normal_(generator=generator)
    for piece in chosen.unique().tolist():
        rows = chosen == piece
        samples[rows] = means[piece].double() + samples[rows] @ cholesky[piece].mT
    return samples


def moments_of_mixture(weights: Tensor, means: Tensor, covariances: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (K,) and covariance (K, K) of the mixture as a whole, float64: that within the pieces and that between them.

    Cov = Σ_m w_m S_m + Σ_m w_m (m_m − m̄)(m_m − m̄)ᵀ.
    """
    w, m = weights.double(), means.double()
    mean = w @ m
    between = m - mean
    within = torch.einsum("m,mij->ij", w, covariances.double())
    return mean, within + (between * w.unsqueeze(1)).mT @ between
