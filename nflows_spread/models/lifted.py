"""A flow of two additive couplings of zero-padded data: an autoencoder that starts as principal component analysis."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import torch
from nflows.distributions import Distribution, StandardNormal
from nflows.flows import Flow
from torch import Tensor, nn

from nflows_spread import validation
from nflows_spread.transforms.lifted import LiftedCouplings


class LinearAndNet(nn.Module):
    """x ↦ x A + net(x / s): a fixed linear map and what a net adds, nothing at the start.

    Args:
        matrix: A, (m, n).
        hidden_features: widths of the net's hidden layers; empty for no net.
        scale: s of each input, (m,), by default 1.
    """

    scale: Tensor | None

    def __init__(self, matrix: Tensor, hidden_features: Sequence[int], *, scale: Tensor | None = None) -> None:
        super().__init__()
        # a parameter, though none that is trained: hosts take a flow's dtype from its parameters
        self.matrix = nn.Parameter(matrix.detach().clone(memory_format=torch.contiguous_format), requires_grad=False)
        self.register_buffer("scale", scale)
        self.net = _net([matrix.shape[0], *hidden_features, matrix.shape[1]]) if hidden_features else None

    def forward(self, inputs: Tensor) -> Tensor:
        linear = inputs @ self.matrix
        if self.net is None:
            return linear
        return linear + self.net(inputs if self.scale is None else inputs / self.scale)

    def with_tangents(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """The outputs (n, n') of inputs (n, m), and their derivatives in each input, (n, m, n')."""
        tangents = self.matrix.expand(len(inputs), -1, -1)
        if self.net is None:
            return inputs @ self.matrix, tangents
        scale = torch.ones_like(self.matrix[:, 0]) if self.scale is None else self.scale
        hidden, pushed = inputs / scale, torch.diag(1.0 / scale)
        for layer in self.net:
            if isinstance(layer, nn.Linear):
                hidden, pushed = layer(hidden), pushed @ layer.weight.mT
            else:  # SiLU, h σ(h)
                sigmoid = hidden.sigmoid()
                slope = sigmoid * (1.0 + hidden * (1.0 - sigmoid))
                hidden, pushed = layer(hidden), slope.unsqueeze(1) * pushed
        return inputs @ self.matrix + hidden, tangents + pushed

    def features(self, inputs: Tensor) -> Tensor:
        """What the outputs are linear in: the inputs (n, m) and the net's last hidden layer, (n, m + F)."""
        if self.net is None:
            return inputs
        hidden = self.net[:-1](inputs if self.scale is None else inputs / self.scale)
        return torch.cat([inputs, hidden], dim=1)

    @property
    def last_layer(self) -> tuple[Tensor, Tensor]:
        """The outputs' weights of ``features``, (m + F, n), and their bias, (n,)."""
        if self.net is None:
            return self.matrix, self.matrix.new_zeros(self.matrix.shape[1])
        last = cast(nn.Linear, self.net[-1])
        return torch.cat([self.matrix, last.weight.mT]), last.bias

    @torch.no_grad()
    def set_last_layer(self, weight: Tensor, bias: Tensor) -> None:
        """Set what ``last_layer`` gives, of a map with a net."""
        if self.net is None:
            raise ValueError("the map must have a net to have a last layer, got none; give hidden_features")
        last, inputs = cast(nn.Linear, self.net[-1]), len(self.matrix)
        self.matrix.copy_(weight[:inputs])
        last.weight.copy_(weight[inputs:].mT)
        last.bias.copy_(bias)


def lifted_flow(
    axes: Tensor,
    *,
    encoder_features: Sequence[int] = (128, 128, 128),
    decoder_features: Sequence[int] = (128, 128, 128),
    scale: Tensor | None = None,
    base: Distribution | None = None,
) -> Flow:
    """An nflows ``Flow`` from D to D + K features whose last K latents are an autoencoder's code.

    c = x A + h(x) and r = x − (c Aᵀ + g(c)), see ``LiftedCouplings``; with the axes of the data's principal components
    it starts as these. Weights are drawn from torch's global generator.

    Args:
        axes: A, orthonormal in columns, (D, K).
        encoder_features: widths of the hidden layers of h; empty for h = 0.
        decoder_features: widths of those of g; empty for g = 0.
        scale: of the coordinates, (K,), by which those that g sees are divided; by default 1.
        base: over (r, c); a standard Gaussian if None. Densities under it mean nothing, as D + K is above D.

    Example:
        >>> flow = lifted_flow(torch.eye(3)[:, :2])
        >>> x = torch.randn(5, 3)
        >>> z = flow.transform_to_noise(x)
        >>> z.shape, torch.equal(z[:, 3:], x[:, :2])
        (torch.Size([5, 5]), True)
    """
    couplings = lifted_couplings(
        axes, encoder_features=encoder_features, decoder_features=decoder_features, scale=scale
    )
    return Flow(couplings, StandardNormal([couplings.features + couplings.rank]) if base is None else base)


def lifted_couplings(
    axes: Tensor,
    *,
    encoder_features: Sequence[int] = (128, 128, 128),
    decoder_features: Sequence[int] = (128, 128, 128),
    scale: Tensor | None = None,
) -> LiftedCouplings:
    """The transform of ``lifted_flow``. Arguments are the same."""
    if validation.floating("axes", axes).dim() != 2:
        raise ValueError(f"axes must be a matrix (D, K), got shape {tuple(axes.shape)}")
    features, rank = axes.shape
    encoder = LinearAndNet(axes, encoder_features)
    decoder = LinearAndNet(axes.mT, decoder_features, scale=scale)
    return LiftedCouplings(encoder, decoder, features=features, rank=rank)


def _net(widths: Sequence[int]) -> nn.Sequential:
    """Linear layers with SiLUs between them, the last one zero."""
    layers: list[nn.Module] = []
    for i, (m, n) in enumerate(pairwise(widths)):
        layers += [nn.SiLU()] if i > 0 else []
        layers.append(nn.Linear(m, n))
    for parameter in layers[-1].parameters():
        nn.init.zeros_(parameter)
    return nn.Sequential(*layers)
