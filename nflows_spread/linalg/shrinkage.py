"""Shrinkage of a sample covariance of many features: of its correlations, or of entries of its Cholesky factor."""

from __future__ import annotations

import torch
from torch import Tensor

from nflows_spread.linalg.dense import covariance_cholesky
from nflows_spread.linalg.triangular import lower_quotient


def root_of_moment(moment: Tensor, rows: int, spread_variance: float, *, known: bool) -> Tensor:
    """A root of a second moment or covariance of latents, (D, D) in float64, which is written over.

    Correlations are shrunk to n / (n + D) of those found, so that few rows do not pretend to flat directions, and σ_Z²
    I is added for latents that are constant. Where the shape is known, as after a training, and there are more rows
    than features, the moment is taken as it is, if it can be decomposed.

    Args:
        moment: of n rows of D features.
        rows: n.
        spread_variance: σ_Z².
        known: whether n is not the only thing that speaks for its flat directions.
    """
    if known and rows > len(moment):
        root, info = torch.linalg.cholesky_ex(moment)
        return root if int(info) == 0 else covariance_cholesky(moment, moment.new_tensor(spread_variance))
    variances = moment.diagonal().clone()
    moment.mul_(rows / (rows + len(moment))).diagonal().copy_(variances)
    return covariance_cholesky(moment, moment.new_tensor(spread_variance))


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
