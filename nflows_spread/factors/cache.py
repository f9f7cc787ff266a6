"""A cache of the last eigendecomposition, valid as long as the numbers that it was computed from are the same."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from nflows_spread.linalg.last_result import LastResult
from nflows_spread.linalg.torch_func import under_transforms

Decomposition = tuple[Tensor, Tensor]


def cached_eigh(factor: nn.Module, compute: Callable[[], Decomposition], *inputs: Tensor) -> Decomposition:
    """What ``compute`` gives for these inputs, on which alone it must depend, from the factor's cache if it is there.

    The cache costs as much as the inputs and the result together, and O(D²) against the O(D³) of a decomposition. Who
    asks may write over what comes back.
    """
    if under_transforms(*inputs) or any(value.is_meta for value in inputs):  # no numbers to compare
        return compute()
    cache: _LastDecomposition = factor.__dict__.setdefault("_last_decomposition", _LastDecomposition())
    values, vectors = cache.of(compute, inputs)
    return values.clone(), vectors.clone()


class _LastDecomposition(LastResult[Decomposition]):
    """Under the name by which pickles of priors know it."""
