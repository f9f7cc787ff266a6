"""Two-stage VAE: its bound beside the exact density, and what its paper states of γ and of active latents."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from baselines.budgeted_training import Budget
from baselines.gaussian_vae import GaussianVAE
from baselines.two_stage_vae import TwoStageVAE, _OfDraws, two_stage_vae

SMALL = {"latent_features": 4, "hidden_features": ((32, 32), (32,)), "learning_rate": 2e-3}


def plane(rows: int = 1000) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    frame = torch.linalg.qr(torch.randn(5, 2, generator=generator)).Q
    return math.sqrt(2.5) * torch.randn(rows, 2, generator=generator) @ frame.T


def curved(rows: int = 1000) -> torch.Tensor:
    u = torch.randn(rows, 2, generator=torch.Generator().manual_seed(0))
    x = torch.cat([u, 0.2 * u**2, 0.2 * torch.sin(u[:, :1] + u[:, 1:])], 1)
    return x - x.mean(0)


def linear_vae(weight: torch.Tensor, gamma: float) -> GaussianVAE:
    """With the exact posterior of x = W z + √γ ε where WᵀW is diagonal."""
    model = GaussianVAE(len(weight), weight.shape[1], hidden_features=()).double()
    squares = weight.square().sum(0)
    encoder, decoder = model.encoder[0], model.decoder[0]
    assert isinstance(encoder, nn.Linear)
    assert isinstance(decoder, nn.Linear)
    with torch.no_grad():
        model.log_gamma.fill_(math.log(gamma))
        decoder.weight.copy_(weight)
        decoder.bias.zero_()
        encoder.weight.copy_(torch.cat([(weight / (squares + gamma)).T, torch.zeros_like(weight).T]))
        encoder.bias.copy_(torch.cat([torch.zeros_like(squares), (gamma / (squares + gamma)).log()]))
    return model


@torch.no_grad()
def test_the_bound_is_the_density_where_the_posterior_is_exact_and_below_it_elsewhere() -> None:
    weight = torch.linalg.qr(torch.randn(5, 2, dtype=torch.float64)).Q * torch.tensor([2.0, 0.5])
    covariance = weight @ weight.T + 0.1 * torch.eye(5)
    exact = torch.distributions.MultivariateNormal(torch.zeros(5).double(), covariance)
    x = exact.sample((4000,))
    model = linear_vae(weight, 0.1)
    # one draw: the terms of the bound that depend on it cancel only in the mean
    torch.testing.assert_close(model.lower_bound(x).mean(), exact.log_prob(x).mean(), rtol=0, atol=0.05)
    model.encoder[0].bias += 0.5
    assert float(model.lower_bound(x).mean()) < float(exact.log_prob(x).mean()) - 0.1


def test_latents_are_active_where_the_rows_determine_them() -> None:
    weight = torch.zeros(5, 3, dtype=torch.float64)
    weight[0, 0], weight[1, 2] = 2.0, 1.0
    model, x = linear_vae(weight, 0.01), torch.randn(100, 5, dtype=torch.float64)
    torch.testing.assert_close(
        model.posterior_variances(x), torch.tensor([0.01 / 4.01, 1.0, 0.01 / 1.01], dtype=torch.float64)
    )
    assert model.active_latents(x) == 2


def test_samples_come_through_both_stages() -> None:
    weight = torch.eye(3, 2, dtype=torch.float64)
    inner = torch.diag(torch.tensor([2.0, 0.5], dtype=torch.float64))
    model = TwoStageVAE(linear_vae(weight, 0.01).float(), linear_vae(inner, 0.04).float())
    x = model.sample(20_000, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(x.T.cov(), torch.diag(torch.tensor([4.04, 0.29, 0.0])), rtol=0.05, atol=0.03)


@pytest.mark.parametrize("rows", [plane, pytest.param(curved, marks=pytest.mark.slow)])
def test_as_many_latents_are_active_as_the_manifold_has_dimensions_and_gamma_falls_to_nothing(rows) -> None:
    """Of four latents two, on a plane in five dimensions and on a curved surface."""
    x = rows()
    gammas = []
    for first_steps in (200, 1500):
        budget = Budget(steps=first_steps + 10)
        share = first_steps / budget.steps
        model, steps = two_stage_vae(x, seed=0, budget=budget, first_share=share, first_gamma=1.0, **SMALL)
        assert steps == budget.steps
        gammas.append(model.first.gamma)
    assert model.first.active_latents(x) == 2
    variances = model.first.posterior_variances(x).sort().values
    assert float(variances[1]) < 0.2
    assert float(variances[2]) > 0.8
    assert gammas[1] < 0.3 * gammas[0] < 0.3


@pytest.mark.slow
def test_the_second_stage_gives_samples_of_the_right_spread() -> None:
    """A first stage alone samples latents that the posterior does not fill; here both have the data's covariance."""
    x = plane()
    model, _ = two_stage_vae(x, seed=0, budget=Budget(steps=4000), first_share=0.5, **SMALL)
    samples = model.sample(5000, generator=torch.Generator().manual_seed(1))
    assert float((samples.T.cov() - x.T.cov()).norm() / x.T.cov().norm()) < 0.1


def test_the_second_stage_sees_new_draws_of_the_first_ones_latents() -> None:
    """Of means 0 and variances 4 it learns the spread 4, of which one draw for each of a few rows says little."""
    second = GaussianVAE(2, 2, hidden_features=(16,), input_at_last=True, generator=torch.Generator().manual_seed(0))
    seen: list[torch.Tensor] = []
    second.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    objective = _OfDraws(second)
    posterior = torch.cat([torch.zeros(500, 2), torch.full((500, 2), math.log(4.0))], dim=1)
    for _ in range(2):
        objective(posterior)
    assert not torch.equal(*seen)
    torch.testing.assert_close(torch.cat(seen).T.cov(), 4.0 * torch.eye(2), rtol=0.1, atol=0.3)


def test_a_net_with_its_input_at_the_last_layer_is_linear_in_it_where_nothing_else_is_heard() -> None:
    model = GaussianVAE(3, 2, hidden_features=(8,), input_at_last=True)
    with torch.no_grad():
        model.decoder.last.weight[:, 2:].zero_()
    z = torch.randn(7, 2)
    weight, bias = model.decoder.last.weight[:, :2], model.decoder.last.bias
    torch.testing.assert_close(model.decoder(z), z @ weight.T + bias)
