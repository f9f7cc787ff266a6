"""Denoising flow: its density of noisy data in D dimensions, and what it learns of a curve."""

from __future__ import annotations

import math

import torch

from baselines.budgeted_training import Budget
from baselines.denoising_flow import DenoisingLoss, denoising_flow
from baselines.injective_flow import injective_flow


def test_the_density_in_all_dimensions_integrates_to_one_and_is_the_loss_without_reconstructions():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(60, 2, generator=generator, dtype=torch.float64) * torch.tensor([1.0, 0.3])
    flow = injective_flow(x, 1, layers=4, hidden_features=(8,), seed=0)
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter += 0.15 * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
    objective = DenoisingLoss(flow, noise=0.3, reconstruction_weight=0.0)
    axis = torch.linspace(-12.0, 12.0, 1201, dtype=torch.float64)
    with torch.no_grad():
        total = objective.log_prob(torch.cartesian_prod(axis, axis)).exp().sum() * (axis[1] - axis[0]) ** 2
        torch.testing.assert_close(total, torch.ones_like(total), rtol=1e-2, atol=1e-2)
        objective.generator = torch.Generator().manual_seed(3)
        noisy = x + 0.3 * torch.empty_like(x).normal_(generator=torch.Generator().manual_seed(3))
        torch.testing.assert_close(objective(x), -objective.log_prob(noisy).mean())


def test_it_denoises_onto_a_parabola_and_knows_its_density():
    generator = torch.Generator().manual_seed(0)
    t = torch.randn(500, 1, generator=generator)
    x = torch.cat([t, 0.5 * t.square() - 0.5], 1)
    objective, steps = denoising_flow(
        x,
        1,
        seed=0,
        budget=Budget(steps=600),
        layers=4,
        hidden_features=(32, 32),
        learning_rate=1e-2,
        noise=0.1,
        reconstruction_weight=100.0,
    )
    assert steps == 600
    noisy = x + 0.1 * torch.randn(x.shape, generator=generator)
    with torch.no_grad():
        denoised = objective.flow.decode(objective.flow.encode(noisy))
        off, before = ((y[:, 1] - 0.5 * y[:, 0].square() + 0.5).square().mean() for y in (denoised, noisy))
        assert float(off) < 0.15 * float(before)
        truth = -0.5 * (t[:, 0].square() + math.log(2.0 * math.pi) + torch.log1p(t[:, 0].square()))
        assert float((objective.flow.log_prob(x) - truth).abs().median()) < 0.2
