"""Which parameters decay: the weights of the nets, and nothing whose decay would bias the rank or a scale."""

import pytest
import torch
from torch import nn

from nflows_spread import DegenerateGaussian
from nflows_spread.training.optimization import default_optimizer, parameter_groups
from nflows_spread.transforms import MarginalSpline


class Everything(nn.Module):
    """A parameter of each kind; the 2-D ones differ by their names alone."""

    def __init__(self):
        super().__init__()
        for name in ("weight", "bias", "scale", "shift", "diag"):
            setattr(self, name, nn.Parameter(torch.ones(2, 2)))
        self.gain = nn.Parameter(torch.ones(2))
        self.frozen = nn.Parameter(torch.ones(2, 2), requires_grad=False)
        self.base = DegenerateGaussian([2], learn_mean=True)


def names_of(objective, parameters):
    chosen = {id(parameter) for parameter in parameters}
    return {name for name, parameter in objective.named_parameters() if id(parameter) in chosen}


def test_weights_decay_and_nothing_else():
    objective = Everything()
    decaying, free = parameter_groups(objective, 0.1)
    assert (decaying["weight_decay"], free["weight_decay"]) == (0.1, 0.0)
    assert names_of(objective, decaying["params"]) == {"weight"}
    expected = {"bias", "scale", "shift", "diag", "gain", "base.loc", "base.factor.entries"}
    assert names_of(objective, free["params"]) == expected


def test_all_but_the_prior_decays_where_that_is_asked_for():
    objective = Everything()
    decaying, free = parameter_groups(objective, 0.1, weights_alone=False)
    assert names_of(objective, decaying["params"]) == {"weight", "bias", "scale", "shift", "diag", "gain"}
    assert names_of(objective, free["params"]) == {"base.loc", "base.factor.entries"}


def test_modules_of_a_class_learn_at_their_own_rate_and_do_not_decay():
    objective = Everything()
    objective.spline = MarginalSpline(2, bins=3)
    groups = parameter_groups(objective, 0.1, learning_rates={MarginalSpline: 0.5, DegenerateGaussian: 0.25})
    decaying, free, splines, prior = groups
    assert names_of(objective, decaying["params"]) == {"weight"}
    assert names_of(objective, free["params"]) == {"bias", "scale", "shift", "diag", "gain"}
    assert {id(p) for p in splines["params"]} == {id(p) for p in objective.spline.parameters()}
    assert {id(p) for p in prior["params"]} == {id(p) for p in objective.base.parameters()}
    optimizer = torch.optim.AdamW(groups, lr=0.1, weight_decay=0.0)
    assert [(g["lr"], g["weight_decay"]) for g in optimizer.param_groups] == [
        (0.1, 0.1),
        (0.1, 0.0),
        (0.5, 0.0),
        (0.25, 0.0),
    ]


@pytest.mark.parametrize("weight_decay", [0.0, 0.5])
def test_a_step_without_a_gradient_to_speak_of_shrinks_the_decaying_weights_alone(weight_decay):
    objective = Everything()
    before = {name: value.clone() for name, value in objective.named_parameters()}
    optimizer = default_optimizer(objective, learning_rate=0.1, weight_decay=weight_decay)
    sum(0.0 * parameter.sum() for parameter in objective.parameters()).backward()
    optimizer.step()
    for name, value in objective.named_parameters():
        factor = 1.0 - 0.1 * weight_decay if name == "weight" else 1.0
        torch.testing.assert_close(value, factor * before[name], msg=name)
