"""Conditional variances of latents by expectation maximisation: pieces about 0 that are semi-tied, T diag(v_m) Tᵀ."""

from __future__ import annotations

import torch
from torch import Tensor

from nflows_spread.distributions.latent_pieces import Blocks
from nflows_spread.distributions.latent_scales import LatentScales
from nflows_spread.linalg.cholesky_pieces import log_probs_of_whitened, whitened_by
from nflows_spread.linalg.moments import add_to_diagonal
from nflows_spread.linalg.spread_covariance import cholesky_of

_PASSES = 2
"""Over the latents, at O(D²) a row: a choice, as the first has the scales to tell them apart, and training goes on."""

_PRIOR_ROWS = 20.0
"""Latents of the common shape that each piece is given beside its own, so that few do not pretend to flat features: a
choice."""


def conditionals_of_latents(latents: Blocks, scales: LatentScales, spread_variance: float) -> tuple[Tensor, Tensor]:
    """Weights (M,) and v_mi / L_ii² (M, D) of pieces that begin as scales of one shape LLᵀ, float64.

    Args:
        latents: the blocks, asked for twice.
        scales: weights, s² and the root R of the shape.
        spread_variance: σ_Z².
    """
    weights, squares, root = scales
    spread = add_to_diagonal(root @ root.mT, spread_variance)
    cholesky = cholesky_of(spread.mT)[0]
    own, zero = cholesky.diagonal().square(), torch.zeros_like(root[:1])
    whitened = squares.unsqueeze(1).expand(-1, len(root))
    for _ in range(_PASSES):
        counts, sums, rows = torch.zeros_like(weights), torch.zeros_like(whitened), 0
        for block in latents():
            x, centre = whitened_by(cholesky, block.flatten(1), zero)
            centres = centre.expand_as(whitened)
            joint = weights.log() + log_probs_of_whitened(x, centres, cholesky, whitened * own)
            given = joint.softmax(1)
            counts += given.sum(0)
            sums += given.mT @ x.square()
            rows += len(x)
        squares = sums.mean(1, keepdim=True) / counts.clamp_min(torch.finfo(sums.dtype).tiny).unsqueeze(1)
        found = (sums + _PRIOR_ROWS * squares) / (counts.unsqueeze(1) + _PRIOR_ROWS)
        seen = counts > 0.0
        whitened = torch.where(seen.unsqueeze(1), found, whitened).clamp_min(torch.finfo(sums.dtype).eps)
        weights = counts / rows
    return weights, whitened
