"""Linear gauges of the latent space: a transform of any host, and a matrix after it."""

import torch
from nflows.transforms import CompositeTransform

from nflows_spread import decode
from nflows_spread.hosts import encode_with_logabsdet


class Gauge(CompositeTransform):
    """A transform, and a linear map of its latents."""

    def __init__(self, transform, matrix):
        super().__init__([transform])
        self.matrix = matrix

    def forward(self, inputs, context=None):
        z, logabsdet = super().forward(inputs, context)
        return (z.flatten(1) @ self.matrix.mT).view_as(z), logabsdet + torch.linalg.slogdet(self.matrix).logabsdet

    def inverse(self, inputs, context=None):
        rows = torch.linalg.solve(self.matrix, inputs.flatten(1).mT).mT
        return super().inverse(rows.view_as(inputs), context)


class WholeFlow(torch.nn.Module):
    """The layers of any host's flow as a transform of nflows: data to latent."""

    def __init__(self, flow):
        super().__init__()
        self.flow = flow

    def forward(self, x, context=None):
        return encode_with_logabsdet(self.flow, x, context)

    def inverse(self, z, context=None):
        return decode(self.flow, z, context), z.new_zeros(len(z))


def same_up_to_signs(found, expected, **tolerance):
    """Columns agree, each with a sign of its own; ``nan`` only where both have it."""
    signs = (found * expected).nansum(0).sign()
    torch.testing.assert_close(found * signs, expected, equal_nan=True, **tolerance)
