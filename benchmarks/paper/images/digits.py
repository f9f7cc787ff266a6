"""MNIST, and synthetic MNIST of known dimension, as data sets for convolutional flows."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial

import torch
from torch import Tensor

from baselines.gaussian_mixture import mixture_samples
from baselines.vae import trained_autoencoder
from nflows_spread.datasets import Points
from nflows_spread.datasets import mnist as read_mnist
from nflows_spread.linalg.distances import nearest_neighbours
from paper.data_sets import DataSet, Folders
from paper.sample_quality.classifier import trained_classifier
from paper.sample_quality.quality import SampleQualityMetric

_SIDE = 28
_SYNTHETIC_TRAINING = 60_000
_SYNTHETIC_HELD_OUT = 5_000


def mnist(seed: int, folders: Folders) -> DataSet:
    """The 60 000 training images of MNIST, in an order of the seed's, and the 10 000 test images to hold out."""
    train, held_out = (_shuffled(*read_mnist(folders.data, split=split), seed) for split in ("train", "test"))
    return _data_set(train, held_out, folders, intrinsic_dimension=None)


def synthetic_mnist(latent_features: int, seed: int, folders: Folders, *, steps: int, learning_rate: float) -> DataSet:
    """60 000 images from the decoder of an autoencoder of MNIST, whose dimension is that of its latent space.

    The points' coordinates are the latents z. The autoencoder is trained once and kept, with seed 0
    whatever the seed of the run, so that runs differ in what is drawn from it.

    Args:
        latent_features: K.
        seed: of the draws.
        folders: where MNIST is, and where the autoencoder is kept.
        steps: of the autoencoder's training.
        learning_rate: of the autoencoder's training.
    """
    model = trained_autoencoder(
        read_mnist(folders.data).x,
        latent_features=latent_features,
        folder=folders.cache,
        steps=steps,
        learning_rate=learning_rate,
    )
    generator = torch.Generator().manual_seed(seed)
    train, held_out = (
        Points(_images(x), z)
        for x, z in (model.sample(n, generator=generator) for n in (_SYNTHETIC_TRAINING, _SYNTHETIC_HELD_OUT))
    )
    return _data_set(train, held_out, folders, intrinsic_dimension=latent_features)


synthetic_mnist_5 = partial(synthetic_mnist, 5)
synthetic_mnist_10 = partial(synthetic_mnist, 10)


def mixture_quality(data: DataSet, seed: int, *, components: int, pieces: int) -> Mapping[str, object]:
    """A baseline: the quality of samples of scikit-learn's Gaussian mixture on principal components.

    Raises:
        ValueError: the data has no metric of quality.
    """
    metric = data.quality_metric
    if metric is None:
        raise ValueError("the quality of samples needs a data set with a quality_metric, got none")
    begun, x = time.perf_counter(), data.train.x.flatten(1)
    samples = mixture_samples(x, metric.compared, components=components, pieces=pieces, seed=seed)
    return {"seconds": time.perf_counter() - begun, **asdict(metric(samples))}


def _data_set(train: Points, held_out: Points, folders: Folders, *, intrinsic_dimension: int | None) -> DataSet:
    """The data set, the quality of samples being taken in the features of a classifier of the real digits."""
    digits, labels = read_mnist(folders.data)
    classifier = trained_classifier(_images(digits), labels, folder=folders.cache)
    tested, classes = read_mnist(folders.data, split="test")
    accuracy = classifier.accuracy(_images(tested), classes)
    return DataSet(
        train=train,
        held_out=held_out,
        intrinsic_dimension=intrinsic_dimension,
        distance=lambda x: nearest_neighbours(x, train.x.flatten(1), 1).distances.squeeze(1),
        image_shape=(_SIDE, _SIDE),
        quality_metric=SampleQualityMetric(classifier.features, train.x, accuracy=accuracy),
    )


def _shuffled(x: Tensor, labels: Tensor, seed: int) -> Points:
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    return Points(_images(x[order]), labels[order].unsqueeze(1))


def _images(x: Tensor) -> Tensor:
    return x.view(-1, 1, _SIDE, _SIDE)
