"""CIFAR-10, SVHN and CelebA as data sets, and the Glow as the framework builds a flow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from nflows.distributions import Distribution
from nflows.flows import Flow
from torch import Tensor
from torch.nn import functional as F

from nflows_spread.datasets import ImageSet, Points, celeba, dequantise, svhn
from nflows_spread.datasets import cifar10 as read_cifar10
from nflows_spread.linalg.distances import nearest_neighbours
from nflows_spread.models import volume_preserving_glow
from paper.data_sets import DataSet, Folders, UnreadableDataError
from paper.sample_quality.classifier import SmallClassifier, trained_classifier
from paper.sample_quality.inception import inception_features
from paper.sample_quality.quality import SampleQualityMetric

_HELD_OUT = 2_000
_COMPARED = 5_000
_CLASSIFIED = 50_000

Reader = Callable[[Folders], tuple[ImageSet, ImageSet]]


def glow_flow(
    image_shape: Sequence[int],
    *,
    base: Distribution,
    volume_preserving: bool = True,
    blocks: int = 4,
    layers: int = 20,
    hidden_channels: int = 512,
    generator: torch.Generator | None = None,
) -> Flow:
    """A Glow with a prior over all of its latent, in the layout of images that is faster."""
    transform = volume_preserving_glow(
        image_shape,
        blocks=blocks,
        layers=layers,
        hidden_channels=hidden_channels,
        volume_preserving=volume_preserving,
        channels_last=True,
        generator=generator,
    )
    return Flow(transform, base)


def colour_images(read: Reader, seed: int, folders: Folders, *, size: int = 32) -> DataSet:
    """Dequantised images, in an order of the seed's; the classes stand where coordinates would.

    Args:
        read: gives the training and the held-out images.
        seed: of the order and of the dequantisation.
        folders: where the data is.
        size: height and width; 32 leaves the images, a divisor of it takes means over blocks of pixels.
    """
    generator = torch.Generator().manual_seed(seed)
    parts = read(folders)
    classifier, accuracy = _classifier(parts, size, folders)
    train, held_out = (_points(part, size, generator) for part in parts)
    metric = partial(SampleQualityMetric, data=train.x, compared=min(_COMPARED, len(train.x) // 2))
    inception = inception_features()
    return DataSet(
        train=train,
        held_out=Points(held_out.x[:_HELD_OUT], held_out.coordinates[:_HELD_OUT]),
        intrinsic_dimension=None,
        distance=lambda x: nearest(x, train.x)[0],
        image_shape=(3, size, size),
        quality_metric=metric(classifier.features, accuracy=accuracy),
        inception_metric=None if inception is None else metric(inception, accuracy=accuracy),
    )


def _classifier(parts: tuple[ImageSet, ImageSet], size: int, folders: Folders) -> tuple[SmallClassifier, float]:
    """Of the classes, or where there are none of four quarter turns of the images, and its held-out accuracy.

    Its data is in the order of seed 0 whatever the seed of the run, so that all runs are measured alike.
    """
    (x, labels), tested = (_classified(_points(part, size, torch.Generator().manual_seed(0))) for part in parts)
    classifier = trained_classifier(x, labels, folder=folders.cache, hidden_channels=(32, 64), num_features=128)
    return classifier, classifier.accuracy(*tested)


def _classified(points: Points) -> tuple[Tensor, Tensor]:
    """Images and what to tell of them."""
    x, classes = points.x[:_CLASSIFIED], points.coordinates[:_CLASSIFIED, 0]
    if len(classes.unique()) > 1:
        return x, classes
    turns = torch.arange(len(x)) % 4
    turned = torch.empty_like(x)
    for quarter in range(4):
        turned[turns == quarter] = x[turns == quarter].rot90(quarter, (2, 3))
    return turned, turns


def _both_splits(read: Callable[..., ImageSet], folders: Folders) -> tuple[ImageSet, ImageSet]:
    options = {} if read is svhn else {"strict": folders.strict}  # whose images are in one file
    try:
        return read(folders.data, split="train", **options), read(folders.data, split="test", **options)
    except ValueError as error:
        raise UnreadableDataError(str(error)) from error


cifar10 = partial(colour_images, partial(_both_splits, read_cifar10))
svhn_digits = partial(colour_images, partial(_both_splits, svhn))
celeba_faces = partial(colour_images, partial(_both_splits, celeba))


def nearest(x: Tensor, data: Tensor) -> tuple[Tensor, Tensor]:
    """Distance of flat points (n, D) to the nearest of the data (m, ...), and its index, (n,) each."""
    found = nearest_neighbours(x, data.flatten(1), 1)
    return found.distances.squeeze(1), found.indices.squeeze(1)


def _points(part: ImageSet, size: int, generator: torch.Generator) -> Points:
    images, labels = part
    order = torch.randperm(len(images), generator=generator)
    side = images.shape[-1]
    if side % size:
        raise ValueError(f"size must divide the images' {side} pixels, got {size}")
    small = images if side == size else F.avg_pool2d(images.float(), side // size).round().to(torch.uint8)
    classes = torch.zeros(len(images), dtype=torch.int64) if labels is None else labels
    return Points(dequantise(small[order], generator=generator), classes[order].unsqueeze(1))
