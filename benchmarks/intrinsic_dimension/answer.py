"""What an estimator of intrinsic dimension says, and the neighbourhoods that local ones look at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from intrinsic_dimension.manifold_sets import Array
from nflows_spread.linalg.distances import nearest_neighbours


@dataclass(frozen=True)
class Answer:
    """What an estimator says of one data set.

    Attributes:
        estimate: of the intrinsic dimension; NaN for none.
        others: further estimates of the same fit, by the name of the rule or read-out.
        interval: smallest and largest dimension that it finds plausible, where it says so.
        kept: what a rule could be judged by again, plain values.
    """

    estimate: float
    others: Mapping[str, float] = field(default_factory=dict)
    interval: tuple[int, int] | None = None
    kept: Mapping[str, Any] = field(default_factory=dict)


Estimator = Callable[[Array, int], Answer]
"""Points (n, D) and a seed to an answer."""


def neighbourhoods(x: Array, seed: int, points: int, neighbours: int) -> Array:
    """The nearest neighbours of so many of the points, (points, neighbours, D), as many as there are."""
    chosen = np.random.default_rng(seed).permutation(len(x))[:points]
    nearest = nearest_neighbours(torch.from_numpy(x[chosen]), torch.from_numpy(x), min(neighbours, len(x) - 1) + 1)
    found: Array = x[nearest.indices[:, 1:].numpy()]
    return found
