"""A fit that was interrupted goes on where it left off, and ends as one that was not."""

import math
import signal
from unittest.mock import Mock

import numpy as np
import pytest
import torch

from nflows_spread.estimator import Recipe, SpreadFlowEstimator, annealing, fitting
from nflows_spread.estimator.resumption import Resumption
from support import refused

RECIPE = Recipe(
    steps=60, layers=2, hidden_features=8, bins=4, first_check=10, check_every=5, patience=3, chart_steps=20
)


def arc(rows=100):
    t = np.random.default_rng(0).uniform(0.0, 3.0, rows)
    return np.stack([np.cos(t), np.sin(t), 0.3 * t], axis=1)


def estimator(folder=None, **settings):
    return SpreadFlowEstimator(**{"random_state": 0, "recipe": RECIPE, "checkpoints": folder} | settings)


def observed(steps, ends, original=annealing.fit):
    """``fit`` that tells its steps, and is interrupted by Ctrl-C at a part and step, once."""

    def fit(*args, callbacks, **options):
        def after_step(state):
            steps.append(state.step)
            if ends and (options["checkpoints"].folder.name, state.step) == ends[0]:
                ends.clear()
                signal.raise_signal(signal.SIGINT)

        return original(*args, callbacks=[*callbacks, after_step], **options)

    return fit


@pytest.fixture
def interrupted_at(monkeypatch):
    """Has the training interrupted once, and gives the list of all steps that are made."""

    def at(*end):
        steps = []
        monkeypatch.setattr(annealing, "fit", observed(steps, [end]))
        return steps

    return at


@pytest.fixture(scope="module")
def whole():
    """A fit without an interruption, and the number of its steps."""
    steps = []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(annealing, "fit", observed(steps, []))
        return estimator().fit(arc()), len(steps)


@pytest.fixture(scope="module")
def expected(whole):
    return whole[0]


def same(found, expected):
    assert int(found.intrinsic_dimension_) == int(expected.intrinsic_dimension_)
    for name, value in expected.flow_.state_dict().items():
        torch.testing.assert_close(found.flow_.state_dict()[name], value, rtol=0, atol=0, equal_nan=True)
    np.testing.assert_array_equal(found.transform(arc()), expected.transform(arc()))
    np.testing.assert_array_equal(found.score_samples(arc()), expected.score_samples(arc()))


@pytest.mark.parametrize(("part", "step"), [("annealing", 7), ("annealing", 17), ("annealing", 20), ("settling", 5)])
def test_a_resumed_fit_ends_as_one_that_was_not_interrupted(part, step, tmp_path, interrupted_at, whole):
    steps = interrupted_at(part, step)
    with pytest.raises(KeyboardInterrupt):
        estimator(tmp_path).fit(arc())
    assert list(tmp_path.iterdir())
    same(estimator(tmp_path).fit(arc()), whole[0])
    assert list(tmp_path.iterdir()) == []
    assert len(steps) == whole[1]  # none was made twice


def test_a_fit_that_was_interrupted_after_its_training_does_not_train_again(
    tmp_path, monkeypatch, interrupted_at, whole
):
    steps = interrupted_at("annealing", 0)
    with monkeypatch.context() as patched:
        patched.setattr(fitting, "chart_at", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            estimator(tmp_path).fit(arc())
    same(estimator(tmp_path).fit(arc()), whole[0])
    assert len(steps) == whole[1]


def test_the_annealing_of_these_fits_ends_when_the_dimension_is_stable(whole):
    assert 20 <= whole[1] < RECIPE.steps


def test_checkpoints_change_no_digit(tmp_path, expected):
    same(estimator(tmp_path).fit(arc()), expected)
    assert list(tmp_path.iterdir()) == []


def test_another_fit_does_not_go_on_from_it(tmp_path):
    x = torch.as_tensor(arc())
    folders = [
        Resumption.of(tmp_path, data, *settings).folder
        for data, settings in (
            (x, (0,)),
            (x, (1,)),
            (x + 1.0, (0,)),
            (x.float(), (0,)),
            (x[:, :2], (0,)),
            (x[:50], (0,)),
        )
    ]
    assert len(set(folders)) == len(folders)
    assert Resumption.of(tmp_path, x.clone(), 0).folder == folders[0]


def test_checks_are_kept(tmp_path):
    resumption = Resumption(tmp_path / "fits" / "fit")
    assert resumption.read_checks() == ([], 0.0, None)
    assert resumption.steps_done("annealing") == 0
    resumption.write_checks([None, 2], math.pi, ended=7)
    assert resumption.read_checks() == ([None, 2], math.pi, 7)
    resumption.remove()
    assert list((tmp_path / "fits").iterdir()) == []


@pytest.mark.parametrize("content", [b"", b'{"dimensions": [2', b"[]", b"\xff", b"{}"])
def test_checks_that_are_damaged_are_refused(content, tmp_path):
    resumption = Resumption(tmp_path / "fit")
    resumption.write_checks([2], 0.1)
    (tmp_path / "fit" / "checks.json").write_bytes(content)
    with refused(ValueError, "checks.json is damaged", f"; delete {tmp_path / 'fit'}, and the fit starts anew"):
        resumption.read_checks()


def test_a_seed_that_cannot_be_made_again_is_refused(tmp_path):
    with refused(ValueError, "random_state must be an integer where there are checkpoints, got None"):
        estimator(tmp_path, random_state=None).fit(arc())
    with refused(TypeError, "checkpoints must be the path of a folder, got 3 of type int"):
        estimator(3).fit(arc())
