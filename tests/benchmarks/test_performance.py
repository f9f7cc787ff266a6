"""The performance benchmark, run as a user would run it but for sizes and rounds, and its clock and targets."""

import json
import time

import pytest
import torch

import run
from performance import command, couplings, prior, prior_precision, record, table, timing
from performance.races import GrowthTarget, Race, Section, Target, Trial

DENSITIES = (prior_precision.dense_factor, lambda z, a: prior_precision.from_covariance(a).log_prob(z))


def small(tmp_path, *sections):
    assert run.main(["performance", "--small", "--sections", *sections, "--out", str(tmp_path)]) == 0
    return json.loads((tmp_path / "performance.json").read_text())


@pytest.mark.parametrize("section", command.SECTIONS)
def test_every_section_leaves_a_table_a_record_and_a_picture(section, tmp_path, capsys):
    written = small(tmp_path, section)
    printed = capsys.readouterr().out
    assert written["command"] == f"python benchmarks/run.py performance --small --sections {section}"
    assert written["versions"]["torch"] == torch.__version__
    assert written["machine"]["threads"] == torch.get_num_threads()
    assert written["races"]
    assert {race["section"] for race in written["races"]} == {section}
    for race in written["races"]:
        assert race["name"] in printed
        for name, row in race["contenders"].items():
            assert name in printed
            assert row["quartiles"][0] <= row["seconds"] <= row["quartiles"][1]
            assert row["peak_bytes"] > 0
        assert race["contenders"][race["reference"]]["over_reference"] == 1
        assert not race["contenders"].keys() & race["absent"].keys()
    assert len(written["targets"]) == printed.count("  target: ") + len(command.SECTIONS[section].growth)
    assert (tmp_path / "performance.png").read_bytes().startswith(b"\x89PNG")
    page = (tmp_path / "performance.md").read_text()
    assert all(f"| {race['name']} | {name} |" in page for race in written["races"] for name in race["contenders"])
    again = ["performance", "--record", str(tmp_path / "performance.json"), "--out", str(tmp_path / "again")]
    assert run.main(again) == 0
    assert (tmp_path / "again" / "performance.md").read_text() == page
    assert str(tmp_path) not in (tmp_path / "performance.json").read_text()


def test_a_ratio_is_the_median_of_those_of_each_round():
    """In which both were slowed down alike, unlike the medians of their own."""
    mine, theirs = timing.Measured([1.0, 40.0, 9.0]), timing.Measured([2.0, 10.0, 3.0])
    assert mine.over(theirs) == 3.0
    written = mine.as_json(theirs)
    assert (written["seconds"], written["over_reference"], written["quartiles"]) == (9.0, 3.0, [5.0, 24.5])


def test_the_full_sizes_are_those_of_the_issue_and_every_target_names_two_contenders():
    races = [race for section in command.SECTIONS.values() for race in section.races(False)]
    sizes = {}
    for race in races:
        if "D" in race.series:
            sizes.setdefault(race.section, set()).add(race.series["D"])
    expected = {"prior": {784, 3072, 12288}, "couplings": {196, 784, 3136}, "training": {256, 784, 3136}}
    assert sizes == expected
    assert {race.section for race in races if "batch" in race.series} == expected.keys()
    assert {race.name for race in races} >= {f"prior, D = {size}, batch 100" for size in prior.SIZES}
    for race in races:
        assert race.reference in race.contenders
        for target in race.targets:
            assert {target.contender, target.over} <= race.contenders.keys() | race.absent.keys()


def test_float32_loses_what_the_prior_keeps():
    ours, theirs = ([prior_precision.errors(density, 64, scale) for scale in (1.0, 3.0, 30.0)] for density in DENSITIES)
    assert all(max(found.values()) < 1e-6 for found in ours)
    some, many, all_of_it = theirs
    assert 1e-3 < some["gradient in A"] < 0.1
    assert many["gradient in A"] > 0.1
    # whether the check of the covariance or its decomposition finds it first depends on the number of threads
    assert all_of_it in ({"fails": "ValueError"}, {"fails": "_LinAlgError"})


def test_what_float32_is_held_against_is_right():
    mpmath = pytest.importorskip("mpmath", reason="needs mpmath")
    z, a = (part.double() for part in prior_precision.degenerate(8, 10.0))
    with mpmath.workdps(60):
        root = mpmath.matrix(a.tril().tolist())
        covariance = root * root.T + mpmath.mpf(prior_precision.SPREAD_VARIANCE) * mpmath.eye(8)
        solved = mpmath.lu_solve(covariance, mpmath.matrix(z[0].tolist()))
        square = sum(u * v for u, v in zip(z[0].tolist(), solved))
        expected = -(square + mpmath.log(mpmath.det(covariance)) + 8 * mpmath.log(2 * mpmath.pi)) / 2
        assert float(prior_precision.exact(z, a)[0]) == pytest.approx(float(expected), rel=1e-9)


