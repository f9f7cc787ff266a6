"""A data set of the chart benchmark: how its rows are drawn, split into training and held-out ones, and scaled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Labels = NDArray[np.int64]

HELD_OUT = 0.2
"""Share of the rows that are held out: the issue of this benchmark says 80/20."""

_SPLIT_STREAM = 1
"""Parts the generator of the split from that of the points, which starts from the same seed."""


@dataclass(frozen=True)
class DataSet:
    """One data set.

    Attributes:
        name: in tables.
        load: a seed to rows (n, D). Of a manifold the seed draws the points, of other data it chooses what is random
            about it, such as places of patches or dequantisation.
        source: where the rows come from, and what was left out of them.
        dimension: K, where it is known.
        standardize: each column over its standard deviation; otherwise one scale for all, which keeps distances.
        density: whether a density in D dimensions exists and stays finite, so that likelihoods are compared: no column
            is discrete or tied, no column is a linear function of others, and the rows are not on a manifold.
        real: measured, and not made by a formula.
        rows: at most, training and held-out ones together.
        labels: a seed to whole numbers from 0 in the order of its rows, (n,), for methods that learn from labels.
    """

    name: str
    load: Callable[[int], Array]
    source: str
    dimension: int | None = None
    standardize: bool = False
    density: bool = False
    real: bool = True
    rows: int = 2000
    labels: Callable[[int], Labels] | None = None

    def declaration(self) -> dict[str, Any]:
        """What the record says of its rows."""
        return {
            "source": self.source,
            "dimension": self.dimension,
            "standardized": self.standardize,
            "density": self.density,
            "real": self.real,
            "rows": self.rows,
        }


@dataclass(frozen=True)
class Split:
    """Rows of a data set in the units in which every method has them.

    Attributes:
        train: (n, D), of mean 0, and of mean variance 1 a column, or of variance 1 in each.
        held_out: (m, D), in the same units.
        center: of the data's own units, x = center + scale · row, (D,) or one number.
        scale: likewise.
        labels: of the training rows, (n,), where the data has some.
    """

    train: Array
    held_out: Array
    center: Array | float = 0.0
    scale: Array | float = 1.0
    labels: Labels | None = None

    @property
    def all(self) -> Array:
        """The held-out rows first, then those of the training."""
        return np.concatenate([self.held_out, self.train])


def split(data: DataSet, seed: int) -> Split:
    """Rows of a data set by a seed, a fifth of them held out, in units of the training rows."""
    x = np.asarray(data.load(seed), dtype=np.float64)
    order = np.random.default_rng([seed, _SPLIT_STREAM]).permutation(len(x))[: data.rows]
    held_out, train = np.split(x[order], [round(HELD_OUT * len(order))])
    center, variance = train.mean(axis=0), train.var(axis=0)
    if data.standardize:
        scale = np.sqrt(np.where(variance > 0.0, variance, 1.0))
    else:
        scale = np.full(x.shape[1], np.sqrt(variance.mean()))
    labels = None if data.labels is None else np.asarray(data.labels(seed), dtype=np.int64)[order[len(held_out) :]]
    return Split((train - center) / scale, (held_out - center) / scale, center, scale, labels)
