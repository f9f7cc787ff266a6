"""CIFAR-10 is read from its pickled batches and from images of its classes, and nothing else is."""

import os
import pickle
import zipfile

import numpy as np
import pytest
import torch

from image_files import REAL_DATA, chw, png, write, write_batch
from nflows_spread.datasets import CIFAR10_CLASSES, DATA_VARIABLE, cifar10
from support import random_pixels, refused


def test_cifar10_is_read_from_its_pickled_batches(tmp_path):
    pixels, labels = random_pixels(12, 3072), [i % 10 for i in range(12)]
    for number in range(5):
        part = slice(2 * number, 2 * number + 2)
        write_batch(tmp_path / "cifar-10-batches-py" / f"data_batch_{number + 1}", pixels[part], labels[part])
    write_batch(tmp_path / "cifar-10-batches-py" / "test_batch", pixels[10:], labels[10:])
    for folder in (tmp_path, tmp_path / "cifar-10-batches-py"):
        images, found = cifar10(folder)
        assert torch.equal(images, torch.from_numpy(pixels[:10]).view(10, 3, 32, 32))
        assert found.tolist() == labels[:10]
    assert cifar10(tmp_path, split="test").labels.tolist() == labels[10:]


def test_a_batch_written_by_python_2_is_read(tmp_path):
    """Python 2's opcodes: its strings are bytes, and NumPy's module has its old name."""
    data = bytes(range(256)) * 12
    state = (
        b"(K\x01K\x01M\x00\x0c\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89T" + len(data).to_bytes(4, "little") + data + b"tb"
    )
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R" + state
    batch = b"\x80\x02}(U\x04data" + array + b"U\x06labels](K\x03eu."
    write(tmp_path / "cifar-10-batches-py" / "test_batch", batch)
    images, labels = cifar10(tmp_path, split="test")
    assert images.flatten().tolist() == list(data)
    assert labels.tolist() == [3]


def test_a_pickle_that_runs_code_is_refused_and_not_run(tmp_path):
    class Attack:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "attacked"),))

    write_batch(tmp_path / "cifar-10-batches-py" / "test_batch", Attack(), [0])
    with refused(ValueError, "test_batch", "mkdir"):
        cifar10(tmp_path, split="test")
    assert not (tmp_path / "attacked").exists()


@pytest.mark.parametrize(
    ("pixels", "labels", "words"),
    [
        (random_pixels(2, 3071), [0, 1], ("rows of 3072 bytes", "(2, 3071)")),
        (random_pixels(2, 3072), [0], ("as many labels", "(1,)")),
        (random_pixels(1, 3072), [10], ("labels from 0 to 9", "got 10 to 10")),
        (random_pixels(1, 3072) / 2.0, [1], ("whole pixel values from 0 to 255", "float64")),
        (random_pixels(1, 3072) - np.int64(300), [1], ("whole pixel values from 0 to 255", "got -")),
    ],
)
def test_a_batch_of_another_shape_or_range_is_refused(pixels, labels, words, tmp_path):
    write_batch(tmp_path / "cifar-10-batches-py" / "test_batch", pixels, labels)
    with refused(ValueError, "test_batch", *words):
        cifar10(tmp_path, split="test")


@pytest.mark.parametrize("content", [b"", b"no pickle", pickle.dumps([1, 2]), pickle.dumps({"data": 1})])
def test_a_file_that_is_no_batch_is_refused_by_name(content, tmp_path):
    write(tmp_path / "cifar-10-batches-py" / "test_batch", content)
    with refused(ValueError, "test_batch must be a batch of CIFAR-10"):
        cifar10(tmp_path, split="test")


@pytest.mark.parametrize("packed", [True, False])
def test_cifar10_is_read_from_images_of_its_classes(packed, tmp_path):
    pixels = random_pixels(10, 32, 32, 3)
    files = {f"{name}/0000.png": png(image) for name, image in zip(CIFAR10_CLASSES, pixels)}
    if packed:
        with zipfile.ZipFile(tmp_path / "train.zip", "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
    else:
        for name, content in files.items():
            write(tmp_path / "train" / name, content)
    images, labels = cifar10(tmp_path)
    assert torch.equal(images, chw(pixels))
    assert labels.tolist() == list(range(10))


def test_images_of_another_size_are_no_cifar10(tmp_path):
    write(tmp_path / "train" / "frog" / "a.png", png(random_pixels(16, 16, 3)))
    with refused(ValueError, "train must hold images of 32×32", "16×16"):
        cifar10(tmp_path)


def test_images_of_other_classes_are_no_cifar10(tmp_path):
    """Their numbers would not be the original's."""
    for name in CIFAR10_CLASSES[1:]:
        write(tmp_path / "train" / name / "a.png", png(random_pixels(32, 32, 3)))
    with refused(ValueError, "train must hold", "a folder for each of the 10 classes", "got 9"):
        cifar10(tmp_path)


@pytest.mark.skipif(
    not (REAL_DATA / "cifar10").is_dir(), reason=f"real CIFAR-10 is not here; name its folder in {DATA_VARIABLE}"
)
def test_real_cifar10_has_ten_equal_classes_and_known_brightness():
    pytest.importorskip("PIL")
    images, labels = cifar10(REAL_DATA, split="test")
    assert images.shape[1:] == (3, 32, 32)
    assert len(set(labels.bincount().tolist())) == 1
    means = images.double().mean((0, 2, 3)) / 255
    torch.testing.assert_close(means, torch.tensor([0.4914, 0.4822, 0.4465]).double(), rtol=0, atol=1e-2)


def test_an_incomplete_set_of_batches_is_refused(tmp_path):
    write_batch(tmp_path / "cifar-10-batches-py" / "data_batch_1", random_pixels(1, 3072), [0])
    with refused(FileNotFoundError, "data_batch_2"):
        cifar10(tmp_path)
