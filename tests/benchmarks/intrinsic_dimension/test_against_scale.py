"""The picture of dimension against scale, of small sets."""

from __future__ import annotations

from pathlib import Path

import pytest

import run


def test_it_leaves_a_picture_and_says_what_was_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    pytest.importorskip("matplotlib")
    assert run.main(["dimension-against-scale", "--points", "300", "--out", str(tmp_path)]) == 0
    assert "spiral in the plane: PointDimension(1, " in capsys.readouterr().out
    assert (tmp_path / "dimension-against-scale.png").read_bytes().startswith(b"\x89PNG")
