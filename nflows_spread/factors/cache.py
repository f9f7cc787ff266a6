"""A cache of the last eigendecomposition, valid as long as the numbers that it was computed from are the same."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from nflows_spread.linalg.torch_func import under_transforms

Decomposition = tuple[Tensor, Tensor]


def cached_eigh(factor: nn.Module, compute: Callable[[], Decomposition], *inputs: Tensor) -> Decomposition:
    """What ``compute`` gives for these inputs, on which alone it must depend, from the factor's cache if it is there.

    The cache costs as much as the inputs and the result together. Who asks may write over what comes back.
    """
    if under_transforms(*inputs) or any(value.is_meta for value in inputs):  # no numbers to compare
        return compute()
    cache: _LastDecomposition = factor.__dict__.setdefault("_last_decomposition", _LastDecomposition())
    return cache.of(compute, inputs)


class _LastDecomposition:
    """The last result and copies of its inputs.

    It is found again by comparing numbers, at O(D²) against the O(D³) of a decomposition. Versions and addresses of
    tensors would miss a change through ``.data`` or NumPy, and take new numbers at an old address for the old ones.
    Copies and pickles of it start empty, so that a prior that is copied or stored is no larger for it.
    """

    def __init__(self) -> None:
        self._known: tuple[tuple[Tensor, ...], Decomposition] | None = None

    def of(self, compute: Callable[[], Decomposition], inputs: tuple[Tensor, ...]) -> Decomposition:
        known = self._known
        if known is None or not all(map(_are_equal, known[0], inputs)):
            known = tuple(value.detach().clone() for value in inputs), compute()
            self._known = known
        values, vectors = known[1]
        return values.clone(), vectors.clone()

    def __reduce__(self) -> tuple[type[_LastDecomposition], tuple[()]]:
        return _LastDecomposition, ()


def _are_equal(one: Tensor, other: Tensor) -> bool:
    """Of one dtype and on one device too."""
    return one.dtype == other.dtype and one.device == other.device and torch.equal(one, other)
