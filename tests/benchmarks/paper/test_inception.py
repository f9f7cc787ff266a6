"""Inception's features: used where their weights are, and their absence is said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from paper.sample_quality.inception import INCEPTION_VARIABLE, inception_features


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        (lambda folder: folder / "none.pth", FileNotFoundError, "none.pth; fetch it from torch-fidelity's releases"),
        (lambda folder: write_nothing(folder / "weights.pth"), ModuleNotFoundError, "pip install torch-fidelity"),
    ],
    ids=["no file", "no torch-fidelity"],
)
def test_inception_is_used_where_it_is_and_its_absence_is_said(
    given: Callable[[Path], Path], error: type[Exception], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(INCEPTION_VARIABLE, raising=False)
    assert inception_features() is None
    monkeypatch.setenv(INCEPTION_VARIABLE, str(given(tmp_path)))
    monkeypatch.setattr("paper.sample_quality.inception.find_spec", lambda name: None)
    with pytest.raises(error, match=words):
        inception_features()


def write_nothing(path: Path) -> Path:
    path.write_bytes(b"")
    return path
