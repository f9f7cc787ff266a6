"""Ridge regression with some inputs that are not penalised (partially linear model), for several penalties at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class AffineMap(NamedTuple):
    """x ↦ x W + b: weights W, (m, n), and bias b, (n,)."""

    weight: Tensor
    bias: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        return x @ self.weight + self.bias


def ridge_regressions(
    free: Tensor, penalised: Tensor, targets: Tensor, penalties: Sequence[float]
) -> Iterator[AffineMap]:
    """The maps of (free, penalised) inputs to targets that minimise E‖y − x W − b‖² + λ ‖W of the penalised‖².

    By the theorem of Frisch, Waugh and Lovell: what free inputs explain is taken off the others and the targets first.

    Args:
        free: inputs without a penalty, (n, p); they need not be independent.
        penalised: inputs with one, (n, q).
        targets: (n, m).
        penalties: λ, one for each map; infinity leaves the regression on free inputs alone.

    Reference: A. Hoerl, R. Kennard, Ridge regression: biased estimation for nonorthogonal problems, Technometrics 1970.
    """
    mean = torch.cat([free, penalised], dim=1).mean(0)
    free, penalised = free - free.mean(0), penalised - penalised.mean(0)
    center = targets.mean(0)
    inverse = torch.linalg.pinv(free)
    by_free, targets_by_free = inverse @ penalised, inverse @ (targets - center)
    rest = penalised - free @ by_free
    values, vectors = torch.linalg.eigh(rest.mT @ rest / len(rest))
    along = vectors.mT @ (rest.mT @ (targets - center - free @ targets_by_free)) / len(rest)
    for penalty in penalties:
        of_penalised = vectors @ (along / (values.clamp_min(0.0) + penalty).unsqueeze(1))
        weight = torch.cat([targets_by_free - by_free @ of_penalised, of_penalised])
        yield AffineMap(weight, center - mean @ weight)
