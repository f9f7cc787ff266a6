"""A cache of the last result of a computation, valid as long as the numbers that it was computed from are the same."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

import torch
from torch import Tensor

Result = TypeVar("Result")


class LastResult(Generic[Result]):
    """The last result and copies of its inputs.

    It is found again by comparing numbers, which costs a pass over them. Versions and addresses of tensors would miss
    a change through ``.data`` or NumPy, and take new numbers at an old address for the old ones. Copies and pickles of
    it start empty, so that what is copied or stored with it is no larger for it.
    """

    def __init__(self) -> None:
        self._known: tuple[tuple[Tensor, ...], Hashable, Result] | None = None

    def of(
        self,
        compute: Callable[[], Result],
        inputs: Sequence[Tensor],
        also: Hashable = None,
        *,
        holds: Callable[[Result], bool] = lambda _: True,
    ) -> Result:
        """What ``compute`` gives, or gave last; not to be written over.

        Args:
            compute: asks for nothing but the inputs and ``also``.
            inputs: compared number by number, in dtype and in device.
            also: compared as it is.
            holds: whether the last result, if all else is the same, may be taken again.
        """
        known = self._known
        same = known is not None and known[1] == also and _are_equal(known[0], inputs)
        if known is None or not same or not holds(known[2]):
            known = tuple(value.detach().clone() for value in inputs), also, compute()
            self._known = known  # in one step, as other threads may ask
        return known[2]

    def __reduce__(self) -> tuple[type[LastResult[Result]], tuple[()]]:
        return type(self), ()


def _are_equal(known: Sequence[Tensor], inputs: Sequence[Tensor]) -> bool:
    """Of one dtype and on one device too."""
    return len(known) == len(inputs) and all(
        one.dtype == other.dtype and one.device == other.device and torch.equal(one, other)
        for one, other in zip(known, inputs)
    )
