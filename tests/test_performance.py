"""The benchmarks of the prior and of the Glow step, run as a user would run them but for sizes and rounds."""

import json

import pytest
import torch

from performance import glow_step, prior, timing

SMALL = ["--sizes", "2", "5", "--batches", "3", "6", "--rounds", "2", "--seconds", "0.001"]


def test_it_leaves_a_table_and_a_json_file_that_says_where_it_comes_from(tmp_path, capsys):
    assert prior.main([*SMALL, "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    written = json.loads((tmp_path / "prior.json").read_text())
    assert written["command"] == f"python benchmarks/performance/prior.py {' '.join(SMALL)}"
    assert written["versions"]["torch"] == torch.__version__
    assert written["machine"]["threads"] == torch.get_num_threads()
    assert set(written["by_size"]["sizes"]) == {"2", "5"}
    for rows in written["by_size"]["sizes"].values():
        assert set(rows) == set(prior.CONTENDERS)
        for name, row in rows.items():
            assert name in printed
            assert row["seconds"] > 0
            assert row["ratio"] > 0
            assert row["quartiles"][0] <= row["seconds"] <= row["quartiles"][1]
    assert str(tmp_path) not in (tmp_path / "prior.json").read_text()


def test_the_cost_of_a_glow_step_is_set_beside_its_net_and_its_peers(tmp_path, capsys):
    pytest.importorskip("normflows")
    small = ["--size", "4", "--batch", "2", "--hidden-channels", "4", "--layers", "2"]
    small += ["--rounds", "2", "--seconds", "0.001"]
    assert glow_step.main([*small, "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    written = json.loads((tmp_path / "glow_step.json").read_text())
    assert written["command"] == f"python benchmarks/performance/glow_step.py {' '.join(small)}"
    assert {"ours", "nflows", "normflows", "ours, channels_last"} <= set(written["step"])
    for name, row in {**written["step"], **written["stack"]}.items():
        assert name in printed
        assert row["peak_bytes"] > 0
        assert all(cost > 0 for cost in row["cost"].values())
    assert written["step"][glow_step.NET]["cost"][glow_step.NET] == 1
    memory = {name: row["peak_bytes"] for name, row in written["stack"].items()}
    assert memory["checkpointing"] < memory["no checkpointing"]


def test_what_does_not_fit_is_left_out_with_the_reason(monkeypatch):
    assert prior.too_large("LowerTriangularFactor", 1000, (1000, 1.0), 15.0) is None
    assert prior.too_large("LowerTriangularFactor", 4000, (1000, 1.0), 15.0) == (
        "about 64 s a step, more than the limit of 15 s"
    )
    assert prior.too_large("SpreadCholeskyFactor", 3000, (1000, 1.0), 15.0) is None
    monkeypatch.setattr("os.sysconf", lambda name: 2**10)
    assert "GiB, 0 are free" in prior.too_large("LowerTriangularFactor", 1000, None, 15.0)


def test_peak_memory_is_that_of_what_is_held_at_the_same_time():
    def step():
        for _ in range(3):
            a = torch.ones(1000, dtype=torch.float64)
            b = a + 1
            del a, b

    assert timing.peak_bytes(step) == pytest.approx(16_000, abs=200)


def test_the_exponent_is_the_slope_in_logarithms():
    assert prior.exponent([(10, 3 * 10**2.5), (20, 3 * 20**2.5), (80, 3 * 80**2.5)]) == pytest.approx(2.5)
    assert prior.exponent([(10, 1.0)]) is None
