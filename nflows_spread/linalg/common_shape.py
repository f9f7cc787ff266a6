"""Covariances of one shape at several scales, s_m² C: the likeliest for given covariances of pieces."""

from __future__ import annotations

import torch
from torch import Tensor

from nflows_spread.linalg.dense import covariance_cholesky

_STEPS = 5
"""Alternations between scales and shape: a choice, as each step is exact where the pieces have one shape."""

_SMALLEST_SCALE = 1e-3
"""s_m² of a piece without variance, over the mean of all: a choice, as a scale must be above 0."""


def common_shape(weights: Tensor, covariances: Tensor, ridge: float) -> tuple[Tensor, Tensor]:
    """C, (D, D), and s², (M,), of mean 1 by the weights, for covariances C_m of pieces, (M, D, D), all float64.

    C = Σ_m w_m C_m / s_m² and s_m² ∝ tr((C + ridge · I)⁻¹ C_m) in turn, from scales in proportion to tr C_m: without
    the ridge the maximum of the likelihood, Σ_m w_m (log det s_m² C + tr C⁻¹C_m / s_m²) at its least. The ridge is at
    least what rounding may have left in C, so that directions without variance tell no scale.
    """
    squares = _normalised(covariances.diagonal(dim1=1, dim2=2).sum(1), weights)
    shape = torch.einsum("m,mij->ij", weights / squares, covariances)
    for _ in range(_STEPS):
        rounding = torch.finfo(shape.dtype).eps * len(shape) * shape.trace()
        inverse = torch.cholesky_inverse(covariance_cholesky(shape, rounding.clamp_min(ridge)))
        squares = _normalised(torch.einsum("ij,mij->m", inverse, covariances), weights)
        shape = torch.einsum("m,mij->ij", weights / squares, covariances)
    return shape, squares


def _normalised(squares: Tensor, weights: Tensor) -> Tensor:
    return (squares / (weights * squares).sum()).clamp_min(_SMALLEST_SCALE)
