"""Schedules of the data noise and the spread variance."""

import math
from functools import partial

import pytest
import torch

from nflows_spread import SpreadKLLoss
from nflows_spread.models import coupling_flow
from nflows_spread.training import (
    Constant,
    ConstantNoise,
    Cosine,
    CosineNoise,
    Geometric,
    GeometricNoise,
    NoiseSchedule,
    SpreadVarianceSchedule,
    Staircase,
    StaircaseNoise,
    fit,
)

SCHEDULES = {
    "constant": partial(ConstantNoise, value=0.2),
    "geometric": partial(GeometricNoise, start=0.4, end=0.1, steps=7),
    "staircase": partial(StaircaseNoise, start=0.4, factor=0.5, every=2, after=3, floor=0.06),
    "cosine": partial(CosineNoise, start=0.4, end=0.0, steps=7),
    "a function": partial(NoiseSchedule, curve=math.sqrt),
}
every_schedule = pytest.mark.parametrize("make", SCHEDULES.values(), ids=SCHEDULES)


@pytest.fixture
def objective():
    return SpreadKLLoss(coupling_flow(2, layers=2))


def values(schedule, objective, steps):
    seen = []
    for _ in range(steps):
        seen.append(objective.data_noise)
        schedule.step()
    return seen


def test_a_geometric_schedule_has_a_constant_ratio_and_then_stays(objective):
    seen = values(GeometricNoise(objective, start=0.4, end=0.1, steps=4), objective, 7)
    assert seen == pytest.approx([0.4 * 0.25 ** (k / 4) for k in range(4)] + [0.1] * 3)


def test_a_staircase_is_torchs_step_schedule_with_a_delay_and_a_floor(objective):
    seen = values(StaircaseNoise(objective, start=0.4, factor=0.5, every=2, after=3, floor=0.11), objective, 11)
    assert seen == pytest.approx([0.4] * 5 + [0.2] * 2 + [0.11] * 4)


def test_the_annealing_of_colour_images_holds_for_twenty_epochs_and_falls_for_twenty(objective):
    seen = values(NoiseSchedule(objective, Staircase.by_epoch(3)), objective, 3 * 45)
    epochs = [0.01] * 20 + [0.01 * 0.9**k for k in range(1, 21)] + [0.01 * 0.9**20] * 5
    assert seen == pytest.approx([value for value in epochs for _ in range(3)])
    short = Staircase.by_epoch(1, start=0.4, factor=0.5, hold=1, decay=2)
    assert [short(step) for step in range(5)] == pytest.approx([0.4, 0.2, 0.1, 0.1, 0.1])


def test_an_annealing_by_epochs_refuses_what_makes_no_sense():
    for options, words in (
        ({"steps_per_epoch": 0}, "steps_per_epoch must be at least 1, got 0"),
        ({"steps_per_epoch": 2, "hold": 0}, "hold must be at least 1, got 0"),
        ({"steps_per_epoch": 2, "decay": 0}, "decay must be at least 1, got 0"),
        ({"steps_per_epoch": 2, "factor": 1.1}, "factor must be at most 1, got 1.1"),
    ):
        with pytest.raises(ValueError, match=words):
            Staircase.by_epoch(**options)


def test_a_cosine_schedule_is_torchs_cosine_annealing(objective):
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=0.4)
    oracle = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=10, eta_min=0.05)
    schedule = CosineNoise(objective, start=0.4, end=0.05, steps=10)
    for _ in range(11):
        assert objective.data_noise == pytest.approx(optimizer.param_groups[0]["lr"])
        optimizer.step()
        oracle.step()
        schedule.step()


@every_schedule
def test_the_first_value_is_set_when_the_schedule_is_made(make, objective):
    schedule = make(objective)
    assert objective.data_noise == schedule.value == schedule.curve(0)


@every_schedule
def test_a_schedule_continues_from_its_state(make, objective):
    schedule = make(objective)
    values(schedule, objective, 4)
    other = SpreadKLLoss(coupling_flow(2, layers=2))
    again = make(other)
    again.load_state_dict(schedule.state_dict())
    assert values(again, other, 6) == values(schedule, objective, 6)


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


@pytest.mark.parametrize(
    "make",
    [
        lambda: Constant(-0.1),
        lambda: Cosine(0.3, -0.01, 10),
        lambda: Geometric(0.3, 0.0, 10),
        lambda: Geometric(0.3, -0.1, 10),
        lambda: Staircase(0.3, 0.5, 0),
        lambda: Staircase(0.3, 0.5, 10, floor=-1.0),
        lambda: Geometric(0.3, math.nan, 10),
    ],
)
def test_a_curve_that_ends_below_zero_or_never_is_refused(make):
    with pytest.raises(ValueError, match=r"must be .*, got"):
        make()


def test_a_function_that_goes_below_zero_is_refused_when_it_does(objective):
    schedule = NoiseSchedule(objective, lambda step: 0.1 - 0.06 * step)
    schedule.step()
    with pytest.raises(ValueError, match=r"data_noise must be a finite number of at least 0, got -0\.0"):
        schedule.step()
    assert objective.data_noise == pytest.approx(0.04)


def test_a_schedule_that_will_end_below_zero_is_refused_before_the_first_step(objective):
    schedule = NoiseSchedule(objective, lambda step: 0.1 - 0.01 * step)
    before = [parameter.detach().clone() for parameter in objective.parameters()]
    with pytest.raises(ValueError, match=r"noise_schedule must end at or above 0, got -0\.1.* after 20 steps"):
        fit(objective, torch.randn(50, 2), steps=20, batch_size=10, noise_schedule=schedule)
    assert all(torch.equal(a, b) for a, b in zip(before, objective.parameters()))


def test_a_learning_rate_below_zero_is_refused_when_it_comes(objective):
    falling = partial(torch.optim.lr_scheduler.LambdaLR, lr_lambda=lambda step: 1.0 - 0.3 * step)
    with pytest.raises(ValueError, match=r"learning_rate_schedule must stay at or above 0, got -0\.1999.* at step 4"):
        fit(objective, torch.randn(50, 2), steps=20, batch_size=10, learning_rate=1.0, learning_rate_schedule=falling)


def test_a_schedule_of_something_without_noise_is_refused():
    with pytest.raises(TypeError, match="'data_noise', got Linear"):
        ConstantNoise(torch.nn.Linear(2, 2), 0.1)
