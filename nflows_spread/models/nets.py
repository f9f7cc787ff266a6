"""The nets inside couplings: what the paper's tables call widths."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nflows_spread import validation
from nflows_spread.linalg.by_columns import lies_by_columns, takes_closed_form
from nflows_spread.linalg.stacked_nets import plain_stacked_nets, stacked_nets

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
        if context_features is not None:
            validation.positive_int("context_features", context_features)
        self.context_features = context_features
        hidden = validation.sizes("hidden_features", hidden_features)
        widths = [in_features + (context_features or 0), *hidden, out_features // 2]
        self.weights = nn.ParameterList(nn.Parameter(torch.empty(2, m, n)) for m, n in pairwise(widths))
        self.biases = nn.ParameterList(nn.Parameter(torch.empty(2, 1, n)) for n in widths[1:])
        for weight, bias in zip(self.weights, self.biases):
            bound = 1.0 / math.sqrt(weight.shape[1])  # torch.nn.Linear's
            nn.init.uniform_(weight, -bound, bound)
            nn.init.uniform_(bias, -bound, bound)

    def forward(self, inputs: Tensor, context: Tensor | None = None) -> Tensor:
        if (context is None) != (self.context_features is None):
            raise ValueError(
                f"context must have {self.context_features} features, got no context"
                if context is None
                else f"this net takes no context, got one of shape {tuple(context.shape)}"
            )
        hidden = inputs if context is None else torch.cat([inputs, context], dim=1)
        # the dictionaries behind the lists: indexing a ParameterList takes half as long as a small product
        weights, biases = (
            [cast(Tensor, parameter) for parameter in parameters._parameters.values()]
            for parameters in (self.weights, self.biases)
        )
        run = stacked_nets if lies_by_columns(hidden) and takes_closed_form(hidden) else plain_stacked_nets
        return run(hidden, weights, biases, LEAKY_SLOPE)


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


class GlowNet(nn.Module):
    """Three convolutions with kernels 3, 1, 3 and ReLUs between them, the last one zero at the start (section C.6).

    With it a coupling starts as the identity. A context, such as a one-hot class, is mapped to one
    number for each hidden channel, which joins the first layer at every pixel.

    Args:
        in_channels: channels that the coupling leaves alone.
        out_channels: shifts and raw scales together.
        hidden_channels: channels of the two hidden layers.
        context_features: width of the context, or None.

    Shapes:
        inputs (n, in_channels, height, width), context (n, context_features);
        outputs (n, out_channels, height, width), contiguous also where the weights are in the ``channels_last``
        format and the convolutions therefore compute in it: halves of the channels are then blocks.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, hidden_channels: int, context_features: int | None = None
    ) -> None:
        super().__init__()
        self.context_features = context_features
        self.first = nn.Conv2d(in_channels, hidden_channels, 3, padding=1)
        self.second = nn.Conv2d(hidden_channels, hidden_channels, 1)
        self.last = nn.Conv2d(hidden_channels, out_channels, 3, padding=1)
        self.embedding = None if context_features is None else nn.Linear(context_features, hidden_channels, bias=False)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(cast(Tensor, self.last.bias))

    def forward(self, inputs: Tensor, context: Tensor | None = None) -> Tensor:
        hidden = self.first(inputs)
        if self.embedding is not None:
            hidden = hidden + self.embedding(self._checked(context, len(inputs)))[:, :, None, None]
        elif context is not None:
            raise ValueError(f"this net takes no context, got one of shape {tuple(context.shape)}")
        hidden = F.relu_(hidden)  # in place: the convolutions do not need what they gave
        hidden = F.relu_(self.second(hidden))
        outputs: Tensor = self.last(hidden)
        return outputs.contiguous()

    def _checked(self, context: Tensor | None, rows: int) -> Tensor:
        if context is None or tuple(context.shape) != (rows, self.context_features):
            raise ValueError(
                f"context must have shape ({rows}, {self.context_features}), one row for each image, got "
                f"{'no context' if context is None else f'one of shape {tuple(context.shape)}'}"
            )
        return context
