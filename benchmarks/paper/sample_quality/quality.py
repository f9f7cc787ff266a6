"""How good generated images are, as numbers: Fréchet distance, precision and recall in a space of features."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from nflows_spread.linalg.distances import distances_between, nearest_neighbours

Features = Callable[[Tensor], Tensor]

_COMPARED = 5_000
_NEIGHBOUR = 3
_CHUNK = 1000


@dataclass(frozen=True)
class ImageQuality:
    """Samples against data in a space of features.

    Attributes:
        frechet_distance: between Gaussians fitted to both, at best 0; in units of the features squared, so that it
            compares only with others in the same space.
        precision: share of samples among the data, at best near 1: are they right?
        recall: share of the data among the samples, at best near 1: is anything missing?
    """

    frechet_distance: float
    precision: float
    recall: float


class SampleQualityMetric:
    """Sample-quality metric: compares samples with training data, and one part of the data with another as the floor.

    Args:
        features: maps images to (n, features), usually a classifier's.
        data: training images in random order, (n, channels, height, width), values in [0, 1].
        accuracy: share of test images that the classifier puts in their class.
        compared: how many images to compare; the data must be twice as many.

    Raises:
        ValueError: there are not enough images.
    """

    def __init__(self, features: Features, data: Tensor, *, accuracy: float, compared: int = _COMPARED) -> None:
        if len(data) < 2 * compared:
            raise ValueError(f"data must be at least {2 * compared} images, got {len(data)}")
        self.features, self.accuracy, self.compared = features, accuracy, compared
        self._data, self._others = data[:compared], data[compared : 2 * compared]

    @cached_property
    def floor(self) -> ImageQuality:
        """What other images of the same data get."""
        return _compared(self.features(self._others), self._features_of_data)

    def __call__(self, samples: Tensor) -> ImageQuality:
        """The quality of the first samples, flat or not, as a picture would show them: clamped to [0, 1].

        Raises:
            ValueError: there are not enough samples.
        """
        if len(samples) < self.compared:
            raise ValueError(f"samples must be at least {self.compared}, got {len(samples)}")
        shown = samples[: self.compared].nan_to_num(nan=0.0).clamp(0.0, 1.0).view_as(self._data)
        return _compared(self.features(shown), self._features_of_data)

    @cached_property
    def _features_of_data(self) -> Tensor:
        return self.features(self._data)


def frechet_distance(samples: Tensor, data: Tensor) -> float:
    """‖m₁ − m₂‖² + tr(C₁ + C₂ − 2 (C₁ C₂)^½) of the moments of features (n, f) and (m, f), through torchmetrics.

    Reference: M. Heusel et al., GANs trained by a two time-scale update rule, 2017.
    """
    from torchmetrics.image.fid import FrechetInceptionDistance

    metric = FrechetInceptionDistance(feature=_AlreadyFeatures(data.shape[1]))
    metric.set_dtype(torch.float64)
    center = data.double().mean(0)  # it sums squares, which cancel about any other
    metric.update(data.double() - center, real=True)
    metric.update(samples.double() - center, real=False)
    return float(metric.compute())


def precision_and_recall(samples: Tensor, data: Tensor, *, neighbour: int = _NEIGHBOUR) -> tuple[float, float]:
    """Improved precision and recall of features (n, f) and (m, f).

    A sample is among the data if it lies in the ball of one of its points, whose radius is the distance to the
    point's own k-th neighbour; recall has the roles exchanged.

    Args:
        samples: features of samples.
        data: features of data.
        neighbour: k.

    Raises:
        ValueError: either has not more than k points.

    Reference: T. Kynkäänniemi et al., Improved precision and recall metric, 2019.
    """
    for name, points in (("samples", samples), ("data", data)):
        if len(points) <= neighbour:
            raise ValueError(f"{name} must have more than {neighbour} points, got {len(points)}")
    return _share_within(samples, data, neighbour), _share_within(data, samples, neighbour)


def _compared(samples: Tensor, data: Tensor) -> ImageQuality:
    """Features of samples against those of data."""
    return ImageQuality(frechet_distance(samples, data), *precision_and_recall(samples, data))


class _AlreadyFeatures(nn.Module):
    """An extractor for what is features already, so that they are computed once for all numbers."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, features: Tensor) -> Tensor:
        return features


def _share_within(points: Tensor, centres: Tensor, neighbour: int) -> float:
    """Share of points within the ball of any centre."""
    # the nearest neighbour of a point is itself
    radii = nearest_neighbours(centres, centres, neighbour + 1).distances[:, -1]
    within = [(distances_between(part, centres) <= radii).any(1) for part in points.split(_CHUNK)]
    return float(torch.cat(within).float().mean())
