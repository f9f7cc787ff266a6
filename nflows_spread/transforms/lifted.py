"""An autoencoder as two additive couplings of zero-padded data: an embedding into D + K features, K its coordinates."""

from __future__ import annotations

import torch
from nflows.transforms import Transform
from torch import Tensor, nn

from nflows_spread import validation


class LiftedCouplings(Transform):
    """x ↦ (r, c): c = e(x), then r = x − d(c), the additive couplings of (x, 0) in D + K features.

    So the code c of an autoencoder with encoder e and decoder d is K of the latents, what it leaves of x the others;
    ``inverse`` is exact on all that ``forward`` gives, whatever the nets: x = r + d(c). At r = 0 it is d(c). In
    D + K features the two couplings have determinant 1; as the data has no volume there, densities of a flow with this
    transform mean nothing, and its latents are for a ``Chart`` that keeps c.

    Args:
        encoder: a net from (n, D) to (n, K).
        decoder: a net from (n, K) to (n, D).
        features: D.
        rank: K.

    Shapes:
        inputs (n, D), outputs (n, D + K), the coordinates last; log-determinants, exact zeros, (n,).

    Reference: L. Dinh et al., NICE, ICLR workshop 2015, for additive couplings.
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module, *, features: int, rank: int) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.features = validation.positive_int("features", features)
        self.rank = validation.positive_int("rank", rank)

    def forward(self, inputs: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        _check_width("inputs", inputs, self.features)
        code = self.encoder(inputs).to(inputs.dtype)
        rest = inputs - self.decoder(code).to(inputs.dtype)
        return torch.cat([rest, code], dim=1), inputs.new_zeros(len(inputs))

    def inverse(self, inputs: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        _check_width("inputs", inputs, self.features + self.rank)
        rest, code = inputs.split([self.features, self.rank], dim=1)
        return rest + self.decoder(code).to(inputs.dtype), inputs.new_zeros(len(inputs))


def _check_width(name: str, inputs: Tensor, width: int) -> None:
    if inputs.dim() != 2 or inputs.shape[1] != width:
        raise ValueError(f"{name} must have shape (n, {width}), got {tuple(inputs.shape)}")
