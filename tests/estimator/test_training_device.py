"""The device of the estimator's trainings: the CPU, or one that is there, from which all comes back."""

import numpy as np
import pytest
import torch

from nflows_spread.estimator import Recipe, SpreadFlowEstimator
from nflows_spread.estimator.training_device import CPU, checked_device, generator_on
from support import refused

RECIPE = Recipe(steps=15, layers=2, hidden_features=8, bins=4, first_check=10, check_every=5, chart_steps=40)


def arc(rows=200):
    t = np.random.default_rng(0).uniform(0.0, 3.0, rows)
    return np.stack([np.cos(t), np.sin(t), 0.3 * t], axis=1)


def fitted(device, folder=None):
    return SpreadFlowEstimator(random_state=0, recipe=RECIPE, device=device, checkpoints=folder).fit(arc())


@pytest.fixture(scope="module")
def without_a_device():
    return fitted(None).transform(arc())


@pytest.mark.parametrize("device", ["cpu", torch.device("cpu"), "cpu:0"])
def test_the_cpu_is_what_it_is_without_a_device(device, without_a_device):
    np.testing.assert_array_equal(fitted(device).transform(arc()), without_a_device)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_what_is_trained_on_an_accelerator_comes_back_and_says_the_same(tmp_path):
    found, expected = fitted("cuda", tmp_path), fitted(None)
    for part in (found.flow_, found.chart_.flow):
        assert {each.device.type for each in [*part.parameters(), *part.buffers()]} == {"cpu"}
    assert int(found.intrinsic_dimension_) == int(expected.intrinsic_dimension_) == 1
    assert found.chart_kind_ == expected.chart_kind_
    assert found.reconstruction_error_ == pytest.approx(expected.reconstruction_error_, abs=0.05)
    assert np.isfinite(found.score_samples(arc())).all()
    assert found.sample(5).shape == (5, 3)


@pytest.mark.parametrize(
    ("device", "error", "message"),
    [
        ("abacus", ValueError, "device must be one that is here and has float64, got 'abacus': "),
        ("meta", ValueError, "got 'meta': it holds no numbers; leave it out for the CPU"),
        (3, TypeError, "device must be a name such as 'cuda', or a torch.device, got 3"),
    ],
)
def test_a_device_that_is_not_there_is_refused(device, error, message):
    with refused(error, message):
        SpreadFlowEstimator(random_state=0, device=device).fit(arc())


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_missing_accelerator_is_refused():
    with refused(ValueError, "device must be one that is here and has float64, got 'cuda': "):
        checked_device("cuda")


def test_a_generator_stays_itself_on_its_own_device():
    generator = torch.Generator().manual_seed(5)
    assert generator_on(CPU, generator) is generator
    assert generator_on(torch.device("cpu:0"), generator) is generator
