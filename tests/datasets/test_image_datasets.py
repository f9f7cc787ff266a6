"""Readers of image sets on tiny files in the formats of the real ones."""

from __future__ import annotations

import io
import os
import pickle
import sys
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch

from nflows_spread.datasets import (
    CIFAR10_CLASSES,
    DATA_VARIABLE,
    celeba,
    cifar10,
    image_folder,
    svhn,
)
from support import random_pixels, refused

REAL_DATA = Path(os.environ.get(DATA_VARIABLE, Path(__file__).parents[3] / "shared" / "data"))
READERS = {"cifar10": cifar10, "svhn": svhn, "celeba": celeba}


def png(pixels):
    """The bytes of a PNG file of (height, width, 3) pixels; PNG loses nothing."""
    image = pytest.importorskip("PIL.Image")
    file = io.BytesIO()
    image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def write_batch(path, pixels, labels, **others):
    """A batch as Python 2 would write it: protocol 2, byte strings as keys."""
    write(path, pickle.dumps({b"data": pixels, b"labels": labels, b"batch_label": b"one", **others}, protocol=2))


def chw(pixels):
    return torch.from_numpy(pixels).movedim(-1, -3)


# CIFAR-10


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


# SVHN


def test_svhn_is_read_from_its_mat_file(tmp_path):
    pixels, labels = random_pixels(32, 32, 3, 4), np.array([[1], [10], [9], [10]], dtype=np.uint8)
    scipy.io.savemat(tmp_path / "train_32x32.mat", {"X": pixels, "y": labels})
    images, found = svhn(tmp_path)
    assert torch.equal(images, torch.from_numpy(pixels).permute(3, 2, 0, 1))
    assert images.is_contiguous()
    assert found.tolist() == [1, 0, 9, 0]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"X": random_pixels(32, 32, 3, 2)}, ("with X and y", "'y'")),
        ({"X": random_pixels(32, 32, 2), "y": [1, 2]}, ("(32, 32, 3, n)", "got (32, 32, 2)")),
        ({"X": random_pixels(32, 32, 3, 2), "y": [1]}, ("n labels", "and 1")),
        ({"X": random_pixels(32, 32, 3, 2), "y": [0, 1]}, ("labels from 1 to 10", "got 0 to 1")),
        ({"X": random_pixels(32, 32, 3, 2) * 1.0, "y": [1, 1]}, ("from 0 to 255", "float64")),
        ({"X": random_pixels(32, 32, 3, 2) * np.int16(9), "y": [1, 1]}, ("from 0 to 255", "got 0 to")),
    ],
)
def test_another_mat_file_is_refused_by_name(content, words, tmp_path):
    scipy.io.savemat(tmp_path / "test_32x32.mat", content)
    with refused(ValueError, "test_32x32.mat", *words):
        svhn(tmp_path, split="test")


