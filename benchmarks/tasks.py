"""The data of an experiment: what to train on, what to hold out, and how far samples are from the truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from nflows_spread.datasets import Line, Manifold, Points, SCurve, Sine, handwritten_digits

_TRAINING_POINTS = 10_000
_HELD_OUT_POINTS = 2_000
_HELD_OUT_DIGITS = 297


@dataclass(frozen=True)
class Task:
    """Data for one run.

    Attributes:
        train: points to train on, with their coordinates, or their classes where there are none.
        held_out: points that no model sees.
        intrinsic_dimension: K, or None where nobody knows it.
        distance: distance of points (n, D) to the manifold, or to the nearest training point, (n,).
        manifold: the synthetic set, or None for real data.
    """

    train: Points
    held_out: Points
    intrinsic_dimension: int | None
    distance: Callable[[Tensor], Tensor]
    manifold: Manifold | None = None


def _synthetic(manifold: Manifold, seed: int) -> Task:
    generator = torch.Generator().manual_seed(seed)
    return Task(
        train=manifold.sample(_TRAINING_POINTS, generator=generator),
        held_out=manifold.sample(_HELD_OUT_POINTS, generator=generator),
        intrinsic_dimension=manifold.intrinsic_dimension,
        distance=manifold.distance,
        manifold=manifold,
    )


sine = partial(_synthetic, Sine())
line = partial(_synthetic, Line())
s_curve = partial(_synthetic, SCurve())


def digits(seed: int) -> Task:
    """Scikit-learn's digits, split at random into 1500 to train on and 297 to hold out."""
    x, labels = handwritten_digits()
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    held_out, train = (
        Points(x[i], labels[i].unsqueeze(1)) for i in order.split([_HELD_OUT_DIGITS, len(x) - _HELD_OUT_DIGITS])
    )
    return Task(
        train=train,
        held_out=held_out,
        intrinsic_dimension=None,
        distance=lambda x: torch.cdist(x, train.x).amin(1),
    )
