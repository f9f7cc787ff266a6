"""Data sets of the experiments: what to train on, what to hold out, and how far samples are from the truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from nflows_spread.datasets import FadingSquare, Line, Manifold, Points, SCurve, Sine, handwritten_digits
from nflows_spread.linalg.distances import nearest_neighbours
from paper.grids import Cells
from paper.sample_quality.quality import SampleQualityMetric
from shared.command import UsageError

_TRAINING_POINTS = 10_000
_HELD_OUT_POINTS = 2_000
_HELD_OUT_DIGITS = 297

_FOUR_DEVIATIONS: Cells = ((-4.0, 4.0, 60),)
_CELLS: dict[type, Cells] = {
    SCurve: ((-4.7124, 4.7124, 30), (0.0, 2.0, 4)),
    FadingSquare: ((0.0, 1.0, 20),),
}
"""In which the densities of samples and of a manifold are compared, where it is no curve with a standard normal
coordinate: the S-curve's whole rectangle, all grey levels."""


@dataclass(frozen=True)
class Folders:
    """Where a data set may look and write.

    Attributes:
        data: the folder of ``--data-dir`` with real data, or None; readers then ask ``NFLOWS_SPREAD_DATA``.
        cache: for what a data set has to make once, such as a trained network; it need not exist.
        strict: a file of the data that cannot be read is an error, and not left out with a warning.
    """

    data: Path | None
    cache: Path
    strict: bool = False


class UnreadableDataError(UsageError):
    """The data is there, and not as it should be."""


@dataclass(frozen=True)
class DataSet:
    """Data for one run.

    Attributes:
        train: points to train on, (n, ...), with their coordinates, or their classes where there are none.
        held_out: points that no model sees.
        intrinsic_dimension: K, or None where nobody knows it.
        distance: distance of flat points (n, D) to the manifold, or to the nearest training point, (n,).
        manifold: the synthetic set, or None for real data.
        cells: of its coordinates, in which the density of samples is compared with the true one.
        image_shape: (height, width), or (3, height, width) for colours, where a point is an image.
        quality_metric: compares sampled images with the data, or None.
        inception_metric: the same in the features of Inception, or None.
    """

    train: Points
    held_out: Points
    intrinsic_dimension: int | None
    distance: Callable[[Tensor], Tensor]
    manifold: Manifold | None = None
    cells: Cells = ()
    image_shape: tuple[int, ...] | None = None
    quality_metric: SampleQualityMetric | None = None
    inception_metric: SampleQualityMetric | None = None


def _synthetic(manifold: Manifold, seed: int, folders: Folders, *, shape: tuple[int, ...] | None = None) -> DataSet:
    """Points of a manifold; with the shape (1, height, width) of an image, images of one channel.

    Raises:
        ValueError: the manifold has more than one coordinate, and no cells.
    """
    cells = _CELLS.get(type(manifold), _FOUR_DEVIATIONS)
    if len(cells) != manifold.intrinsic_dimension:
        raise ValueError(
            f"_CELLS of data_sets.py must have cells for the {manifold.intrinsic_dimension} coordinates of "
            f"{type(manifold).__name__}, got {cells}"
        )
    generator = torch.Generator().manual_seed(seed)
    train, held_out = (manifold.sample(n, generator=generator) for n in (_TRAINING_POINTS, _HELD_OUT_POINTS))
    if shape is not None:
        train, held_out = (Points(x.unflatten(1, shape), coordinates) for x, coordinates in (train, held_out))
    return DataSet(
        train=train,
        held_out=held_out,
        intrinsic_dimension=manifold.intrinsic_dimension,
        distance=manifold.distance,
        manifold=manifold,
        cells=cells,
        image_shape=None if shape is None else (shape[1], shape[2]),
    )


sine = partial(_synthetic, Sine())
line = partial(_synthetic, Line())
s_curve = partial(_synthetic, SCurve())
fading_square = partial(_synthetic, FadingSquare(), shape=FadingSquare.image_shape)


def digits(seed: int, folders: Folders) -> DataSet:
    """Scikit-learn's digits, split at random into 1500 to train on and 297 to hold out."""
    x, labels = handwritten_digits()
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    held_out, train = (
        Points(x[i], labels[i].unsqueeze(1)) for i in order.split([_HELD_OUT_DIGITS, len(x) - _HELD_OUT_DIGITS])
    )
    return DataSet(
        train=train,
        held_out=held_out,
        intrinsic_dimension=None,
        distance=lambda x: nearest_neighbours(x, train.x, 1).distances.squeeze(1),
        image_shape=(8, 8),
    )
