"""FrEIA's invertible networks, ``SequenceINN`` and ``GraphINN``, as an nflows transform.

FrEIA has no bases and no flows: its networks map data to latents, and their users write the density themselves. So here
they become a transform of an nflows ``Flow``, which has both.
"""

from __future__ import annotations

from typing import cast

from nflows.transforms import Transform
from torch import Tensor, nn


class FrEIATransform(Transform):
    """A network of FrEIA, data → latent, with one input and one output.

    Args:
        network: a ``SequenceINN`` or ``GraphINN``, or any other module that is called as they are.

    Shapes:
        those of the network; the context is its one condition.

    Raises:
        TypeError: ``network`` is no module.

    Example:
        >>> import torch
        >>> from FrEIA.framework import SequenceINN
        >>> from FrEIA.modules import PermuteRandom
        >>> from nflows.flows import Flow
        >>> from nflows_spread import DegenerateGaussian, encode
        >>> network = SequenceINN(4)
        >>> _ = network.append(PermuteRandom, seed=0)
        >>> encode(Flow(FrEIATransform(network), DegenerateGaussian([4])), torch.randn(5, 4)).shape
        torch.Size([5, 4])
    """

    def __init__(self, network: nn.Module) -> None:
        if not isinstance(network, nn.Module):
            raise TypeError(f"network must be a SequenceINN or GraphINN of FrEIA, got {network!r}; build it first")
        super().__init__()
        self.network = network

    def forward(self, inputs: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self._run(inputs, context, backwards=False)

    def inverse(self, inputs: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self._run(inputs, context, backwards=True)

    def _run(self, inputs: Tensor, context: Tensor | None, *, backwards: bool) -> tuple[Tensor, Tensor]:
        conditions = None if context is None else [context]
        outputs, logabsdet = self.network(inputs, conditions, rev=backwards, jac=True)
        if not isinstance(logabsdet, Tensor):  # an empty network has a plain 0
            logabsdet = inputs.new_zeros(len(inputs)) + logabsdet
        return cast(Tensor, outputs), logabsdet.to(inputs.dtype).expand(len(inputs))
