"""Injective flows: they start at principal components, and have the density on the manifold and its Jacobians."""

from __future__ import annotations

import torch
from torch import Tensor

from baselines.injective_flow import InjectiveFlow, half_log_det, injective_flow, points_and_jacobians


def bent(n: int, features: int = 3) -> Tensor:
    """A parabola times a line, of unit scale, (n, features)."""
    t = torch.randn(n, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = torch.stack([t[:, 0], t[:, 1], 0.5 * t[:, 0].square(), *(0.1 * t[:, 1] for _ in range(features - 3))], 1)
    return (x - x.mean(0)) / x.var(0).mean().sqrt()


def shaken(flow: InjectiveFlow, size: float = 0.3) -> InjectiveFlow:
    """With weights at random, in the place of the identity."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter += size * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
    return flow


def made(x: Tensor, rank: int) -> InjectiveFlow:
    return injective_flow(x, rank, layers=4, hidden_features=(8,), seed=0)


def test_it_starts_at_principal_components_and_a_standardised_latent():
    x = bent(200)
    flow = made(x, 2)
    with torch.no_grad():
        error = (flow.decode(flow.encode(x)) - x).square().sum()
        torch.testing.assert_close(error, torch.linalg.svdvals(x)[2:].square().sum())
        latents = flow.inner.transform_to_noise(flow.encode(x))
    torch.testing.assert_close(latents.std(0, unbiased=False), torch.ones(2, dtype=torch.float64), rtol=0.05, atol=0.05)


def test_jacobians_and_log_determinants_are_those_of_autograd():
    flow = shaken(made(bent(50, 5), 3))
    u = torch.randn(6, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    points, transposed = points_and_jacobians(flow.decode, u)
    torch.testing.assert_close(points, flow.decode(u))
    for row, found in zip(u, transposed, strict=True):
        jacobian = torch.autograd.functional.jacobian(lambda v: flow.decode(v[None])[0], row)
        torch.testing.assert_close(found, jacobian.mT)
        expected = 0.5 * torch.logdet(jacobian.mT @ jacobian)
        torch.testing.assert_close(half_log_det(found[None])[0], expected)


def test_the_density_on_a_curve_integrates_to_one():
    flow = shaken(made(bent(100), 1), 0.15)
    u = torch.linspace(-60.0, 60.0, 40_001, dtype=torch.float64)[:, None]
    with torch.no_grad():
        points = flow.decode(u)
        densities = flow.log_prob(points).exp()
    lengths = (points[1:] - points[:-1]).norm(dim=1)
    total = (0.5 * (densities[1:] + densities[:-1]) * lengths).sum()
    torch.testing.assert_close(total, torch.ones((), dtype=torch.float64), rtol=1e-3, atol=1e-3)


def test_samples_lie_on_the_manifold():
    flow = shaken(made(bent(100), 2))
    with torch.no_grad():
        x = flow.sample(20, generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(flow.decode(flow.encode(x)), x)


def test_a_seed_decides_all_and_nothing_else_is_touched():
    x, state = bent(50), torch.get_rng_state()
    one, two, other = (injective_flow(x, 2, layers=4, hidden_features=(8,), seed=seed) for seed in (0, 0, 1))
    for first, second in zip(one.parameters(), two.parameters(), strict=True):
        torch.testing.assert_close(first, second, rtol=0, atol=0)
    assert any(not torch.equal(first, third) for first, third in zip(one.parameters(), other.parameters(), strict=True))
    torch.testing.assert_close(torch.get_rng_state(), state)
