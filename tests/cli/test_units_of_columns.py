"""The command dimension on columns in different units: --standardize, and the word that leads to it."""

import numpy as np
import pytest

pytest.importorskip("click")

from command_runs import run


def test_the_command_standardizes_and_says_where_that_matters(tmp_path):
    angle, height = np.random.default_rng(0).uniform(size=(2, 1500)) * [[2.0 * np.pi], [3.0]]
    np.save(tmp_path / "tube.npy", np.stack([np.cos(angle), np.sin(angle), 1000.0 * height], axis=1))
    out, err, status = run("dimension", tmp_path / "tube.npy")
    assert (out[0], err, status) == ("dimension 1 (interval 1 to 1)", [], 0)
    (said,) = [line for line in out if "the widest column varies" in line]
    assert said.endswith(
        "the dimension is 2 (2 to 2): where columns are in different units, take that, by --standardize"
    )
    out, err, status = run("dimension", tmp_path / "tube.npy", "--standardize")
    assert (out[0], err, status) == ("dimension 2 (interval 2 to 2)", [], 0)
    assert not any("the widest column" in line for line in out)
