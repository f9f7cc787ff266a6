"""Free-form flow: its estimate of the log-determinant's gradient beside exact ones, and what it learns of a curve."""

from __future__ import annotations

import math

import torch
from nflows.distributions import StandardNormal
from torch import Tensor, nn

from baselines.budgeted_training import Budget
from baselines.free_form_flow import free_form_flow, log_det_surrogate
from nflows_spread.models import coupling_flow


def mean_gradients(encode, decode, x: Tensor, rank: int, parameters: list[Tensor]) -> list[Tensor]:
    """Of the surrogate over all v = √K e_k, for which the mean of vvᵀ is I."""
    found = []
    for k in range(rank):
        directions = torch.zeros(len(x), rank, dtype=x.dtype)
        directions[:, k] = math.sqrt(rank)
        surrogate = log_det_surrogate(encode, decode, x, directions)[1].sum()
        found.append(torch.autograd.grad(surrogate, parameters, allow_unused=True))
    return [torch.stack(each).mean(0) if each[0] is not None else None for each in zip(*found, strict=True)]


def test_of_a_linear_map_and_its_pseudoinverse_the_gradient_is_that_of_half_log_det():
    generator = torch.Generator().manual_seed(0)
    encoder, decoder = nn.Linear(5, 2, bias=False).double(), nn.Linear(2, 5, bias=False).double()
    with torch.no_grad():
        decoder.weight.copy_(torch.linalg.pinv(encoder.weight))
    x = torch.randn(7, 5, generator=generator, dtype=torch.float64)
    (found,) = mean_gradients(encoder, decoder, x, 2, [encoder.weight])
    volume = len(x) * 0.5 * torch.logdet(encoder.weight @ encoder.weight.mT)
    torch.testing.assert_close(found, torch.autograd.grad(volume, encoder.weight)[0])


def test_of_an_invertible_net_and_its_inverse_the_gradient_is_that_of_its_log_determinant():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        flow = coupling_flow(3, layers=3, hidden_features=(6,), volume_preserving=False, base=StandardNormal([3]))
    transform = flow.double()._transform
    x = torch.randn(6, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    parameters = [p for p in transform.parameters() if p.requires_grad]
    found = mean_gradients(lambda y: transform(y)[0], lambda z: transform.inverse(z)[0], x, 3, parameters)
    expected = torch.autograd.grad(transform(x)[1].sum(), parameters, allow_unused=True)
    compared = [(one, other) for one, other in zip(found, expected, strict=True) if other is not None]
    assert len(compared) > 6
    for one, other in compared:
        torch.testing.assert_close(torch.zeros_like(other) if one is None else one, other)


def test_the_decoder_gets_no_gradient_from_the_estimate():
    encoder, decoder = nn.Linear(3, 2), nn.Linear(2, 3)
    _, surrogate = log_det_surrogate(encoder, decoder, torch.randn(4, 3), torch.ones(4, 2))
    surrogate.sum().backward()
    assert encoder.weight.grad is not None
    assert decoder.weight.grad is None


def test_it_learns_a_parabola_and_the_density_on_it():
    t = torch.randn(500, 1, generator=torch.Generator().manual_seed(0))
    x = torch.cat([t, 0.5 * t.square() - 0.5], 1)
    objective, steps = free_form_flow(
        x,
        1,
        seed=0,
        budget=Budget(steps=800),
        hidden_features=(32, 32),
        learning_rate=5e-3,
        reconstruction_weight=30.0,
    )
    assert steps == 800
    truth = -0.5 * (t[:, 0].square() + math.log(2.0 * math.pi) + torch.log1p(t[:, 0].square()))
    with torch.no_grad():
        points = objective.model.points(torch.randn(500, 1, generator=torch.Generator().manual_seed(1)))
        assert float((points[:, 1] - 0.5 * points[:, 0].square() + 0.5).abs().median()) < 0.1
        assert float((objective.log_prob(x) - truth).abs().median()) < 0.3
