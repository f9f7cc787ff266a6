"""Any folder of images is read, in the order of names, with subfolders as classes, and what cannot serve is named."""

import warnings

import pytest
import torch

from image_files import chw, png, write
from nflows_spread.datasets import image_folder
from support import random_pixels, refused


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
