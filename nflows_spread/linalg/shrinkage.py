"""Shrinkage of a sample covariance of many features: soft-thresholded entries of its Cholesky factor."""

from __future__ import annotations

import torch
from torch import Tensor

from nflows_spread.linalg.triangular import lower_quotient


def shrunk_cholesky(cholesky: Tensor, threshold: float) -> Tensor:
    """The Cholesky factor T diag(√v), (D, D), of a covariance near LLᵀ whose weak dependences are taken for chance.

    With x_j the part of feature j that those before it do not tell, scaled to variance 1, feature i is Σ_j L_ij x_j. As
    the x_j do not depend on each other, each L_ij / L_ii with j < i has the sampling error 1 / √n of n points: it moves
    towards 0 by the threshold, and no farther (Donoho, 1995). T is the unit triangle of what is left, and v what is
    likeliest with it, the variances of T⁻¹z for covariance LLᵀ.

    L itself is returned where Akaike's criterion prefers it, as it does where errors of the x_j grow from feature to
    feature: where T⁻¹ is large.

    Args:
        cholesky: L, (D, D), lower-triangular, in float64.
        threshold: about 1 / √n, which is taken to be that.
    """
    diagonal = cholesky.diagonal()
    below = torch.nn.functional.softshrink(cholesky.tril(-1) / diagonal.unsqueeze(1), threshold)
    lost = len(diagonal) * (len(diagonal) - 1) / 2 - torch.count_nonzero(below)  # parameters
    kept = (below * diagonal.unsqueeze(1)).add_(torch.diag(diagonal))
    growth = lower_quotient(kept, cholesky).square().sum(1)  # v over the L_ii²
    better = 0.5 * growth.log().sum() < lost * threshold**2
    return torch.where(better, kept * growth.sqrt(), cholesky)
