"""Ridge regression with free inputs: the optimum of its objective, ordinary regression at both ends of the penalty."""

import math

import pytest
import torch

from nflows_spread.linalg.ridge import AffineMap, ridge_regressions


def drawn(rows=60, free=2, penalised=4, targets=3):
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(rows, free + penalised, dtype=torch.float64, generator=generator) + 1.0
    y = torch.randn(rows, targets, dtype=torch.float64, generator=generator) + inputs[:, :targets].sin() - 2.0
    return inputs[:, :free], inputs[:, free:], y


@pytest.mark.parametrize("penalty", [1e-3, 0.1, 10.0])
def test_the_gradient_of_the_objective_vanishes(penalty):
    free, penalised, y = drawn()
    (found,) = ridge_regressions(free, penalised, y, [penalty])
    weight, bias = (each.clone().requires_grad_() for each in found)
    left = AffineMap(weight, bias)(torch.cat([free, penalised], dim=1)) - y
    (left.square().sum(1).mean() + penalty * weight[2:].square().sum()).backward()
    torch.testing.assert_close(weight.grad, torch.zeros_like(weight), rtol=0.0, atol=1e-12)
    torch.testing.assert_close(bias.grad, torch.zeros_like(bias), rtol=0.0, atol=1e-12)


@pytest.mark.parametrize(("penalty", "columns"), [(0.0, 6), (math.inf, 2)])
def test_without_a_penalty_all_inputs_are_regressed_on_and_with_an_infinite_one_the_free(penalty, columns):
    free, penalised, y = drawn()
    (found,) = ridge_regressions(free, penalised, y, [penalty])
    inputs = torch.cat([free, penalised, torch.ones(len(y), 1, dtype=torch.float64)], dim=1)
    used = [*range(columns), 6]
    expected = torch.linalg.lstsq(inputs[:, used], y).solution
    torch.testing.assert_close(found(inputs[:, :6]), inputs[:, used] @ expected)
    assert bool((found.weight[columns:] == 0.0).all())


def test_free_inputs_may_be_dependent_and_constant():
    free, penalised, y = drawn()
    twice = torch.cat([free, free, torch.ones_like(free)], dim=1)
    (one,), (other,) = (ridge_regressions(each, penalised, y, [0.1]) for each in (free, twice))
    torch.testing.assert_close(
        one(torch.cat([free, penalised], dim=1)), other(torch.cat([twice, penalised], dim=1)), rtol=1e-6, atol=1e-8
    )


def test_several_penalties_give_a_map_each():
    free, penalised, y = drawn()
    found = list(ridge_regressions(free, penalised, y, [1e-3, 1.0]))
    for each, penalty in zip(found, [1e-3, 1.0], strict=True):
        (alone,) = ridge_regressions(free, penalised, y, [penalty])
        torch.testing.assert_close(each.weight, alone.weight)
    assert found[1].weight[2:].norm() < found[0].weight[2:].norm()
