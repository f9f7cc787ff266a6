"""Old names of what was renamed to the field's words: they work, warn where they are used, and load old pickles."""

import copy
import importlib
import pickle

import pytest
import torch

from nflows_spread import Spectrum
from nflows_spread.dimension import Estimates, NeighbourDimension, consensus_dimension, pointwise_dimension
from nflows_spread.estimator import SpreadFlowEstimator


def neighbours():
    return NeighbourDimension(2.0, 0.1, 0.1, 0.1, (3, 40), {"cube": (2.0, 1.5)}, ambient_noise=0.3)


def estimates():
    mu = torch.tensor([2.0, 1.0, 1e-4], dtype=torch.float64)
    return Estimates(Spectrum(mu, mu, 1e-6, 0.01), neighbours(), ambient_noise=0.2)


def estimator():
    found = SpreadFlowEstimator()
    found.estimates_ = "what a fit leaves"
    return found


@pytest.mark.parametrize(
    ("made", "old", "now"),
    [
        (neighbours, "thickness", "ambient_noise"),
        (neighbours, "fall", "ratio_across_scales"),
        (estimates, "thickness", "ambient_noise"),
        (estimates, "verdicts", "by_name"),
        (lambda: estimates().spectrum, "verdicts", "estimates"),
        (estimator, "readings_", "estimates_"),
    ],
)
def test_an_attribute_is_found_under_its_old_name(made, old, now):
    thing = made()
    with pytest.warns(DeprecationWarning, match=f"{old} is now called {now}") as heard:
        assert getattr(thing, old) == getattr(thing, now)
    assert heard[0].filename == __file__


def test_a_method_and_an_argument_are_found_under_their_old_names():
    with pytest.warns(DeprecationWarning, match="against is now called disagreeing_with"):
        assert estimates().against(2) == estimates().disagreeing_with(2)
    for made in (lambda: NeighbourDimension(2.0, 0.1, 0.1, 0.1, (3,), {}, thickness=0.3), old_estimates):
        with pytest.warns(DeprecationWarning, match="the argument thickness of .* is now called ambient_noise"):
            assert made().ambient_noise == 0.3


def old_estimates():
    return Estimates(estimates().spectrum, neighbours(), thickness=0.3)


@pytest.mark.parametrize(
    ("module", "old", "now"),
    [
        ("consensus", "Readings", Estimates),
        ("consensus", "consensus", consensus_dimension),
        ("neighbours", "pointwise_dimension", pointwise_dimension),
    ],
)
def test_what_was_moved_is_found_where_it_was(module, old, now):
    with pytest.warns(DeprecationWarning, match=rf"dimension\.{module}\.{old} is now nflows_spread\.dimension\."):
        assert getattr(importlib.import_module(f"nflows_spread.dimension.{module}"), old) is now


@pytest.mark.parametrize(
    ("made", "names"),
    [
        (neighbours, {"ambient_noise": "thickness"}),
        (estimates, {"ambient_noise": "thickness"}),
        (estimator, {"estimates_": "readings_"}),
    ],
)
def test_what_was_pickled_under_old_names_has_the_new_ones(made, names):
    thing = made()
    loaded = type(thing).__new__(type(thing))
    loaded.__setstate__({names.get(name, name): value for name, value in vars(thing).items()})
    assert vars(loaded).keys() == vars(thing).keys()
    for name in names:
        assert getattr(loaded, name) == getattr(thing, name)


@pytest.mark.parametrize("clone", [copy.copy, copy.deepcopy, lambda thing: pickle.loads(pickle.dumps(thing))])
def test_copies_and_pickles_are_the_same(clone, recwarn):
    found = clone(estimates())
    assert (found.ambient_noise, found.neighbours) == (0.2, neighbours())
    assert found.by_name == estimates().by_name
    assert not recwarn.list
