"""A transform of one's own, as docs/extending.md tells how to add it: its contract, its start from data, its volume."""

from __future__ import annotations

import pytest
import torch
from nflows.flows import Flow
from nflows.transforms import CompositeTransform, Transform
from torch import nn

from nflows_spread import (
    DegenerateGaussian,
    SpreadKLLoss,
    decode,
    encode,
    initialize,
    to_volume_preserving,
    volume_error,
)
from nflows_spread.transforms import VolumePreservingActNorm, VolumePreservingLULinear
from support import randomize
from transform_contract import Case, assert_forward_inverse_are_consistent, jacobian_logabsdet

pytestmark = pytest.mark.usefixtures("float64")


class Balance(Transform):
    """What the first half of the features is stretched by, the second half is compressed by: log|det J| = 0."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.half = features // 2
        self.log_scale = nn.Parameter(torch.zeros(()))

    def forward(self, inputs, context=None):
        return inputs * self._scales(1.0), inputs.new_zeros(len(inputs))

    def inverse(self, inputs, context=None):
        return inputs * self._scales(-1.0), inputs.new_zeros(len(inputs))

    def initialize(self, inputs):
        """Let both halves have the same variance."""
        first, second = inputs.std(0).split(self.half)
        self.log_scale.copy_(0.5 * (second.log() - first.log()).mean())

    def _scales(self, sign):
        return torch.exp(sign * torch.cat([self.log_scale.expand(self.half), -self.log_scale.expand(self.half)]))


CASE = Case(lambda: Balance(4), (4,))


def transforms():
    return [Balance(4), VolumePreservingActNorm(4), VolumePreservingLULinear(4)]


def of_nflows():
    return Flow(CompositeTransform(transforms()), DegenerateGaussian([4]))


def of_normflows():
    nf = pytest.importorskip("normflows", reason="needs the extra normflows")
    from nflows_spread.transforms.normflows import TransformFlow

    return nf.NormalizingFlow(DegenerateGaussian([4]), [TransformFlow(part) for part in reversed(transforms())])


def of_zuko():
    flows = pytest.importorskip("zuko", reason="needs the extra zuko").flows
    from nflows_spread.transforms.zuko import LazyNflowsTransform

    return flows.Flow([LazyNflowsTransform(part) for part in transforms()], DegenerateGaussian([4]))


def points(n=200):
    return torch.randn(n, 4) * torch.tensor([3.0, 1.0, 0.5, 0.1]) + 2.0


def test_it_keeps_the_contract_of_every_transform():
    transform, x = randomize(CASE.build()), torch.randn(5, *CASE.shape)
    assert_forward_inverse_are_consistent(transform, x)
    torch.testing.assert_close(transform(x)[1], jacobian_logabsdet(transform, x))


@pytest.mark.parametrize("host", [of_nflows, of_normflows, of_zuko])
def test_it_starts_from_data_and_trains_in_every_host(host):
    flow, x = host(), points()
    assert initialize(flow, x) == 2
    balance = next(module for module in flow.modules() if isinstance(module, Balance))
    halves = balance(x)[0].std(0).log().view(2, 2).mean(1)
    torch.testing.assert_close(halves[0], halves[1])
    assert balance.log_scale.abs() > 0.5
    randomize(flow, 0.1)
    SpreadKLLoss(flow, data_noise=0.1)(x).backward()
    assert balance.log_scale.grad.abs() > 0.0
    torch.testing.assert_close(decode(flow, encode(flow, x)), x)
    assert volume_error(flow, x) < 1e-10


def test_conversion_names_it_until_there_is_a_rule():
    with pytest.raises(ValueError, match=r"\(Balance\) cannot be made volume-preserving: it is not known"):
        to_volume_preserving(of_nflows())