def test_all_contenders_of_a_coupling_pass_change_both_halves_of_the_entries():
    for name, build in couplings.BUILDERS.items():
        if name in couplings.missing() or name == couplings.NETS:
            continue
        module = build(lambda inputs, outputs: couplings.Dense(inputs, outputs, hidden=(5,)), (3, 4)).double()
        x = torch.randn(3, 4, dtype=torch.float64)
        y = couplings.tensors(module(x))[0]
        if name != couplings.ALL_IN_ONE:  # its permutation is random and may bring the same half again
            assert (y != x).all(), name
        torch.testing.assert_close(couplings.tensors(module.inverse(y))[0], x)


def test_peers_that_are_not_installed_sit_out_with_the_reason(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(couplings, "find_spec", lambda package: None)
    written = small(tmp_path, "couplings")
    out = {couplings.NORMFLOWS, couplings.GIN, couplings.ALL_IN_ONE}
    for race in written["races"]:
        is_sweep = "D = 6" in race["name"] or "batch 5" in race["name"]
        assert race["absent"].keys() == ({couplings.NORMFLOWS} if is_sweep else out)
    assert "normflows: left out, normflows is not installed" in capsys.readouterr().out


def test_what_does_not_fit_is_left_out_with_the_reason(monkeypatch):
    assert prior.absent("LowerTriangularFactor", 3072) is None
    assert prior.absent("LowerTriangularFactor", 12288) == "its time grows as D³: 64 times that at 3072"
    monkeypatch.setattr("os.sysconf", lambda name: 2**10)
    assert "GiB, 0 are free" in prior.absent("SpreadCholeskyFactor", 1000)


def test_races_for_which_no_time_is_left_are_named(tmp_path, capsys, monkeypatch):
    lazy = Race("s", "the first", "a", {"a": lambda: lambda: time.sleep(0.02)})
    monkeypatch.setitem(command.SECTIONS, "s", Section("s", lambda small: [lazy, Race("s", "the last", "a", {})]))
    assert command.main(["--sections", "s", "--max-minutes", "0.0003", "--out", str(tmp_path)]) == 0
    assert "no time was left for: the last" in capsys.readouterr().out
    assert json.loads((tmp_path / "performance.json").read_text())["left_out"] == ["the last"]


def test_targets_are_checked_round_by_round_and_a_missed_one_says_what_was_tried():
    measured = {"ours": timing.Measured([1.0, 2.0, 9.0]), "theirs": timing.Measured([2.0, 4.0, 3.0])}
    race = Race("s", "r", "theirs", {})
    met = record.check_target(race, Target("ours", "theirs", 0.5), measured)
    missed = record.check_target(race, Target("ours", "theirs", 0.4, tried="less work"), measured)
    assert (met["found"], met["met"], missed["met"]) == (0.5, True, False)
    text = table.of_targets([met, missed])
    assert text.startswith("1 of 2 targets are met")
    assert "ours: 2× faster, at least 2.5× faster than theirs: MISSED" in text
    assert "tried: less work" in text


def test_a_trial_counts_only_with_the_right_end():
    for dimension, seconds, good in ((2, 1.0, True), (3, 1.0, False), (2, 9.0, False)):
        found = {"seconds": seconds, "dimension": dimension}
        checked = record.run_trial(Trial("s", "t", lambda found=found: found, 5.0, {"dimension": 2}))
        assert checked["targets"][0]["met"] is good


def test_a_record_that_cannot_be_read_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        command.main(["--record", str(tmp_path / "none.json")])
    assert "--record must be the JSON file of an earlier run, got" in capsys.readouterr().err


def test_growth_is_the_slope_in_logarithms_along_each_axis():
    sizes = [10, 20, 80]
    races = [
        {"section": "s", "series": {"D": d}, "contenders": {"a": {"seconds": 3 * d**2.5}, "b": {"seconds": 7.0}}}
        for d in sizes
    ]
    found = record.growth_of(races)["s"]["D"]
    assert found == {"a": pytest.approx(2.5), "b": pytest.approx(0.0)}
    checked = record.check_growth(
        [GrowthTarget("s", "D", "a", 2.2), GrowthTarget("s", "n", "a", 1.0)], {"s": {"D": found}}
    )
    assert [target["met"] for target in checked] == [False]
    assert timing.exponent([(10, 1.0), (10, 2.0)]) is None


def test_contenders_take_turns_and_a_repeated_step_counts_each_piece_of_work():
    order = []
    steps = {name: lambda name=name: order.append(name) or time.sleep(0.01) for name in "ab"}
    measured = timing.compare(steps, rounds=3, seconds=0.001, repeats=10)
    assert len(measured["a"].seconds) == 3
    assert order[4:10] == ["a", "b", "b", "a", "a", "b"]  # after a first call and one that is timed for its length
    assert 0.001 <= measured["a"].median < 0.01


def test_peak_memory_is_that_of_what_is_held_at_the_same_time(capfd):
    def step():
        for _ in range(3):
            a = torch.ones(1000, dtype=torch.float64)
            b = a + 1
            del a, b

    assert timing.peak_bytes(step) == pytest.approx(16_000, abs=200)
    assert capfd.readouterr().err == ""
