"""A small image classifier, whose last hidden layer is where the quality of generated images is measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from shared.trained_once import trained_once

_CHUNK = 1000


class SmallClassifier(nn.Module):
    """Two convolutions with pooling and two linear layers. ``classifier(x, labels)`` is the loss, for ``fit``.

    Args:
        image_shape: (channels, height, width), height and width multiples of 4.
        classes: number of classes.
        hidden_channels: of the two convolutions.
        num_features: width of the last hidden layer, the feature space. torchmetrics reads it.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        classes: int = 10,
        *,
        hidden_channels: tuple[int, int] = (16, 32),
        num_features: int = 64,
    ) -> None:
        super().__init__()
        channels, height, width = image_shape
        if height % 4 or width % 4:
            raise ValueError(f"height and width must be multiples of 4, got {height} and {width}")
        self.image_shape = (channels, height, width)
        self.num_features = num_features
        first, second = hidden_channels
        self.body = nn.Sequential(
            nn.Conv2d(channels, first, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(first, second, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(second * (height // 4) * (width // 4), num_features),
            nn.ReLU(),
        )
        self.head = nn.Linear(num_features, classes)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        """The cross-entropy of images (n, channels, height, width), the mean over the batch, in nats."""
        return F.cross_entropy(self.head(self.body(x)), labels)

    @torch.no_grad()
    def features(self, x: Tensor) -> Tensor:
        """The last hidden layer, (n, num_features), a bounded number of images at a time."""
        return torch.cat([self.body(part) for part in x.split(_CHUNK)])

    def accuracy(self, x: Tensor, labels: Tensor) -> float:
        """Share of images that are put in their class."""
        return float((self.head(self.features(x)).argmax(1) == labels).float().mean())


def trained_classifier(
    x: Tensor,
    labels: Tensor,
    *,
    folder: Path,
    hidden_channels: tuple[int, int] = (16, 32),
    num_features: int = 64,
    steps: int = 3000,
    batch_size: int = 100,
    seed: int = 0,
) -> SmallClassifier:
    """A classifier of images (n, channels, height, width), trained once with Adam at 1e-3.

    Args:
        x: images.
        labels: their classes, from 0, (n,).
        folder: where the trained model is kept.
        hidden_channels: of the two convolutions.
        num_features: width of the last hidden layer.
        steps: of training.
        batch_size: images of a batch.
        seed: of the weights and the order of the images.
    """
    classes = int(labels.max()) + 1
    return trained_once(
        "classifier",
        lambda: SmallClassifier(
            tuple(x.shape[1:]), classes, hidden_channels=hidden_channels, num_features=num_features
        ),
        (x, labels),
        folder=folder,
        settings={"hidden_channels": hidden_channels, "num_features": num_features},
        seed=seed,
        steps=steps,
        batch_size=batch_size,
    )
