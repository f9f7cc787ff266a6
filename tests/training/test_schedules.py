"""Schedules, annealing: of the data noise and the spread variance."""

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
    Staircase,
    StaircaseNoise,
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


CURVES = {
    "constant": (Constant(0.3), {0: 0.3, 299: 0.3}),
    "geometric": (Geometric(0.4, 0.1, steps=0.5), {0: 0.4, 75: 0.2, 150: 0.1, 299: 0.1}),
    "geometric to the end": (Geometric(0.4, 0.1), {0: 0.4, 150: 0.2, 300: 0.1}),
    "cosine": (Cosine(1.0, 0.0), {0: 1.0, 150: 0.5, 300: 0.0}),
    "staircase": (
        Staircase(1.0, 0.9, every=1 / 30, after=1 / 3, floor=0.75),
        {109: 1.0, 110: 0.9, 120: 0.81, 299: 0.75},
    ),
}


@pytest.mark.parametrize(("curve", "expected"), CURVES.values(), ids=CURVES)
def test_lengths_that_are_shares_are_those_of_any_run(curve, expected):
    for scale in (1, 1000):
        within = curve.over(300 * scale)
        assert [within(step * scale) for step in expected] == pytest.approx(list(expected.values()))
        assert within.over(7) == within, "in steps it is the same in each run"


def test_a_share_is_at_least_a_step_and_a_delay_may_be_none():
    assert Geometric(0.4, 0.1, steps=0.01).over(3) == Geometric(0.4, 0.1, steps=1)
    assert Staircase(0.4, 0.5, every=0.01, after=0.01).over(3) == Staircase(0.4, 0.5, every=1, after=0)
    assert Staircase(0.4, 0.5, every=2, after=0.0)(2) == 0.2


def test_numbers_of_steps_that_are_none_are_refused():
    with pytest.raises(ValueError, match="after must be at least 0, got -1"):
        Staircase(0.4, 0.5, every=2, after=-1)
    for steps in (0, 0.5, "all"):
        with pytest.raises((TypeError, ValueError), match="steps must be"):
            Geometric(0.4, 0.1).over(steps)


def test_a_curve_of_shares_has_no_value_before_it_is_told_the_run(objective):
    curve = Staircase(0.4, 0.5, every=3, after=0.5)
    for use in (lambda: curve(0), lambda: NoiseSchedule(objective, curve)):
        with pytest.raises(ValueError, match=r"lengths are in steps, got Staircase\(.*after=0.5.*; call over\(steps\)"):
            use()


@pytest.mark.parametrize("length", [1.5, 10.0, 0.0, -0.1, math.nan, math.inf])
def test_a_length_that_is_neither_steps_nor_a_share_is_refused(length):
    message = rf"must be a whole number of steps, or a share of the run above 0 and at most 1, got {length}"
    makers = [
        lambda: Geometric(0.4, 0.1, length),
        lambda: Cosine(0.4, 0.1, length),
        lambda: Staircase(0.4, 0.5, length),
        *([lambda: Staircase(0.4, 0.5, 3, after=length)] if length != 0.0 else []),
    ]
    for make in makers:
        with pytest.raises(ValueError, match=message):
            make()


def test_the_noises_are_the_schedules_of_their_curves(objective):
    """By the text that checkpoints compare, too."""
    pairs = [
        (ConstantNoise(objective, 0.2), Constant(0.2), "ConstantNoise(Constant(value=0.2))"),
        (
            GeometricNoise(objective, start=0.4, end=0.1, steps=7),
            Geometric(0.4, 0.1, 7),
            "GeometricNoise(Geometric(start=0.4, end=0.1, steps=7))",
        ),
        (
            StaircaseNoise(objective, start=0.4, factor=0.5, every=7),
            Staircase(0.4, 0.5, 7),
            "StaircaseNoise(Staircase(start=0.4, factor=0.5, every=7, after=0, floor=0.0))",
        ),
        (
            CosineNoise(objective, start=0.4, end=0.0, steps=7),
            Cosine(0.4, 0.0, 7),
            "CosineNoise(Cosine(start=0.4, end=0.0, steps=7))",
        ),
    ]
    for schedule, curve, text in pairs:
        assert isinstance(schedule, NoiseSchedule)
        assert schedule.curve == curve
        assert repr(schedule) == text


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


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: Constant(-0.1), "value"),
        (lambda: Cosine(-0.3, 0.01, 10), "start"),
        (lambda: Cosine(0.3, -0.01, 10), "end"),
        (lambda: Geometric(0.0, 0.1, 10), "start"),
        (lambda: Geometric(0.3, 0.0, 10), "end"),
        (lambda: Geometric(0.3, -0.1, 10), "end"),
        (lambda: Geometric(0.3, math.nan, 10), "end"),
        (lambda: Staircase(-0.3, 0.5, 10), "start"),
        (lambda: Staircase(0.3, 0.0, 10), "factor"),
        (lambda: Staircase(0.3, 0.5, 0), "every"),
        (lambda: Staircase(0.3, 0.5, 10, after=-1), "after"),
        (lambda: Staircase(0.3, 0.5, 10, floor=-1.0), "floor"),
    ],
)
def test_a_curve_that_ends_below_zero_or_never_is_refused(make, name):
    with pytest.raises(ValueError, match=rf"^{name} must be .*, got"):
        make()


def test_a_function_that_goes_below_zero_is_refused_when_it_does(objective):
    schedule = NoiseSchedule(objective, lambda step: 0.1 - 0.06 * step)
    schedule.step()
    with pytest.raises(ValueError, match=r"data_noise must be a finite number of at least 0, got -0\.0"):
        schedule.step()
    assert objective.data_noise == pytest.approx(0.04)


def test_a_schedule_of_something_without_noise_is_refused():
    with pytest.raises(TypeError, match="'data_noise', got Linear"):
        ConstantNoise(torch.nn.Linear(2, 2), 0.1)
