"""The benchmark of data whose dimension varies from place to place, for a few steps."""

import json

import pytest


def test_it_leaves_shares_and_a_map(tmp_path):
    pytest.importorskip("matplotlib")
    command = pytest.importorskip("intrinsic_dimension.pointwise_dimension")
    arguments = ["--points", "200", "--steps", "4", "--out", str(tmp_path)]
    assert command.COMMAND(arguments) == 0
    record = json.loads((tmp_path / "pointwise-dimension-seed-0.json").read_text())
    assert set(record["results"]) == {"lollipop", "curve and surface"}
    for result in record["results"].values():
        assert set(result["share_right"]) == {"neighbours", "gap", "above noise", "slope"}
        assert 0.9 < result["share_right"]["neighbours"] <= 1.0
    assert (tmp_path / "pointwise-dimension-seed-0.png").stat().st_size > 10_000