def test_a_damaged_mat_file_is_refused_by_name(tmp_path):
    path = tmp_path / "train_32x32.mat"
    scipy.io.savemat(path, {"X": random_pixels(32, 32, 3, 2), "y": [1, 1]}, do_compression=True)
    whole = path.read_bytes()
    for damaged in (b"no MATLAB" * 40, b"", whole[: len(whole) // 2], whole[:300] + b"damage" * 20 + whole[420:]):
        write(path, damaged)
        with refused(ValueError, "train_32x32.mat must be a .mat file"):
            svhn(tmp_path)


# CelebA


def test_celeba_is_cut_to_its_centre_and_resized(tmp_path):
    """A face of one colour on another: of a crop of 148 from 178×218 the centre is seen and the border is not."""
    face = np.full((218, 178, 3), 255, dtype=np.uint8)
    face[35:183, 15:163] = (10, 20, 30)
    for number in (1, 2):
        write(tmp_path / "img_align_celeba" / f"00000{number}.png", png(face))
    images, labels = celeba(tmp_path)
    assert labels is None
    assert images.shape == (2, 3, 32, 32)
    assert torch.equal(images[0].flatten(1).unique(dim=1), torch.tensor([[10], [20], [30]], dtype=torch.uint8))
    assert celeba(tmp_path, size=8, crop=178, limit=1).images.shape == (1, 3, 8, 8)
    assert celeba(tmp_path, crop=178).images.max() == 255


def test_celeba_is_read_from_its_archive_and_in_its_official_splits(tmp_path):
    folder = tmp_path / "celeba"
    folder.mkdir()
    with zipfile.ZipFile(folder / "img_align_celeba.zip", "w") as archive:
        for number in range(4):
            archive.writestr(f"img_align_celeba/{number}.png", png(np.full((218, 178, 3), number, dtype=np.uint8)))
    with refused(FileNotFoundError, "'test'", "list_eval_partition.txt", "split='all'"):
        celeba(tmp_path, split="test")
    (folder / "list_eval_partition.txt").write_text("0.png 0\n1.png 2\n2.png 1\n3.png 2\n")
    assert celeba(tmp_path, split="test").images[:, 0, 0, 0].tolist() == [1, 3]
    assert celeba(tmp_path).images[:, 0, 0, 0].tolist() == [0, 1, 2, 3]


# any folder


def test_a_folder_of_images_is_read_in_the_order_of_its_names(tmp_path):
    pixels = random_pixels(3, 4, 6, 3)
    for name, image in zip(("a.png", "b.PNG", "c/d.png"), pixels):
        write(tmp_path / name, png(image))
    write(tmp_path / "notes.txt", b"no image")
    images, labels = image_folder(tmp_path)
    assert torch.equal(images, chw(pixels))
    assert labels is None  # two of them lie in no subfolder
    assert image_folder(tmp_path, limit=2).images.shape == (2, 3, 4, 6)
    assert image_folder(tmp_path, size=4, channels=1).images.shape == (3, 1, 4, 4)
    grey = image_folder(tmp_path, crop=2, channels=1).images
    assert grey.shape == (3, 1, 2, 2)


def test_subfolders_are_classes(tmp_path):
    for name in ("dog/1.png", "cat/x/2.png", "cat/3.png"):
        write(tmp_path / name, png(random_pixels(2, 2, 3)))
    assert image_folder(tmp_path).labels.tolist() == [0, 0, 1]


def test_corrupt_images_are_named_and_left_out_or_an_error(tmp_path):
    good = png(random_pixels(8, 8, 3))
    for name, content in {"1.png": good, "2.png": b"no image", "3.png": good[:-30], "4.png": good}.items():
        write(tmp_path / "cat" / name, content)
    with pytest.warns(UserWarning, match=r"2 of 4 images .* left out: cat/2.png, cat/3.png"):
        images, labels = image_folder(tmp_path)
    assert len(images) == len(labels) == 2
    with refused(ValueError, "cat/2.png", "cannot be read as an image"):
        image_folder(tmp_path, strict=True)


def test_a_folder_that_cannot_serve_is_refused(tmp_path):
    with refused(FileNotFoundError, "nowhere", "does not exist"):
        image_folder(tmp_path / "nowhere")
    with refused(ValueError, tmp_path.name, "must hold images", ".png", "got none"):
        image_folder(tmp_path)
    write(tmp_path / "bad.zip", b"no archive")
    with refused(ValueError, "bad.zip", "zip archive"):
        image_folder(tmp_path / "bad.zip")
    write(tmp_path / "a.png", b"no image")
    with warnings.catch_warnings(), refused(ValueError, "that can be read", "a.png"):
        warnings.simplefilter("error")
        image_folder(tmp_path)
    write(tmp_path / "a.png", png(random_pixels(4, 4, 3)))
    write(tmp_path / "b.png", png(random_pixels(4, 5, 3)))
    with refused(ValueError, "one size", "3 × 4 × 4", "3 × 4 × 5", "b.png", "size="):
        image_folder(tmp_path)
    with refused(ValueError, "crop must be between 1 and 4", "a.png", "got 5"):
        image_folder(tmp_path, crop=5)
    with refused(TypeError, "crop must be an integer, got 1.5"):
        image_folder(tmp_path, crop=1.5)
    with refused(ValueError, "channels must be 1 for grey levels or 3 for RGB, got 2"):
        image_folder(tmp_path, channels=2)
    with refused(ValueError, "limit must be at least 1"):
        image_folder(tmp_path, limit=0)
    with refused(ValueError, "size must be at least 1"):
        image_folder(tmp_path, size=0)


def test_a_dangling_link_is_named(tmp_path):
    write(tmp_path / "a.png", png(random_pixels(4, 4, 3)))
    (tmp_path / "b.png").symlink_to(tmp_path / "gone.png")
    with pytest.warns(UserWarning, match=r"1 of 2 images .* left out: b\.png"):
        assert len(image_folder(tmp_path).images) == 1


# what is missing


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("cifar10", ("cifar-10-batches-py", "data_batch_1", "data_batch_5", "test_batch", "train.zip")),
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


def test_an_incomplete_set_of_batches_is_refused(tmp_path):
    write_batch(tmp_path / "cifar-10-batches-py" / "data_batch_1", random_pixels(1, 3072), [0])
    with refused(FileNotFoundError, "data_batch_2"):
        cifar10(tmp_path)


def test_the_folder_may_come_from_the_environment(tmp_path, monkeypatch):
    write_batch(tmp_path / "cifar10" / "cifar-10-batches-py" / "test_batch", random_pixels(1, 3072), [4])
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    assert cifar10(split="test").labels.tolist() == [4]


@pytest.mark.parametrize("module", ["PIL.Image", "scipy.io"])
def test_without_its_library_a_reader_names_the_extra(module, tmp_path, monkeypatch):
    write(tmp_path / "a.png", b"")
    write(tmp_path / "train_32x32.mat", b"")
    monkeypatch.setitem(sys.modules, module, None)
    with refused(ImportError, "nflows-spread[images]"):
        image_folder(tmp_path) if module == "PIL.Image" else svhn(tmp_path)
