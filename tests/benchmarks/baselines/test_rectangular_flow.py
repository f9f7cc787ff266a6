"""Rectangular flows: log det JᵀJ and its gradient, exact and by conjugate gradients, beside full Jacobians."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from baselines.budgeted_training import Budget
from baselines.injective_flow import InjectiveFlow, injective_flow
from baselines.rectangular_flow import RectangularLoss, conjugate_gradients, rectangular_flow

RANK = 3


def made() -> tuple[InjectiveFlow, Tensor]:
    """A flow of three in five dimensions with weights at random, and coordinates, in float64."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(60, 5, generator=generator, dtype=torch.float64) * torch.tensor([2.0, 1.0, 0.7, 0.3, 0.2])
    flow = injective_flow(x, RANK, layers=4, hidden_features=(8,), seed=0)
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return flow, torch.randn(4, RANK, generator=generator, dtype=torch.float64)


def full_gram(flow: InjectiveFlow, u: Tensor) -> Tensor:
    """JᵀJ of each row by autograd, differentiable, (n, K, K)."""
    jacobians = [
        torch.autograd.functional.jacobian(lambda v: flow.decode(v[None])[0], row, create_graph=True) for row in u
    ]
    return torch.stack([jacobian.mT @ jacobian for jacobian in jacobians])


def gradients(flow: InjectiveFlow, value: Tensor) -> Tensor:
    found = torch.autograd.grad(value, list(flow.outer.parameters()), allow_unused=True)
    return torch.cat([gradient.flatten() for gradient in found if gradient is not None])


def test_conjugate_gradients_solve_with_the_gram_matrix_of_the_full_jacobian():
    flow, u = made()
    right = torch.randn(4, RANK, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    expected = torch.linalg.solve(full_gram(flow, u), right)
    torch.testing.assert_close(conjugate_gradients(flow, u, right), expected, rtol=1e-2, atol=1e-3)


def test_the_exact_loss_has_the_log_determinant_of_the_full_jacobian_and_its_gradient():
    flow, u = made()
    x = flow.decode(u).detach()
    objective = RectangularLoss(flow, reconstruction_weight=3.0, warm_up=0.0)
    volume = 0.5 * torch.logdet(full_gram(flow, flow.encode(x)))
    expected = (volume - flow.inner.log_prob(flow.encode(x))).mean()  # x is on the manifold
    torch.testing.assert_close(objective(x), expected)
    torch.testing.assert_close(objective.validation_loss(x), expected)
    torch.testing.assert_close(gradients(flow, objective(x)), gradients(flow, expected))


def test_the_estimate_by_conjugate_gradients_has_the_exact_gradient_as_its_mean(monkeypatch: pytest.MonkeyPatch):
    """Over all signs, so that nothing is left to chance: E εεᵀ = I."""
    flow, u = made()
    monkeypatch.setattr("baselines.rectangular_flow._TOLERANCE", 1e-12)
    objective = RectangularLoss(flow, reconstruction_weight=1.0, determinant="conjugate gradients")
    found = []
    for signs in itertools.product((0, 1), repeat=RANK):
        monkeypatch.setattr(torch, "randint", lambda low, high, shape, signs=signs, **_: torch.tensor([signs] * 4))
        found.append(gradients(flow, objective.surrogate(u).sum()))
    expected = gradients(flow, 0.5 * torch.logdet(full_gram(flow, u)).sum())
    torch.testing.assert_close(torch.stack(found).mean(0), expected, rtol=1e-6, atol=1e-8)
    assert not torch.allclose(found[0], expected)


@pytest.mark.parametrize("determinant", ["exact", "conjugate gradients"])
def test_it_learns_both_where_the_data_is_and_how_dense(determinant):
    generator = torch.Generator().manual_seed(0)
    t = torch.randn(300, 1, generator=generator)
    x = torch.cat([t, 0.5 * t.square() - 0.5], 1)
    flow, steps = rectangular_flow(
        x,
        1,
        seed=0,
        budget=Budget(steps=120),
        layers=4,
        hidden_features=(16,),
        learning_rate=1e-2,
        reconstruction_weight=50.0,
        determinant=determinant,
    )
    assert steps == 120
    with torch.no_grad():
        assert float((flow.decode(flow.encode(x)) - x).square().sum(1).mean()) < 0.02
        truth = -0.5 * (t.square().squeeze(1) + torch.log(torch.tensor(2.0 * torch.pi)) + torch.log1p(t[:, 0].square()))
        assert float((flow.log_prob(x) - truth).abs().median()) < 0.25
