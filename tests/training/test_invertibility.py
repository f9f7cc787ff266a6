"""The round trip of a flow is tracked while it trains, and there is a warning past a bound."""

import math
import warnings

import pytest
import torch
from nflows.flows import Flow
from nflows.transforms import PointwiseAffineTransform
from torch import nn

from nflows_spread import DegenerateGaussian, SpreadKLLoss, initialize
from nflows_spread.models import coupling_flow, volume_preserving_glow
from nflows_spread.training import InvertibilityCheck, fit
from nflows_spread.training.invertibility import inverse_error
from support import refused
from training_toys import MeanSquare, sgd


class OffBy(nn.Module):
    """The identity, whose inverse is off by a length that grows with each step of training."""

    def __init__(self, length):
        super().__init__()
        self.length, self.steps = length, 0
        self.shift = nn.Parameter(torch.zeros(()))

    def forward(self, x, context=None):
        self.steps += self.training
        return x + self.shift - self.shift, x.new_zeros(len(x))

    def inverse(self, z, context=None):
        return z + self.length * self.steps, z.new_zeros(len(z))


def trained(check, length=0.0, steps=6, x=None):
    x = torch.randn(200, 2, generator=torch.Generator().manual_seed(0)) if x is None else x
    objective = SpreadKLLoss(Flow(OffBy(length), DegenerateGaussian([2])), data_noise=0.1)
    return fit(objective, x, steps=steps, batch_size=50, callbacks=[check]), x


def test_errors_are_those_of_the_rows_over_the_scale_of_the_data():
    x = 5.0 * torch.randn(64, 2, generator=torch.Generator().manual_seed(1)) + 3.0
    check = InvertibilityCheck(x, every=2, bound=1.0)
    trained(check, length=0.01, x=x)
    scale = float(x.double().var(0, correction=0).mean().sqrt())
    assert [step for step, _ in check.errors] == [2, 4, 6]
    assert [error for _, error in check.errors] == pytest.approx([0.01 * k / scale for k in (2, 4, 6)], rel=1e-4)


def test_the_first_error_past_the_bound_is_warned_of_once():
    check = InvertibilityCheck(every=1, bound=0.025)
    with pytest.warns(
        UserWarning, match=r"to within 0.025 of the scale .* at step 3; lower the learning rate"
    ) as heard:
        result, _ = trained(check, length=0.01)
    assert len([each for each in heard if "encode(flow, x)" in str(each.message)]) == 1
    assert len(check.errors) == result.steps == 6


def test_the_training_ends_there_if_it_is_to():
    with pytest.warns(UserWarning, match="at step 3"):
        result, _ = trained(InvertibilityCheck(every=1, bound=0.025, stop=True), length=0.01)
    assert result.steps == 3
    assert result.stopped.startswith("decode(flow, encode(flow, x)) must be x to within 0.025")


def test_it_changes_no_digit_of_the_training():
    ends = []
    for callbacks in ([], [InvertibilityCheck(every=1)]):
        torch.manual_seed(0)
        objective = SpreadKLLoss(coupling_flow(2, layers=3), data_noise=0.1)
        x = torch.randn(100, 2, generator=torch.Generator().manual_seed(0))
        fit(objective, x, steps=5, batch_size=20, callbacks=callbacks, generator=torch.Generator().manual_seed(0))
        ends.append(nn.utils.parameters_to_vector(objective.parameters()))
    assert torch.equal(*ends)


def test_what_is_not_finite_is_infinitely_far():
    huge = Flow(PointwiseAffineTransform(0.0, torch.full((2,), 3e38)), DegenerateGaussian([2]))
    assert inverse_error(huge, 10.0 * torch.ones(3, 2)) == math.inf


def test_a_context_goes_along():
    check = InvertibilityCheck(every=1)
    objective = SpreadKLLoss(coupling_flow(2, layers=2, context_features=3), data_noise=0.1)
    fit(objective, (torch.randn(60, 2), torch.randn(60, 3)), steps=2, batch_size=20, callbacks=[check])
    assert all(error < 1e-4 for _, error in check.errors)


def test_an_objective_without_a_flow_is_refused():
    objective = MeanSquare()
    with refused(TypeError, "the objective must be a SpreadKLLoss, which has a flow, got MeanSquare"):
        fit(
            objective,
            torch.randn(20, 2).double(),
            steps=1,
            batch_size=10,
            optimizer=sgd(objective),
            callbacks=[InvertibilityCheck(every=1)],
        )


def images(n=128):
    """Waves of random phases, (n, 1, 8, 8)."""
    phase = 2.0 * math.pi * torch.rand(n, 2, 1, generator=torch.Generator().manual_seed(0))
    place = torch.arange(8.0) / 8.0
    return (
        (torch.sin(phase[:, 0] + 6.0 * place)[:, None, None, :])
        * torch.cos(phase[:, 1] + 3.0 * place)[:, None, :, None]
    )


@pytest.mark.slow
@pytest.mark.parametrize(("rate", "warns"), [(1e-3, False), (1e-1, True)])
def test_a_deep_glow_is_warned_of_where_it_is_trained_too_fast_and_only_there(rate, warns):
    torch.manual_seed(0)
    transform = volume_preserving_glow((1, 8, 8), blocks=2, layers=12, hidden_channels=16)
    flow, x = Flow(transform, DegenerateGaussian([64])), images()
    initialize(flow, x)
    check = InvertibilityCheck(x, every=5, stop=True)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        fit(
            SpreadKLLoss(flow, data_noise=0.05),
            x,
            steps=60,
            batch_size=32,
            learning_rate=rate,
            callbacks=[check],
            generator=torch.Generator().manual_seed(0),
        )
    told = [str(each.message) for each in heard if "decode(flow, encode(flow, x))" in str(each.message)]
    assert bool(told) == warns, check.errors
    assert warns or max(error for _, error in check.errors) < 1e-4
