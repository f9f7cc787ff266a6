"""Quadratic features 1, x, x xᵀ of rows, by which all pieces of a Gaussian mixture have log-densities and moments.

Either is one product of matrices for all rows and pieces, of half the operations of going through them one by one. It
loses the digits by which the square of a row's distance from the mean of all exceeds the least variance of a piece.
"""

from __future__ import annotations

import torch
from torch import Tensor

from nflows_spread.linalg.spread_covariance import LOG_2PI

_MOST_FEATURES, _MOST_ENTRIES = 32, 2**22
"""K, and entries of all features, 32 MB in float64, up to which they pay. From measurements with 1 to 64 pieces: they
take a fifth to nine tenths of the time one by one, and twice as long at K = 64 or where they must be made anew."""

_LOST = 1e-6
"""Error of a log-density, in nats, up to which digits may be lost: a choice; expectation maximisation ends at more."""


class QuadraticFeatures:
    """Of points about their mean, (n, 1 + K + K (K + 1) / 2).

    Args:
        points: x, shape (n, K), float64.
    """

    def __init__(self, points: Tensor) -> None:
        self._centre = points.mean(0)
        x, self._dimension = points - self._centre, points.shape[1]
        self._first, self._second = torch.triu_indices(self._dimension, self._dimension, device=points.device)
        self._values = torch.cat([torch.ones_like(x[:, :1]), x, x[:, self._first] * x[:, self._second]], dim=1)

    @classmethod
    def where_they_pay(cls, points: Tensor, floor: float) -> QuadraticFeatures | None:
        """Those of points (n, K), or None where one by one is faster, needs much less memory, or is exact.

        Args:
            points: x.
            floor: the least variance of a piece.
        """
        rows, features = points.shape
        if features > _MOST_FEATURES or rows * (features + 1) * (features + 2) // 2 > _MOST_ENTRIES:
            return None
        largest = float((points - points.mean(0)).square().sum(1).max())
        return cls(points) if largest * torch.finfo(points.dtype).eps <= _LOST * floor else None

    def log_joint(self, weights: Tensor, means: Tensor, covariances: Tensor) -> Tensor:
        """log w_m N(x; m_m, S_m), shape (n, M); arguments as ``gaussian_mixture.log_joint_of_mixture``, float64."""
        cholesky = torch.linalg.cholesky(covariances)
        precisions, moved = torch.cholesky_inverse(cholesky), (means - self._centre).unsqueeze(2)
        linear = precisions @ moved
        log_det = 2.0 * cholesky.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        constant = log_det + means.shape[1] * LOG_2PI + (linear * moved).sum((1, 2))
        of_products = -precisions[:, self._first, self._second]
        of_products[:, self._first == self._second] /= 2.0
        coefficients = torch.cat([(weights.log() - 0.5 * constant).unsqueeze(1), linear.squeeze(2), of_products], dim=1)
        return self._values @ coefficients.mT

    def moments(self, responsibilities: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Σ_n r_nm (M,), the weighted means (M, K) and the sums Σ_n r_nm (x_n − m_m)(x_n − m_m)ᵀ (M, K, K).

        Of a piece whose responsibilities (n, M) are all 0 the mean is that of all points.
        """
        sums, features = responsibilities.mT @ self._values, self._dimension
        counts, first, upper = sums[:, 0], sums[:, 1 : 1 + features], sums[:, 1 + features :]
        means = torch.where((counts == 0.0).unsqueeze(1), torch.zeros_like(first), first / counts.unsqueeze(1))
        second = sums.new_empty(len(sums), features, features)
        second[:, self._first, self._second] = upper
        second[:, self._second, self._first] = upper
        scatter = second - first.unsqueeze(2) * means.unsqueeze(1)
        return counts, means + self._centre, scatter
