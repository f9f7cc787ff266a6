"""M-flow: the manifold phase trains the outer flow alone, the density phase the inner one, and both do their part."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from baselines.budgeted_training import Budget
from baselines.injective_flow import injective_flow
from baselines.m_flow import DensityLoss, ManifoldLoss, m_flow


def arc(n: int) -> tuple[Tensor, Tensor]:
    """Points of a quarter circle of radius 2, uniform in the angle, and their log-density by length."""
    angle = 0.5 * math.pi * torch.rand(n, 1, generator=torch.Generator().manual_seed(0))
    return 2.0 * torch.cat([angle.cos(), angle.sin()], 1), torch.full((n,), -math.log(math.pi))


def test_each_phase_has_a_loss_and_parameters_of_its_own():
    x, _ = arc(50)
    flow = injective_flow(x, 1, layers=4, hidden_features=(8,), seed=0)
    manifold, density = ManifoldLoss(flow), DensityLoss(flow)
    own, others = set(map(id, manifold.parameters())), set(map(id, density.parameters()))
    assert not own & others
    assert own | others == set(map(id, flow.parameters()))
    manifold(x).backward()
    assert all(parameter.grad is None for parameter in flow.inner.parameters())
    flow.zero_grad()
    u = flow.encode(x).detach()
    density(u).backward()
    assert all(parameter.grad is None for parameter in flow.outer.parameters())
    torch.testing.assert_close(density(u), -flow.inner.log_prob(u).mean())


def test_it_finds_an_arc_and_the_density_on_it():
    x, expected = arc(600)
    x, fresh, truth = x[:500], x[500:], expected[500:]
    flow, steps = m_flow(
        x,
        1,
        seed=0,
        budget=Budget(steps=800),
        layers=4,
        hidden_features=(32, 32),
        learning_rate=5e-3,
        density_rate=1e-2,
    )
    assert steps == 800
    with torch.no_grad():
        off = (flow.decode(flow.encode(fresh)) - fresh).norm(dim=1)
        linear = torch.linalg.svdvals(fresh - fresh.mean(0))[1:].square().sum() / len(fresh)
        assert float(off.square().mean()) < 0.02 * float(linear)
        apart = (flow.log_prob(fresh) - truth).abs()
        radii = flow.sample(500, generator=torch.Generator().manual_seed(0)).norm(dim=1)
    assert float(apart.median()) < 0.2
    assert float((radii - 2.0).abs().median()) < 0.03
