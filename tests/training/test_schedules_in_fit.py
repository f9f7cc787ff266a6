"""Schedules that fit is given: of the data noise, the spread variance and the learning rate, or curves alone."""

from functools import partial

import pytest
import torch

from nflows_spread import SpreadKLLoss
from nflows_spread.models import coupling_flow
from nflows_spread.training import (
    Checkpoints,
    Constant,
    Geometric,
    GeometricNoise,
    NoiseSchedule,
    SpreadVarianceSchedule,
    fit,
)


@pytest.fixture
def objective():
    return SpreadKLLoss(coupling_flow(2, layers=2))


def test_the_spread_variance_follows_its_schedule_and_never_reaches_the_parameters(objective):
    schedule = SpreadVarianceSchedule(objective.base, Geometric(1e-2, 1e-4, 2))
    seen = []
    fit(
        objective,
        torch.randn(50, 2),
        steps=3,
        batch_size=10,
        spread_variance_schedule=schedule,
        callbacks=[lambda _: seen.append(float(objective.base.spread_variance))],
    )
    assert seen == pytest.approx([1e-3, 1e-4, 1e-4])
    assert "_spread_variance" not in dict(objective.base.named_parameters())


def test_fit_moves_the_noise_at_every_step(objective):
    seen = []
    fit(
        objective,
        torch.randn(50, 2),
        steps=4,
        batch_size=10,
        noise_schedule=GeometricNoise(objective, start=0.8, end=0.1, steps=3),
        callbacks=[lambda state: seen.append(state.data_noise)],
    )
    assert seen == pytest.approx([0.4, 0.2, 0.1, 0.1])


@pytest.mark.parametrize("curve", [Geometric(0.8, 0.1, steps=3), Geometric(0.8, 0.1, steps=0.75)])
def test_fit_makes_the_schedules_of_curves(curve, objective):
    noises, variances = [], []
    fit(
        objective,
        torch.randn(50, 2),
        steps=4,
        batch_size=10,
        noise_schedule=curve,
        spread_variance_schedule=lambda step: 10.0 ** -(2 + step),
        callbacks=[
            lambda state: noises.append(state.data_noise),
            lambda _: variances.append(float(objective.base.spread_variance)),
        ],
    )
    assert noises == pytest.approx([0.4, 0.2, 0.1, 0.1])
    assert variances == pytest.approx([1e-3, 1e-4, 1e-5, 1e-6])


def test_a_curve_of_shares_is_resumed_with_the_steps_of_its_start_alone(objective, tmp_path):
    """More steps are another curve."""

    def train(steps, curve):
        fit(
            objective,
            torch.randn(50, 2),
            steps=steps,
            batch_size=10,
            noise_schedule=curve,
            checkpoints=Checkpoints(tmp_path),
            resume=True,
        )

    train(4, Geometric(0.8, 0.1, steps=0.5))
    with pytest.raises(ValueError, match=r"noise_schedule was .*steps=2\)\) and is .*steps=4\)\)"):
        train(8, Geometric(0.8, 0.1, steps=0.5))
    train(8, Geometric(0.8, 0.1, steps=2))


@pytest.mark.parametrize("given", [0.3, "cosine", {}])
def test_what_is_neither_a_schedule_nor_a_curve_is_refused(given, objective):
    with pytest.raises(TypeError, match=r"noise_schedule must be a NoiseSchedule, a curve such as Geometric"):
        fit(objective, torch.randn(50, 2), steps=1, batch_size=10, noise_schedule=given)
    other = SpreadVarianceSchedule(objective.base, Constant(1e-3))
    with pytest.raises(TypeError, match="got SpreadVarianceSchedule"):
        fit(objective, torch.randn(50, 2), steps=1, batch_size=10, noise_schedule=other)


@pytest.mark.parametrize("alone", [False, True], ids=["a schedule", "a curve"])
def test_a_schedule_that_will_end_below_zero_is_refused_before_the_first_step(alone, objective):
    def curve(step):
        return 0.1 - 0.01 * step

    schedule = curve if alone else NoiseSchedule(objective, curve)
    before = [parameter.detach().clone() for parameter in objective.parameters()]
    with pytest.raises(ValueError, match=r"noise_schedule must end at or above 0, got -0\.1.* after 20 steps"):
        fit(objective, torch.randn(50, 2), steps=20, batch_size=10, noise_schedule=schedule)
    assert all(torch.equal(a, b) for a, b in zip(before, objective.parameters()))


def test_a_learning_rate_below_zero_is_refused_when_it_comes(objective):
    falling = partial(torch.optim.lr_scheduler.LambdaLR, lr_lambda=lambda step: 1.0 - 0.3 * step)
    with pytest.raises(ValueError, match=r"learning_rate_schedule must stay at or above 0, got -0\.1999.* at step 4"):
        fit(objective, torch.randn(50, 2), steps=20, batch_size=10, learning_rate=1.0, learning_rate_schedule=falling)
