"""Without its library a reader names the extra that brings it."""

import sys

import pytest

from image_files import write
from nflows_spread.datasets import SCurve, handwritten_digits, image_folder, svhn
from support import refused


@pytest.mark.parametrize("module", ["PIL.Image", "scipy.io"])
def test_without_its_library_a_reader_names_the_extra(module, tmp_path, monkeypatch):
    write(tmp_path / "a.png", b"")
    write(tmp_path / "train_32x32.mat", b"")
    monkeypatch.setitem(sys.modules, module, None)
    with refused(ImportError, "nflows-spread[images]"):
        image_folder(tmp_path) if module == "PIL.Image" else svhn(tmp_path)


@pytest.mark.parametrize("wanted", [handwritten_digits, lambda: SCurve().sample(3)], ids=["digits", "s-curve"])
def test_without_scikit_learn_the_error_names_the_extra(wanted, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ImportError, match=r"nflows-spread\[sklearn\]"):
        wanted()
