"""Headers that claim more than a file or a machine has are refused before memory of that size is asked for."""

import gzip
import io
import struct
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest

from nflows_spread.datasets import claimed_sizes, image_folder, mnist
from nflows_spread.datasets.claimed_sizes import DEFLATE_RATIO, check_fits, check_member, memory_of_machine
from support import random_pixels, refused

pytest.importorskip("click")

from nflows_spread.cli.data_files import ReadOptions, read_table

MOST = 30 * 2**20
"""Bytes that a refusal may take, of which Pillow's import has most."""


@pytest.fixture(autouse=True)
def _little_memory_is_taken():
    tracemalloc.start()
    yield
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < MOST


def npy_header(*shape):
    """An array of doubles by its header alone."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": shape})
    return file.getvalue()


def test_an_array_of_more_rows_than_the_file_has_is_refused(tmp_path):
    (tmp_path / "a.npy").write_bytes(npy_header(2**40, 3) + bytes(240))
    with refused(ValueError, "a.npy cannot be read as .npy: "):
        read_table(tmp_path / "a.npy", ReadOptions())


@pytest.mark.parametrize("kind", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_an_array_of_an_archive_must_have_the_bytes_of_its_header(kind, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", kind) as archive:
        archive.writestr("rows.npy", npy_header(2**40, 3) + bytes(240))
    with refused(ValueError, "a.npz cannot be read", f"the {24 * 2**40} bytes that its header claims, got 240"):
        read_table(tmp_path / "a.npz", ReadOptions())


def test_an_archive_that_unpacks_to_more_than_the_memory_is_refused(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "a.npz", rows=np.zeros((10_000, 3)))
    assert read_table(tmp_path / "a.npz", ReadOptions()).rows.shape == (10_000, 3)
    monkeypatch.setattr(claimed_sizes, "memory_of_machine", lambda: 100_000)
    with refused(ValueError, "rows.npy in a.npz must hold no more than the 0 GB of memory here, got 0.0002401 GB"):
        read_table(tmp_path / "a.npz", ReadOptions())


def test_an_archive_cannot_claim_more_than_compression_can_do():
    member = zipfile.ZipInfo("bomb.npy")
    member.compress_type, member.compress_size, member.file_size = zipfile.ZIP_DEFLATED, 1000, 2**33
    with refused(ValueError, f"bomb.npy in a.npz must be at most {DEFLATE_RATIO} times its 1000 compressed bytes"):
        check_member(member, "a.npz")
    member.file_size = len(zlib.decompress(zlib.compress(bytes(2**20), 9)))
    member.compress_size = len(zlib.compress(bytes(2**20), 9))
    check_member(member, "a.npz")  # the best that it does
    with refused(ValueError, "must have at most 1000 bytes, got 1048576; leave it out"):
        check_member(member, "a.npz", most=1000)


def test_no_compression_is_better_than_its_bound():
    size = 2**24
    assert 1000 < size / len(zlib.compress(bytes(size), 9)) <= DEFLATE_RATIO


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("count", [2**32 - 1, 10_000_000])
def test_digits_that_are_not_there_are_refused(packed, count, tmp_path):
    content = struct.pack(">4I", 0x0803, count, 28, 28) + bytes(7840)
    ending = ".gz" if packed else ""
    packing = gzip.compress if packed else bytes
    (tmp_path / f"t10k-images-idx3-ubyte{ending}").write_bytes(packing(content))
    (tmp_path / f"t10k-labels-idx1-ubyte{ending}").write_bytes(packing(struct.pack(">2I", 0x0801, 10) + bytes(10)))
    with refused(ValueError, f"t10k-images-idx3-ubyte{ending} must have", f"{count * 784} entries after it"):
        mnist(tmp_path, split="test")


def png_of(width, height):
    """A picture by its header alone."""
    pieces = [(b"IHDR", struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(bytes(100)))]
    chunks = (
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in pieces
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def test_an_image_of_more_pixels_than_pillow_warns_of_is_left_out_and_named(tmp_path):
    image = pytest.importorskip("PIL.Image")
    (tmp_path / "a.png").write_bytes(png_of(10_000, 10_000))
    image.fromarray(random_pixels(4, 4, 3)).save(tmp_path / "b.png")
    with pytest.warns(
        UserWarning, match=r"1 of 2 images .* cannot be read and are left out: a.png; .*100000000 pixels"
    ):
        assert image_folder(tmp_path).images.shape == (1, 3, 4, 4)


def test_images_that_do_not_fit_together_are_refused_before_room_is_made(tmp_path, monkeypatch):
    image = pytest.importorskip("PIL.Image")
    for name in "abc":
        image.fromarray(random_pixels(40, 40, 3)).save(tmp_path / f"{name}.png")
    monkeypatch.setattr(claimed_sizes, "memory_of_machine", lambda: 3 * 4_800 - 1)
    with refused(ValueError, "all of whose images must be as a.png, 3 × 40 × 40, must hold no more than the 0 GB"):
        image_folder(tmp_path)
    assert image_folder(tmp_path, size=20).images.shape == (3, 3, 20, 20)


def test_the_memory_of_the_machine_is_some():
    assert 2**28 < memory_of_machine() < 2**50
    check_fits("a", memory_of_machine())
    with refused(ValueError, "a must hold no more than the", "take fewer rows"):
        check_fits("a", memory_of_machine() + 1)
