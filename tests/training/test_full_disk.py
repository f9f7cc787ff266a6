"""Disks that are full or read-only while checkpoints and models are written: an error, and the last good file stays."""

import numpy as np
import pytest
import torch

from full_disks import NO_SPACE, READ_ONLY, TOO_LARGE, contents, files_up_to, fill, free, read_only, tiny_disk
from nflows_spread.estimator import Recipe, SpreadFlowEstimator
from nflows_spread.models import TABLE_1, coupling_flow
from nflows_spread.training import Checkpoints, load_model, read_checkpoint, save_model
from resumed_runs import ROWS, objective_of, same, tensors_of, train

LEFT = [pytest.param(0, marks=pytest.mark.slow), pytest.param(4096, marks=pytest.mark.slow), 24_576]
"""Bytes that are free: of what is written nothing, the first page, and most of it."""


def flow_of(seed):
    torch.manual_seed(seed)
    return coupling_flow(**TABLE_1)


@pytest.fixture(scope="module")
def whole():
    objective = objective_of(0)
    train(objective, ROWS, 15)
    return tensors_of(objective)


@pytest.mark.parametrize("left", LEFT)
def test_a_run_ends_when_the_disk_is_full_and_goes_on_when_it_is_not(left, tmp_path, whole):
    seen = []
    with tiny_disk(tmp_path / "disk", "1m") as disk:

        def fill_at_seven(state):
            seen.append(state.step)
            if state.step == 7:
                fill(disk, left)

        message = rf"cannot write .*step-0000000010.pt: {NO_SPACE}; nothing was written; free space or choose another"
        with pytest.raises(OSError, match=message):
            train(objective_of(0), ROWS, 15, folder=disk, callbacks=[fill_at_seven])
        assert seen[-1] == 10, "it must not train on without checkpoints"
        assert sorted(contents(disk)) == ["best.pt", "step-0000000005.pt"]
        assert read_checkpoint(disk / "step-0000000005.pt")["step"] == 5
        free(disk)
        again = objective_of(1)
        train(again, ROWS, 15, folder=disk, resume=True)
    assert same(tensors_of(again), whole)


@pytest.mark.parametrize("left", LEFT)
def test_the_model_that_was_there_stays_when_the_disk_is_full(left, tmp_path):
    with tiny_disk(tmp_path / "disk", "1m") as disk:
        save_model(disk / "flow.pt", flow_of(0), build=coupling_flow, config=TABLE_1)
        before = contents(disk)
        fill(disk, left)
        for name, stays in (("flow.pt", "what was there is as it was"), ("other.pt", "nothing was written")):
            with pytest.raises(OSError, match=rf"cannot write .*{name}: {NO_SPACE}; {stays}; free space"):
                save_model(disk / name, flow_of(1), build=coupling_flow, config=TABLE_1)
            assert contents(disk) == before
        loaded = load_model(disk / "flow.pt")
    assert same(tensors_of(loaded), tensors_of(flow_of(0)))


def test_nothing_is_written_to_a_read_only_disk(tmp_path):
    with tiny_disk(tmp_path / "disk", "1m") as disk:
        save_model(disk / "flow.pt", flow_of(0), build=coupling_flow, config=TABLE_1)
        before = contents(disk)
        with read_only(disk):
            with pytest.raises(OSError, match=rf"cannot write .*flow.pt: {READ_ONLY}; what was there is as it was"):
                save_model(disk / "flow.pt", flow_of(1), build=coupling_flow, config=TABLE_1)
            objective, start = objective_of(0), objective_of(0)
            with pytest.raises(OSError, match=rf"cannot write checkpoints to .*: {READ_ONLY}; choose another folder"):
                train(objective, ROWS, 5, folder=disk)
            pairs = zip(objective.parameters(), start.parameters(), strict=True)
            assert all(torch.equal(a, b) for a, b in pairs), "it is refused before the first step"
        assert contents(disk) == before


def test_a_best_checkpoint_that_cannot_be_copied_leaves_the_one_before(tmp_path, monkeypatch):
    """On a file system without hard links it is a copy."""
    monkeypatch.setattr("nflows_spread.whole_files.os.link", _no_links)
    checkpoints = Checkpoints(tmp_path)
    checkpoints.write(5, {"step": 5, "is_best": True, "x": torch.zeros(10)}, is_best=True)
    checkpoints.write(10, {"step": 10, "is_best": True, "x": torch.zeros(10_000)}, is_best=False)
    with files_up_to(10_000), pytest.raises(OSError, match=rf"cannot write .*best.pt: {TOO_LARGE}; what was there is"):
        checkpoints.read_latest()
    assert read_checkpoint(checkpoints.best)["step"] == 5
    assert not list(tmp_path.glob(".*"))
    assert checkpoints.read_latest()["step"] == 10
    assert read_checkpoint(checkpoints.best)["step"] == 10


def _no_links(*_):
    raise OSError("no hard links here")


@pytest.mark.slow
def test_a_fit_of_the_estimator_ends_when_its_checkpoint_cannot_be_written(tmp_path):
    t = np.random.default_rng(0).uniform(0.0, 3.0, 100)
    x = np.stack([np.cos(t), np.sin(t), 0.3 * t], axis=1)

    def estimator():
        recipe = Recipe(steps=20, layers=2, hidden_features=8, bins=4, chart_steps=10)
        return SpreadFlowEstimator(random_state=0, recipe=recipe, checkpoints=tmp_path)

    interrupted = estimator()
    with files_up_to(4096), pytest.raises(OSError, match=rf"cannot write .*\.pt: {TOO_LARGE}; nothing was written"):
        interrupted.fit(x)
    assert not hasattr(interrupted, "flow_")
    assert contents(tmp_path) == {}
    expected = SpreadFlowEstimator(**{**estimator().get_params(deep=False), "checkpoints": None}).fit(x)
    np.testing.assert_array_equal(interrupted.fit(x).transform(x), expected.transform(x))
