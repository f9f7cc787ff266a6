"""The command dimension on columns in different units: --standardize, and the word that leads to it."""

import warnings

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


def test_pixels_that_hardly_vary_are_no_news_of_images_and_columns_of_a_table_are(tmp_path, monkeypatch):
    pytest.importorskip("lightning_fabric")
    from nflows_spread.estimator import SpreadFlowEstimator

    fit = SpreadFlowEstimator.fit

    def warn_and_fit(own, x):
        warnings.warn("other news", stacklevel=2)
        return fit(own, x)

    monkeypatch.setattr(SpreadFlowEstimator, "fit", warn_and_fit)
    image = pytest.importorskip("PIL.Image")
    grey = np.random.default_rng(0).integers(0, 256, size=(60, 2, 2)).astype(np.uint8)
    grey[:, 0, 0] = np.arange(60) % 2  # at the border
    (tmp_path / "images").mkdir()
    for number, one in enumerate(grey):
        image.fromarray(one).save(tmp_path / "images" / f"{number:02d}.png")
    np.save(tmp_path / "table.npy", grey.reshape(60, 4) / 255.0)
    told = {}
    for data, options in (("images", ["--grey"]), ("table.npy", [])):
        _, err, status = run("fit", tmp_path / data, *options, "--out", tmp_path / f"{data}-run", "--steps", 5)
        assert status == 0
        assert any("other news" in line for line in err)
        told[data] = [line for line in err if "must vary by more than" in line]
    assert told["images"] == []
    assert len(told["table.npy"]) == 1
