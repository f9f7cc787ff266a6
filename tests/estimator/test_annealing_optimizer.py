"""How the estimator's flow is trained: which parameters decay, which learn faster, and in how many processes."""

import pytest
import torch

from nflows_spread import DegenerateGaussian
from nflows_spread.estimator import Recipe, annealing
from nflows_spread.estimator.annealing import trained_by
from nflows_spread.training import FitResult
from nflows_spread.transforms import MarginalSpline

X = torch.randn(60, 3, generator=torch.Generator().manual_seed(0))
NUMBERS = {"layers": 2, "hidden_features": 8, "bins": 4, "steps": 10, "batch_size": 20}


@pytest.fixture
def asked(monkeypatch):
    """What the recipe asks of ``fit``, which does nothing."""
    calls = []

    def nothing(objective, x, **options):
        groups = [{k: v for k, v in group.items() if k != "params"} for group in options["optimizer"].param_groups]
        calls.append({"objective": objective, "groups": groups, **options})
        return FitResult(losses=[], steps=options["steps"], seconds=0.0, stopped="steps")

    monkeypatch.setattr(annealing, "fit", nothing)
    return calls


def train(**numbers):
    recipe = Recipe(**NUMBERS | numbers)
    return trained_by(recipe, X, nearest=0.1, generator=torch.Generator().manual_seed(0))


def kind_of(objective):
    """For each parameter, by identity, whether it is of a spline, of the prior, or of a net."""
    kinds = {id(p): "net" for p in objective.parameters()}
    for module in objective.modules():
        if isinstance(module, MarginalSpline | DegenerateGaussian):
            kind = "spline" if isinstance(module, MarginalSpline) else "prior"
            kinds |= {id(p): kind for p in module.parameters()}
    return kinds


def settings_of(optimizer, objective):
    """For each parameter, by identity, the index of the group whose memory it is a part of; each is in one."""
    found = {}
    for index, group in enumerate(optimizer.param_groups):
        (flat,) = group["params"]
        first, past = flat.data_ptr(), flat.data_ptr() + flat.numel() * flat.element_size()
        for parameter in objective.parameters():
            if first <= parameter.data_ptr() < past:
                assert id(parameter) not in found, "a parameter is in two groups"
                found[id(parameter)] = index
    assert set(found) == {id(p) for p in objective.parameters()}
    assert sum(p.numel() for p in objective.parameters()) == sum(g["params"][0].numel() for g in optimizer.param_groups)
    return found


@pytest.fixture
def unreleased(monkeypatch):
    """The parameters stay parts of the optimizer's memory after the training."""
    monkeypatch.setattr("nflows_spread.training.flat_adamw.FlatAdamW.release", lambda self: None)


@pytest.mark.usefixtures("unreleased")
def test_nets_decay_the_prior_and_the_splines_do_not_and_splines_learn_faster(asked):
    objective = train(learning_rate=2e-3, spline_rate=7.0, weight_decay=0.3)
    kinds, groups = kind_of(objective), settings_of(asked[0]["optimizer"], objective)
    settings = [(group["initial_lr"], group["weight_decay"]) for group in asked[0]["groups"]]
    expected = {"net": (2e-3, 0.3), "prior": (2e-3, 0.0), "spline": (7.0 * 2e-3, 0.0)}
    assert set(kinds.values()) == set(expected)
    assert {key: settings[index] for key, index in groups.items()} == {
        key: expected[kind] for key, kind in kinds.items()
    }


@pytest.mark.usefixtures("unreleased")
def test_without_gradients_a_step_moves_the_nets_towards_zero_and_nothing_else(asked):
    objective = train(learning_rate=1e-2, weight_decay=0.5)
    optimizer = asked[0]["optimizer"]
    groups = settings_of(optimizer, objective)
    before = {id(p): p.detach().clone() for p in objective.parameters()}
    optimizer.zero_grad()
    optimizer.state.clear()  # of the moments of the training
    optimizer.step()
    kinds = kind_of(objective)
    for parameter in objective.parameters():
        rate = optimizer.param_groups[groups[id(parameter)]]["lr"]
        kept = 1.0 - 0.5 * rate if kinds[id(parameter)] == "net" else 1.0
        torch.testing.assert_close(parameter.detach(), kept * before[id(parameter)])


def test_annealing_and_settling_share_the_steps_in_one_process(asked):
    train(steps=10, anneal_fraction=0.7)
    assert [call["steps"] for call in asked] == [7, 3]
    assert [call["processes"] for call in asked] == [1, 1]
    assert asked[0]["optimizer"] is asked[1]["optimizer"]


def test_the_learning_rates_keep_their_ratio_and_fall_to_an_eleventh():
    ends = []
    original = annealing.fit

    def recorded(*args, **options):
        result = original(*args, **options)
        ends.append([group["lr"] for group in options["optimizer"].param_groups])
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(annealing, "fit", recorded)
        train(steps=20, learning_rate=1e-3, spline_rate=4.0)
    last = ends[-1]
    assert last[0] == pytest.approx(1e-3 / 11.0, rel=1e-6)
    assert last[2] / last[0] == pytest.approx(4.0, rel=1e-9)
