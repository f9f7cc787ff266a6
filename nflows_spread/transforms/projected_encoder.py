"""An encoder followed by a step of Gauss-Newton towards the decoder's nearest point: orthogonal projection, nearly."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

_DAMPING = 1e-3
"""Added to JᵀJ, as a share of its mean diagonal. From trials on smooth sets, a roll, noisy sets and a table, where a
hundred times as much left the same, and two or three steps no less than one by more than a hundredth."""


class DifferentiableDecoder(Protocol):
    """A decoder that knows its derivatives."""

    def __call__(self, code: Tensor, /) -> Tensor:
        """The points (n, D) of codes (n, K)."""

    def with_tangents(self, code: Tensor, /) -> tuple[Tensor, Tensor]:
        """The same, and their derivatives in the direction of each coordinate, (n, K, D)."""


class ProjectedEncoder(nn.Module):
    """c = e(x) + (JᵀJ + λ)⁻¹ Jᵀ (x − d(e(x))), J the decoder's Jacobian; where that is farther from x, e(x) alone.

    An encoder that was trained on few rows errs on others along the decoder's image, where the decoder itself tells
    which point is nearest.

    Args:
        encoder: e, from (n, D) to (n, K).
        decoder: d, from (n, K) to (n, D), a module.

    Reference: J. Nocedal, S. J. Wright, Numerical Optimization, 2006, section 10.3.
    """

    def __init__(self, encoder: nn.Module, decoder: DifferentiableDecoder) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def forward(self, inputs: Tensor) -> Tensor:
        """The code of rows (n, D), shape (n, K)."""
        code = self.encoder(inputs)
        points, tangents = self.decoder.with_tangents(code)
        rest, metric = inputs - points, tangents @ tangents.mT
        damping = _DAMPING * metric.diagonal(dim1=1, dim2=2).mean(1) + torch.finfo(code.dtype).tiny
        damped = metric + damping.view(-1, 1, 1) * torch.eye(code.shape[1], dtype=code.dtype, device=code.device)
        step = torch.linalg.solve_ex(damped, tangents @ rest.unsqueeze(2)).result.squeeze(2)
        nearer = (inputs - self.decoder(code + step)).square().sum(1) < rest.square().sum(1)
        return torch.where(nearer.unsqueeze(1), code + step, code)
