"""Colour images as data sets: shuffled, shrunk, dequantised, and told apart by a classifier."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from colour_image_files import untrained_classifier, write_all
from paper.data_sets import Folders
from paper.images import colour
from paper.sample_quality.classifier import SmallClassifier

SIDE = 16


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """All three sets, of 60 images to train on and 12 to hold out."""
    return write_all(tmp_path / "data")


@pytest.fixture(autouse=True)
def _quick_classifier(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(colour, "trained_classifier", untrained_classifier)


def test_faces_which_have_no_classes_are_told_apart_by_their_turn(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []

    def remembered(x: torch.Tensor, labels: torch.Tensor, **options: object) -> SmallClassifier:
        seen.append((x, labels))
        return SmallClassifier(tuple(x.shape[1:]), 4)

    monkeypatch.setattr(colour, "trained_classifier", remembered)
    for seed in (0, 1):
        colour.celeba_faces(seed, Folders(data, tmp_path), size=SIDE)
    (x, turns), again = seen
    assert torch.equal(x, again[0]), "all runs are measured alike"
    assert turns.bincount().tolist() == [15, 15, 15, 15]
    upright = colour.celeba_faces(0, Folders(data, tmp_path), size=SIDE).train.x
    turned_back = torch.stack([image.rot90(-int(turn), (1, 2)) for image, turn in zip(x, turns)])
    assert torch.equal(turned_back, upright), "seed 0 has the order of the classifier"


def test_images_are_shuffled_shrunk_by_means_and_dequantised(data: Path, tmp_path: Path) -> None:
    folders = Folders(data, tmp_path)
    data_set, same, other = (colour.cifar10(seed, folders, size=SIDE) for seed in (0, 0, 1))
    assert data_set.train.x.shape == (60, 3, SIDE, SIDE)
    assert data_set.held_out.x.shape == (12, 3, SIDE, SIDE)
    assert torch.equal(data_set.train.x, same.train.x)
    assert not torch.equal(data_set.train.coordinates, other.train.coordinates)
    assert 0.0 <= float(data_set.train.x.min()) <= float(data_set.train.x.max()) < 1.0
    blocks = data_set.train.x.unfold(2, 4, 4).unfold(3, 4, 4).flatten(4)  # of one colour, but for the dequantisation
    assert (blocks.amax(4) - blocks.amin(4)).max() <= 1.0 / 256
    with pytest.raises(ValueError, match="must divide the images' 32 pixels, got 12"):
        colour.cifar10(0, folders, size=12)
