"""The nets inside couplings: what the paper's tables call widths."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LEAKY_SLOPE = 0.2


class ScaleAndShiftNet(nn.Module):
    """Two separate fully connected nets, t and s, with leaky ReLUs (section C.1), run as one.

    Their weights are stacked, so that a layer of both costs one batched product instead of two
    products; toy models are bound by the number of operations and not by their size.

    Args:
        in_features: inputs of each net, without the context.
        out_features: outputs of both together, shifts first; even.
        hidden_features: widths of the hidden layers.
        context_features: width of the context that joins the inputs, or None.

    Shapes:
        inputs (n, in_features), context (n, context_features); outputs (n, out_features).
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        hidden_features: Sequence[int],
        context_features: int | None = None,
    ) -> None:
        super().__init__()
        self.context_features = context_features
        widths = [in_features + (context_features or 0), *hidden_features, out_features // 2]
        self.weights = nn.ParameterList(nn.Parameter(torch.empty(2, m, n)) for m, n in pairwise(widths))
        self.biases = nn.ParameterList(nn.Parameter(torch.empty(2, 1, n)) for n in widths[1:])
        for weight, bias in zip(self.weights, self.biases):
            bound = 1.0 / math.sqrt(weight.shape[1])  # torch.nn.Linear's
            nn.init.uniform_(weight, -bound, bound)
            nn.init.uniform_(bias, -bound, bound)

    def forward(self, inputs: Tensor, context: Tensor | None = None) -> Tensor:
        if (context is None) != (self.context_features is None):
            raise ValueError(
                f"context must have {self.context_features} features, got "
                f"{'no context' if context is None else f'one of shape {tuple(context.shape)}'}"
            )
        hidden = inputs if context is None else torch.cat([inputs, context], dim=1)
        hidden = hidden.expand(2, *hidden.shape)
        last = len(self.weights) - 1
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases)):
            hidden = torch.baddbmm(bias, hidden, weight)
            if i < last:
                hidden = F.leaky_relu(hidden, LEAKY_SLOPE)
        return hidden.transpose(0, 1).flatten(1)


class ConvolutionalNet(nn.Sequential):
    """Three 3×3 convolutions with leaky ReLUs between them (section C.1); s and t share all but the last.

    Args:
        in_channels: channels that the coupling leaves alone.
        out_channels: shifts and raw scales together.
        hidden_channels: channels of the two hidden layers.
    """

    def __init__(self, in_channels: int, out_channels: int, *, hidden_channels: int) -> None:
        super().__init__(
            nn.Conv2d(in_channels, hidden_channels, 3, padding=1),
            nn.LeakyReLU(LEAKY_SLOPE),
            nn.Conv2d(hidden_channels, hidden_channels, 3, padding=1),
            nn.LeakyReLU(LEAKY_SLOPE),
            nn.Conv2d(hidden_channels, out_channels, 3, padding=1),
        )

    def forward(self, inputs: Tensor, context: Tensor | None = None) -> Tensor:
        if context is not None:
            raise ValueError(f"this net takes no context, got one of shape {tuple(context.shape)}")
        return super().forward(inputs)  # type: ignore[no-untyped-call]
