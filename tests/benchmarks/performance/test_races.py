"""What the races compare, who sits out, and how targets are checked."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial

import torch

import run
from performance import command, couplings, prior, record, table, timing
from performance.races import Race, Target, Trial


def small(tmp_path, *sections):
    assert run.main(["performance", "--small", "--sections", *sections, "--out", str(tmp_path)]) == 0
    return json.loads((tmp_path / "performance.json").read_text())


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
    once = partial(replace, seconds=0.0)  # nobody asks how long a step takes
    monkeypatch.setattr(command, "run_race", lambda race, **given: record.run_race(once(race), **given))
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
