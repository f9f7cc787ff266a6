"""Without its library a reader names the extra that brings it."""

import sys

import pytest

from image_files import write
from nflows_spread.datasets import SCurve, handwritten_digits, image_folder
from support import refused


def test_without_its_library_a_reader_names_the_extra(tmp_path, monkeypatch):
    write(tmp_path / "a.png", b"")
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with refused(ImportError, "nflows-spread[images]"):
        image_folder(tmp_path)


@pytest.mark.parametrize("wanted", [handwritten_digits, lambda: SCurve().sample(3)], ids=["digits", "s-curve"])
def test_without_scikit_learn_the_error_names_the_extra(wanted, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ImportError, match=r"nflows-spread\[sklearn\]"):
        wanted()
