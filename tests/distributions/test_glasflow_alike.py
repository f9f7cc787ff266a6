"""Priors for glasflow where a stand-in has the place of glasflow, which is in no extra."""

import pickle
import sys
import types

import pytest
import torch
from nflows.distributions import Distribution

from nflows_spread import DegenerateGaussian, DegenerateGaussianMixture
from nflows_spread.distributions import glasflow as ours

KINDS = {
    "GlasflowDegenerateGaussian": DegenerateGaussian,
    "GlasflowDegenerateGaussianMixture": DegenerateGaussianMixture,
}


@pytest.fixture
def theirs(monkeypatch):
    """A class ``Distribution`` where glasflow has its own."""
    module = types.ModuleType("glasflow.nflows.distributions")
    module.Distribution = type("Distribution", (Distribution,), {})
    for name in ("glasflow", "glasflow.nflows"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    yield module.Distribution
    for name in KINDS:
        vars(ours).pop(name, None)


@pytest.mark.parametrize("name", KINDS)
def test_the_priors_are_ours_and_theirs_and_are_made_once(name, theirs):
    kind = getattr(ours, name)
    assert issubclass(kind, KINDS[name])
    assert issubclass(kind, theirs)
    assert getattr(ours, name) is kind
    assert (kind.__module__, kind.__name__, kind.__doc__) == (ours.__name__, name, KINDS[name].__doc__)
    base = kind([2]) if name.endswith("Gaussian") else kind([2], 3)
    again, z = pickle.loads(pickle.dumps(base)), torch.randn(5, 2)
    assert torch.equal(again.log_prob(z), base.log_prob(z))


def test_another_name_is_none_of_the_module(theirs):
    with pytest.raises(AttributeError, match="has no attribute 'GlasflowStandardNormal'"):
        ours.GlasflowStandardNormal  # noqa: B018
