"""Which methods of a class a subclass, or one object, has changed."""

from types import MethodType

import pytest
from nflows.distributions import Distribution, StandardNormal
from nflows.flows import Flow
from nflows.transforms import IdentityTransform

from nflows_spread.hosts.overrides import overridden


class Added(IdentityTransform):
    """More, and nothing changed: a constructor, an attribute, methods of its own and of every module."""

    setting = 1

    def __init__(self):
        super().__init__()
        self.callback = print

    def helper(self):
        return 0

    def train(self, mode=True):
        return super().train(mode)


class Changed(Added):
    def inverse(self, inputs, context=None):
        return super().inverse(inputs, context)

    def forward(self, inputs, context=None):
        return super().forward(inputs, context)


class Quiet(StandardNormal):
    """What says nothing of a point."""

    def mean(self, context=None):
        return super().mean(context)

    def forward(self, x):
        return self.log_prob(x)


class Denser(StandardNormal):
    def log_prob(self, inputs, context=None):
        return super().log_prob(inputs, context)


@pytest.mark.parametrize(
    ("module", "base", "expected"),
    [
        (IdentityTransform(), IdentityTransform, []),
        (Added(), IdentityTransform, []),
        (Changed(), IdentityTransform, ["forward", "inverse"]),
        (Changed(), Added, ["forward", "inverse"]),
        (Quiet([2]), StandardNormal, []),
        (Denser([2]), StandardNormal, ["log_prob"]),
        (Denser([2]), Distribution, ["_log_prob", "_sample", "log_prob"]),
    ],
)
def test_what_is_changed_is_named_and_what_is_added_is_not(module, base, expected):
    assert overridden(module, base) == expected


def test_a_method_that_one_object_has_counts_as_that_of_a_subclass():
    flow = Flow(IdentityTransform(), StandardNormal([2]))
    assert overridden(flow, Flow) == []
    flow.log_prob = MethodType(lambda self, x: x, flow)
    flow.helper = print
    assert overridden(flow, Flow) == ["log_prob"]
