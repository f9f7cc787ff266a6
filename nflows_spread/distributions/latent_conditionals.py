"""Conditional variances of latents by expectation maximisation: pieces about 0 that are semi-tied, T diag(v_m) Tᵀ."""

from __future__ import annotations

import torch
from torch import Tensor

from nflows_spread.distributions.latent_pieces import Blocks
from nflows_spread.linalg.cholesky_pieces import log_probs_of_whitened, whitened_by

_MOST_PASSES = 12
"""Over the latents, at O(D²) a row: a choice. On latents of a Glow at 16×16 pixels 32 pieces had after 10 of them what
they had after 30, but 0.7 nats."""

_GAIN = 1e-4
"""In nats a feature, below which one more pass is not made: a choice, far below the sampling error of most latents."""

_PRIOR_ROWS = 20.0
"""Latents of the common shape that each piece is given beside its own, so that few do not pretend to flat features: a
choice; 100 were a little worse on latents of a Glow that were held out."""


def conditionals_of_latents(
    latents: Blocks, weights: Tensor, squares: Tensor, cholesky: Tensor
) -> tuple[Tensor, Tensor]:
    """Weights (M,) and v_mi / L_ii² (M, D) of pieces that begin as scales of one shape LLᵀ, float64.

    Args:
        latents: the blocks, asked for at most twelve times.
        weights: of the scales, (M,).
        squares: s², (M,).
        cholesky: L, (D, D).
    """
    own, zero = cholesky.diagonal().square(), torch.zeros_like(cholesky[:1])
    whitened, before = squares.unsqueeze(1).expand(-1, len(cholesky)), -torch.inf
    for _ in range(_MOST_PASSES):
        counts, sums, rows, reached = torch.zeros_like(weights), torch.zeros_like(whitened), 0, 0.0
        for block in latents():
            x, centre = whitened_by(cholesky, block.flatten(1), zero)
            centres = centre.expand_as(whitened)
            joint = weights.log() + log_probs_of_whitened(x, centres, cholesky, whitened * own)
            given = joint.softmax(1)
            counts += given.sum(0)
            sums += given.mT @ x.square()
            rows += len(x)
            reached += float(joint.logsumexp(1).sum())
        mean_squares = sums.mean(1, keepdim=True) / counts.clamp_min(torch.finfo(sums.dtype).tiny).unsqueeze(1)
        found = (sums + _PRIOR_ROWS * mean_squares) / (counts.unsqueeze(1) + _PRIOR_ROWS)
        seen = counts > 0.0
        whitened = torch.where(seen.unsqueeze(1), found, whitened).clamp_min(torch.finfo(sums.dtype).eps)
        weights = counts / rows
        if reached / rows - before < _GAIN * len(cholesky):
            break
        before = reached / rows
    return weights, whitened
