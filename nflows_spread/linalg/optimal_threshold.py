"""Optimal hard threshold for singular values: how many principal components stand above noise of unknown level."""

from __future__ import annotations

import torch
from torch import Tensor


def components_above_noise(singular_values: Tensor, rows: int, columns: int) -> int:
    """The number of singular values of a matrix above the threshold that is optimal for white noise in all its entries.

    It is ω(β) times their median, β the ratio of the shorter side to the longer, ω by the authors' cubic, which is off
    by at most 0.02: what noise of an unknown level alone would leave above the median is taken for noise. Where the
    values fall off without noise, more are counted, as many as stand far above half of them.

    Args:
        singular_values: all of them, shape (min(n, D),), in descending order.
        rows: n.
        columns: D.

    Reference: M. Gavish, D. Donoho, The optimal hard threshold for singular values is 4/√3, IEEE Transactions on
    Information Theory 60 (2014), equation 5.
    """
    beta = min(rows, columns) / max(rows, columns)
    omega = 0.56 * beta**3 - 0.95 * beta**2 + 1.82 * beta + 1.43
    return int((singular_values > omega * torch.median(singular_values)).sum())
