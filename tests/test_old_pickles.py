"""Pickles of older versions are read: where they look for classes, and what their objects had in other attributes."""

import pickle
import warnings

import pytest
import torch

from factor_kinds import FACTORS
from nflows_spread import DegenerateGaussian, SpreadKLLoss, base_of, spectrum
from nflows_spread.chart import Chart
from nflows_spread.dimension import Estimates
from nflows_spread.estimator import Recipe
from nflows_spread.estimator.units import Units
from nflows_spread.factors.cache import _LastDecomposition
from nflows_spread.models import coupling_flow

FEATURES = 3

PLACES = {
    ("recipe", "Recipe"): Recipe,
    ("units", "Units"): Units,
    ("dimension.chart", "Chart"): Chart,
    ("dimension.consensus", "Readings"): Estimates,
    ("factors.memory", "_LastDecomposition"): _LastDecomposition,
}
"""Classes by where older versions had them."""


def flow_with(factor):
    return coupling_flow(FEATURES, layers=2, base=DegenerateGaussian([FEATURES], factor=factor))


def as_an_older_version_wrote(module):
    """The bytes; the base had the buffer of σ_x alone, and the cache of decompositions was in another file."""
    base = base_of(getattr(module, "flow", module))
    del base._last_read
    return pickle.dumps(module, protocol=2).replace(b"nflows_spread.factors.cache", b"nflows_spread.factors.memory")


@pytest.mark.parametrize(("module", "name"), PLACES)
def test_a_class_is_found_where_it_was(module, name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        assert pickle.loads(f"cnflows_spread.{module}\n{name}\n.".encode()) is PLACES[module, name]


@pytest.mark.parametrize("name", ["StopOnHeldOutLoss", "StopOnStableDimension", "StopRule"])
def test_a_stop_rule_is_found_where_it_was(name):
    training = pytest.importorskip("nflows_spread.training", reason="needs the extra train")
    with pytest.warns(DeprecationWarning, match=rf"evaluation\.{name} is now nflows_spread\.training\.{name}"):
        assert pickle.loads(f"cnflows_spread.training.evaluation\n{name}\n.".encode()) is getattr(training, name)


def test_the_state_of_a_run_is_found_where_it_was():
    training = pytest.importorskip("nflows_spread.training", reason="needs the extra train")
    with pytest.warns(DeprecationWarning, match=r"TrainingState is now nflows_spread\.training\.TrainingState"):
        assert pickle.loads(b"cnflows_spread.training.result\nTrainingState\n.") is training.TrainingState


@pytest.mark.parametrize("kind", FACTORS)
def test_a_flow_is_read_with_its_data_noise(kind):
    flow, x = flow_with(FACTORS[kind]).eval(), torch.randn(20, FEATURES)
    base_of(flow).data_noise = 0.07
    base_of(flow).eigh()  # a prior that has been read out has a cache
    expected = flow.log_prob(x)
    again = pickle.loads(as_an_older_version_wrote(flow))
    assert torch.equal(again.log_prob(x), expected)
    assert base_of(again).data_noise == spectrum(again, x).data_noise == 0.07
    base_of(again).data_noise = 0.1
    assert base_of(again).data_noise == 0.1


@pytest.mark.parametrize("recorded", [None, 0.2])
def test_a_loss_with_a_number_of_its_own_gives_it_to_the_base(recorded):
    objective = SpreadKLLoss(flow_with(FACTORS["LowerTriangularFactor"]))
    objective.base._data_noise.zero_()
    if recorded is not None:
        objective.base.data_noise = recorded
    vars(objective)["_data_noise"] = 0.1
    again = pickle.loads(as_an_older_version_wrote(objective))
    assert again.data_noise == again.base.data_noise == 0.1
    assert "_data_noise" not in vars(again)
