"""The small classifier whose features the quality of images is taken in."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from paper.sample_quality.classifier import SmallClassifier, trained_classifier

IMAGES = torch.rand(60, 1, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 8, 12)], ids=["grey", "colour"])
def test_the_classifier_has_features_that_do_not_depend_on_the_batch(shape: tuple[int, int, int]) -> None:
    model = SmallClassifier(shape, 4, num_features=7).eval()
    x = torch.rand(1003, *shape, generator=torch.Generator().manual_seed(0))
    assert model.features(x).shape == (1003, 7)
    torch.testing.assert_close(model.features(x)[1000:], model.features(x[1000:]))
    labels = torch.arange(1003) % 4
    probabilities = model.head(model.features(x)).softmax(1)[torch.arange(1003), labels]
    torch.testing.assert_close(model(x, labels), -probabilities.log().mean())


def test_the_classifier_refuses_images_that_do_not_divide() -> None:
    with pytest.raises(ValueError, match="multiples of 4, got 8 and 10"):
        SmallClassifier((1, 8, 10))


def test_the_classifier_learns_what_can_be_told_apart(tmp_path: Path) -> None:
    labels = torch.arange(60) % 2
    x = IMAGES + labels.view(-1, 1, 1, 1)
    model = trained_classifier(x[:40], labels[:40], folder=tmp_path, steps=60, batch_size=20)
    assert model.accuracy(x[40:], labels[40:]) == 1.0
