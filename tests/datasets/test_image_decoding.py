"""Image files of every kind: how they are turned, what their numbers mean, and those whose meaning nobody knows."""

import io
import re
import struct
import warnings

import numpy as np
import pytest
import torch

from nflows_spread.datasets import celeba, image_folder
from support import random_pixels, refused

image = pytest.importorskip("PIL.Image")

STORED = {
    1: lambda x: x,
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.swapaxes(0, 1),
    6: lambda x: np.rot90(x),
    7: lambda x: np.rot90(x, 2).swapaxes(0, 1),
    8: lambda x: np.rot90(x, -1),
}
"""Pixels as a camera stores them, by the orientation that it notes: 6 is to be turned by 90° clockwise."""


def save(path, picture, **options):
    """Writes a picture, or skips where an older Pillow cannot; what is tested is how files are read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        picture.save(path, **options)
    except OSError as error:
        if not re.match(r"cannot (write mode|use transparency)", str(error)):
            raise
        pytest.skip(f"this Pillow writes no such file: {error}")


def exif(orientation):
    data = image.Exif()
    data[0x0112] = orientation
    return data


def bytes_of(pixels):
    return torch.from_numpy(np.ascontiguousarray(pixels))


def tiff(values, bits, *, sample_format=1, photometric=1):
    """A TIFF file of one row of grey pixels, of packed values."""
    width = len(values) * 8 // bits
    start = 8 + 2 + 9 * 12 + 4
    short, long = 3, 4
    entries = [(256, long, width), (257, long, 1), (258, short, bits), (259, short, 1), (262, short, photometric)]
    entries += [(273, long, start), (277, short, 1), (279, long, len(values)), (339, short, sample_format)]
    packed = [
        struct.pack(
            "<HHI" + ("HH" if kind == short else "I"), tag, kind, 1, *([value, 0] if kind == short else [value])
        )
        for tag, kind, value in entries
    ]
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + b"".join(packed) + struct.pack("<I", 0) + values


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])  # which lose nothing
def test_images_are_turned_upright(suffix, orientation, tmp_path):
    upright = random_pixels(4, 6, 3)
    stored = image.fromarray(np.ascontiguousarray(STORED[orientation](upright)))
    save(tmp_path / f"a.{suffix}", stored, exif=exif(orientation), **({"lossless": True} if suffix == "webp" else {}))
    assert torch.equal(image_folder(tmp_path).images[0], bytes_of(upright).movedim(-1, 0))


def test_a_photograph_is_turned_before_it_is_cut(tmp_path):
    """A JPEG of a phone: its upper end is dark, on the left of what is stored, and no centred square changes that."""
    upright = np.full((64, 32, 3), 200, dtype=np.uint8)
    upright[:32] = 20
    save(tmp_path / "a.jpg", image.fromarray(np.rot90(upright)), exif=exif(6))
    save(tmp_path / "img_align_celeba" / "1.jpg", image.fromarray(np.rot90(upright)), exif=exif(6))
    assert image_folder(tmp_path / "img_align_celeba").images.shape == (1, 3, 64, 32)
    for images in (image_folder(tmp_path, size=8).images, celeba(tmp_path, size=8, crop=32).images):
        rows = images[0, 0].float().mean(1)
        assert float(rows[:3].max()) < 30.0
        assert float(rows[5:].min()) > 190.0


def test_sixteen_bits_are_turned_too(tmp_path):
    upright = random_pixels(4, 6).astype(np.uint16) * 256 + 7
    save(tmp_path / "a.png", image.fromarray(np.rot90(upright)), exif=exif(6))
    assert torch.equal(image_folder(tmp_path, channels=1).images[0, 0], bytes_of((upright >> 8).astype(np.uint8)))


@pytest.mark.parametrize(
    "damage", [b"Exif\0\0MM\0*\0\0", b"no metadata", b"Exif\0\0MM\0*\0\0\0\x08\0\x09\x01\x12\0\x03"]
)
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_damaged_metadata_cost_no_image(suffix, damage, tmp_path):
    save(tmp_path / f"a.{suffix}", image.fromarray(random_pixels(4, 6, 3)), exif=damage)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert image_folder(tmp_path, strict=True).images.shape == (1, 3, 4, 6)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "LAB"])
def test_a_grey_level_is_itself_in_every_mode(mode, channels, tmp_path):
    """Of the grey levels that each mode can hold: 0 and 255 for one bit."""
    level = 255 if mode == "1" else 119
    values = {"LAB": (128, 128, 128), "CMYK": (0, 0, 0, 255 - level), "YCbCr": (level, 128, 128)}
    grey = image.new("L", (4, 3), level)
    picture = image.new(mode, (4, 3), values[mode]) if mode in values else grey.convert(mode)
    save(tmp_path / "a.tif", picture)
    with image.open(tmp_path / "a.tif") as written:
        if mode == "YCbCr" and written.mode == "RGB":
            pytest.skip("this Pillow reads its own YCbCr as RGB")
        assert written.mode == mode
    found = image_folder(tmp_path, channels=channels, strict=True).images
    assert found.shape == (1, channels, 3, 4)
    assert found.unique().tolist() == [level]


@pytest.mark.parametrize("mode", ["P", "RGBA", "CMYK"])
def test_a_colour_is_itself_in_every_mode_that_holds_it_exactly(mode, tmp_path):
    colours = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0]]], dtype=np.uint8)
    save(tmp_path / "a.tif", image.fromarray(colours).convert(mode))
    assert torch.equal(image_folder(tmp_path).images[0], bytes_of(colours).movedim(-1, 0))


@pytest.mark.parametrize("name", ["a.tif", "a.png", "a.pgm"])
def test_sixteen_bits_keep_their_upper_eight_in_every_kind_of_file(name, tmp_path):
    pixels = np.array([[0, 200, 256, 4095, 65535]], dtype=np.uint16)
    save(tmp_path / name, image.fromarray(pixels))
    assert image_folder(tmp_path, channels=1).images[0, 0, 0].tolist() == [0, 0, 1, 15, 255]


@pytest.mark.parametrize(
    ("content", "levels"),
    [
        (tiff(bytes([0xFF, 0xF0, 0x10]), 12), [255, 1]),  # 0xFFF and 0x010
        (tiff(struct.pack("<2H", 0, 0xFF00), 16, photometric=0), [255, 0]),  # whose white is zero
        (tiff(bytes([0, 200]), 8, photometric=0), [255, 55]),
        (tiff(bytes([0, 200]), 8), [0, 200]),
        (b"P5 2 1 4095\n" + struct.pack(">2H", 4095, 16), [255, 1]),
        (b"P5 2 1 15\n" + bytes([15, 1]), [255, 17]),
    ],
    ids=["12 bits", "16 bits from white", "8 bits from white", "8 bits", "PGM of 12 bits", "PGM of 4 bits"],
)
def test_the_file_says_what_its_numbers_mean(content, levels, tmp_path):
    (tmp_path / ("a.pgm" if content.startswith(b"P5") else "a.tif")).write_bytes(content)
    assert image_folder(tmp_path, channels=1).images[0, 0, 0].tolist() == levels


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (tiff(struct.pack("<2I", 200, 200), 32), "32-bit integers"),
        (tiff(struct.pack("<2i", -5, 200), 32, sample_format=2), "signed integers"),
        (tiff(struct.pack("<2h", -5, 200), 16, sample_format=2), "signed integers"),
        (tiff(struct.pack("<2b", -5, 100), 8, sample_format=2), "signed integers"),
        (tiff(struct.pack("<2f", 0.5, 1.0), 32, sample_format=3), "floating-point numbers"),
    ],
    ids=["32 bits", "signed 32 bits", "signed 16 bits", "signed 8 bits", "floating point"],
)
def test_numbers_of_no_known_range_are_refused_with_a_remedy(content, what, tmp_path):
    (tmp_path / "a.tif").write_bytes(content)
    with refused(ValueError, "a.tif", what, "no known range", "save them as integers of 8 or 16 bits"):
        image_folder(tmp_path, strict=True)
    save(tmp_path / "b.png", image.fromarray(random_pixels(1, 2, 3)))
    with pytest.warns(
        UserWarning, match=r"1 of 2 images .* left out: a\.tif; of the first: its pixels are .*; save them"
    ):
        assert len(image_folder(tmp_path).images) == 1


def with_alpha(mode, alpha):
    picture = image.fromarray(random_pixels(3, 4, 3)).convert(mode.replace("A", "") or "L")
    picture.putalpha(image.new("L", picture.size, alpha))
    return picture


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_pixels_that_are_not_opaque_are_told_of_and_read_as_if_they_were(mode, tmp_path):
    save(tmp_path / "a.png", with_alpha(mode, 255))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        opaque = image_folder(tmp_path).images
    save(tmp_path / "a.png", with_alpha(mode, 254))
    with pytest.warns(UserWarning, match=r"1 of 1 images of .* not opaque.*: a\.png; put them on a background"):
        assert torch.equal(image_folder(tmp_path).images, opaque)


@pytest.mark.parametrize(("mode", "key"), [("L", 0), ("RGB", (0, 0, 0)), ("P", 0), ("I;16", 0)])
def test_a_transparent_colour_costs_no_image(mode, key, tmp_path):
    pixels = np.zeros((2, 3), dtype=np.uint16 if mode == "I;16" else np.uint8)
    picture = image.fromarray(pixels) if mode in ("L", "I;16") else image.fromarray(pixels).convert(mode)
    save(tmp_path / "a.png", picture, transparency=key)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert image_folder(tmp_path, strict=True).images.unique().tolist() == [0]


def test_of_several_frames_the_first_is_read(tmp_path):
    frames = [image.fromarray(np.full((2, 3), level, dtype=np.uint8)) for level in (10, 200)]
    file = io.BytesIO()
    frames[0].save(file, "TIFF", save_all=True, append_images=frames[1:])
    (tmp_path / "a.tif").write_bytes(file.getvalue())
    assert image_folder(tmp_path).images.unique().tolist() == [10]
