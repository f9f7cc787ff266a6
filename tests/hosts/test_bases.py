"""Base distributions as JSON: each kind that a host names, and what older versions wrote."""

import json

import pytest
import torch
from nflows.distributions import ConditionalDiagonalNormal, StandardNormal

from nflows_spread import DegenerateGaussian, DegenerateGaussianMixture
from nflows_spread.factors import LowerTriangularFactor, LowRankFactor
from nflows_spread.hosts.bases import base_from, describe_base


def diagonal(trainable):
    return pytest.importorskip("normflows").distributions.DiagGaussian([2, 3], trainable=trainable)


BASES = {
    "nflows": lambda: StandardNormal([2, 3]),
    "normflows": lambda: diagonal(True),
    "normflows, fixed": lambda: diagonal(False),
    "ours": lambda: DegenerateGaussian([2, 3]),
    "ours, of low rank with a mean": lambda: DegenerateGaussian(
        [2, 3], factor=LowRankFactor.of_rank(2), learn_mean=True
    ),
    "ours, in pieces": lambda: DegenerateGaussianMixture([2, 3], 2),
    "ours, in tied pieces without means": lambda: DegenerateGaussianMixture([2, 3], 3, tied=True, learn_mean=False),
    "ours, in pieces of low rank": lambda: DegenerateGaussianMixture([2, 3], 2, factor=LowRankFactor.of_rank(2)),
}


@pytest.mark.parametrize("name", BASES)
def test_a_base_comes_back_from_its_description(name):
    base, z = BASES[name](), torch.randn(4, 2, 3)
    again = base_from(json.loads(json.dumps(describe_base(base))))
    assert type(again) is type(base)
    assert describe_base(again) == describe_base(base)
    assert [n for n, _ in again.named_parameters()] == [n for n, _ in base.named_parameters()]
    again.load_state_dict(base.state_dict())
    assert torch.equal(again.log_prob(z), base.log_prob(z))


def test_descriptions_without_a_host_are_those_of_older_versions():
    assert base_from({"kind": "StandardNormal", "shape": [3]}).log_prob(torch.zeros(2, 3)).shape == (2,)
    old = {"kind": "DegenerateGaussian", "shape": [3], "mean": False, "factor": "LowerTriangularFactor"}
    assert base_from(old).shape == (3,)


def test_a_kind_that_nobody_names_is_none_and_cannot_be_built():
    assert describe_base(ConditionalDiagonalNormal([2])) is None
    with pytest.raises(ValueError, match="of a kind that can be built here, got 'Student'; pass flow to load_model"):
        base_from({"kind": "Student", "host": "nflows"})


class Unknown(LowerTriangularFactor):
    """A kind of factor that was not made known."""


def test_a_factor_that_is_not_known_has_no_description_and_cannot_be_built():
    assert describe_base(DegenerateGaussian([2], factor=Unknown)) is None
    assert describe_base(DegenerateGaussianMixture([2], 2, factor=Unknown)) is None
    description = describe_base(DegenerateGaussian([2])) | {"factor": "Unknown"}
    with pytest.raises(ValueError, match=r"factor of the saved prior must be one of .*, got Unknown; make it known"):
        base_from(description)


def test_a_library_without_an_adapter_builds_nothing():
    with pytest.raises(ValueError, match=r"the flow library must be one of .*, got 'elsewhere'"):
        base_from({"kind": "Student", "host": "elsewhere"})


@pytest.mark.parametrize(
    ("kind", "names", "shape", "buffer", "expected"),
    [
        ("DiagNormal", ("loc", "scale"), (3,), True, {"shape": [3], "trainable": False}),
        ("DiagNormal", ("loc", "scale"), (3,), False, {"shape": [3], "trainable": True}),
        ("DiagNormal", ("loc", "scale"), (2, 3), True, None),
        ("BoxUniform", ("lower", "upper"), (3,), True, None),
    ],
)
def test_of_zuko_a_normal_of_independent_entries_is_known(kind, names, shape, buffer, expected):
    zuko = pytest.importorskip("zuko")
    arguments = dict(zip(names, (torch.zeros(shape), torch.ones(shape))))
    base = zuko.lazy.UnconditionalDistribution(getattr(zuko.distributions, kind), buffer=buffer, **arguments)
    found = describe_base(base)
    assert found == (expected and {"kind": "UnconditionalDistribution", "host": "zuko", **expected})
