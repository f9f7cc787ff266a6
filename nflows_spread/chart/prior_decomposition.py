"""The prior's generalised eigendecomposition S w = μ N w, kept for as long as a flow stays the same."""

from __future__ import annotations

from typing import NamedTuple
from weakref import WeakKeyDictionary, ref

import torch
from torch import Tensor, nn

from nflows_spread.chart.inverse import encoded
from nflows_spread.chart.prior_moments import at_rows, prior_moments
from nflows_spread.hosts import base_of
from nflows_spread.linalg.last_result import LastResult
from nflows_spread.linalg.signal_to_noise import generalised_eigh
from nflows_spread.linalg.torch_func import under_transforms

_POINTS = 4
"""Points that must have the latents that they had: a choice; they cost one pass through the encoder."""


class PriorDecomposition(NamedTuple):
    """What coordinates by signal-to-noise are made of, float64, and a few points of the prior.

    Attributes:
        mean: m, (D,).
        values: μ, descending, (D,).
        forth: W, (D, D), in columns.
        back: WᵀN, (D, D), in rows.
        points: in data space, (p, ...), with ``context``, one row for each, or None.
        latents: of the points, bit for bit as the flow gave them.
    """

    mean: Tensor
    values: Tensor
    forth: Tensor
    back: Tensor
    points: Tensor
    context: Tensor | None
    latents: Tensor


_LAST: WeakKeyDictionary[nn.Module, LastResult[PriorDecomposition]] = WeakKeyDictionary()
"""By flow, and not in it, so that what users copy and store is theirs alone; each goes when its flow does."""


@torch.inference_mode(False)
@torch.no_grad()
def prior_decomposition(flow: nn.Module, context: Tensor | None = None) -> PriorDecomposition:
    """μ, W and WᵀN of a flow's prior and its response under it; not to be written over.

    The last one of each flow is kept, with a copy of the parameters and buffers. It is found again if all of them are
    the same number by number, and the flow gives a few points the same latents: so what it keeps elsewhere, in a list
    or a closure, counts too.

    Args:
        flow: a flow of any host with a Gaussian base.
        context: conditioning inputs over which the response is averaged, (n, ...).

    Raises:
        TypeError, ValueError: as for ``prior_moments``.
    """
    numbers = [*flow.parameters(), *flow.buffers(), *([] if context is None else [context])]
    if under_transforms(*numbers) or any(value.is_meta for value in numbers):  # no numbers to compare
        return _decomposed(flow, context)
    kinds = tuple(ref(module) for module in base_of(flow).modules())  # they say what their numbers mean

    def holds(found: PriorDecomposition) -> bool:
        return torch.equal(encoded(flow, found.points, found.context), found.latents)

    return _LAST.setdefault(flow, LastResult()).of(lambda: _decomposed(flow, context), numbers, kinds, holds=holds)


def _decomposed(flow: nn.Module, context: Tensor | None) -> PriorDecomposition:
    mean, covariance, response = prior_moments(flow, context)
    values, vectors = generalised_eigh(covariance, response)
    back = vectors.mT @ response
    drawn = torch.randn(_POINTS, len(mean), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    points, given = at_rows(flow, mean + drawn.to(mean) * values.sqrt() @ back, context)
    return PriorDecomposition(mean, values, vectors, back, points, given, encoded(flow, points, given))
