"""Which columns depend on each other, in whatever way: distance correlation of their ranks, and its test."""

from __future__ import annotations

import torch
from torch import Tensor


def distance_correlations(x: Tensor) -> Tensor:
    """The bias-corrected squared distance correlation of the ranks of every two columns, (D, D).

    It is 0 in the mean where two columns are independent, and only there its limit is 0; 1 for a column and itself. The
    ranks of a column have the same distances from each other whatever the column, so that no scale and no outlier
    counts. Equal values are ranked in their order.

    Args:
        x: n rows, (n, D), n at least 4.

    References:
        G. Székely, M. Rizzo, Partial distance correlation with methods for dissimilarities, Annals of Statistics 42,
        2014.
    """
    size = len(x)
    ranks = x.argsort(dim=0, stable=True).argsort(dim=0).mT.to(torch.float32)  # (D, n)
    distances = (ranks.unsqueeze(2) - ranks.unsqueeze(1)).abs_().flatten(1)
    # whole numbers, of which a row's sum depends on its own rank alone
    sums = 0.5 * (ranks * (ranks + 1.0) + (size - 1.0 - ranks) * (size - ranks)).double()
    total = float(sums[0].sum()) if len(sums) else 0.0
    products = (distances @ distances.mT).double()
    covariances = products - 2.0 / (size - 2) * (sums @ sums.mT) + total**2 / ((size - 1) * (size - 2))
    deviations = covariances.diagonal().sqrt()
    return covariances / deviations.unsqueeze(1) / deviations


def p_values(correlations: Tensor, size: int) -> Tensor:
    """An upper bound of the probability of so much distance correlation in n rows of independent columns.

    Args:
        correlations: bias-corrected and squared, of any shape.
        size: n.

    References:
        C. Shen, S. Panda, J. Vogelstein, The chi-square test of distance correlation, Journal of Computational and
        Graphical Statistics 31, 2022.
    """
    return torch.special.erfc((0.5 * (size * correlations + 1.0).clamp_min(0.0)).sqrt())
