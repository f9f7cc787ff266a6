"""Where readers look for their files, and what they say where files are missing."""

import pytest

from image_files import write_batch
from nflows_spread.datasets import DATA_VARIABLE, celeba, cifar10, mnist, svhn
from support import random_pixels, refused

READERS = {"cifar10": cifar10, "mnist": mnist, "svhn": svhn, "celeba": celeba}


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("cifar10", ("cifar-10-batches-py", "data_batch_1", "data_batch_5", "test_batch", "train.zip")),
        ("mnist", ("train-images", "train-labels", "t10k-images", "t10k-labels")),
        ("svhn", ("train_32x32.mat",)),
        ("celeba", ("img_align_celeba/*.jpg", "img_align_celeba.zip")),
    ],
)
def test_missing_files_are_named_with_the_place_they_are_published(name, files, tmp_path, monkeypatch):
    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    for folder, given in ((None, "no folder"), (tmp_path, str(tmp_path))):
        with refused(FileNotFoundError, *files, "http", DATA_VARIABLE, f"got {given}"):
            READERS[name](folder)
    with refused(ValueError, "split must be", "'validation'"):
        READERS[name](tmp_path, split="validation")


def test_the_folder_may_come_from_the_environment(tmp_path, monkeypatch):
    write_batch(tmp_path / "cifar10" / "cifar-10-batches-py" / "test_batch", random_pixels(1, 3072), [4])
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    assert cifar10(split="test").labels.tolist() == [4]
