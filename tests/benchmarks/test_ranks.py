"""What is left of images at each rank: which directions of the latent space are kept, and the errors."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from nflows.distributions import StandardNormal

from nflows_spread import DegenerateGaussian, decode, encode
from nflows_spread.datasets import Points
from nflows_spread.factors import SpreadCholeskyFactor
from paper.images.colour import glow_flow
from paper.reconstruction import fitted
from paper.reconstruction import reconstructions as ranks
from paper.reconstruction.directions import BY_EIGENVALUE, BY_ENERGY, PRINCIPAL, directions_of
from paper.reconstruction.fitted import FITTED, LatentBottleneck


class _Outcome:
    """A trained flow as far as ``ranks`` asks for it."""

    def __init__(self, flow: torch.nn.Module, x: torch.Tensor) -> None:
        self.trained, self.latents = type("Trained", (), {"flow": flow}), encode(flow, x).detach()
        self.task = type("Task", (), {"held_out": Points(x, x), "train": Points(x, x)})

    def generator(self) -> torch.Generator:
        return torch.Generator().manual_seed(0)


@pytest.fixture
def outcome() -> _Outcome:
    base = DegenerateGaussian([48], factor=SpreadCholeskyFactor)
    flow = glow_flow((3, 4, 4), base=base, blocks=1, layers=1, hidden_channels=4)
    with torch.no_grad():
        base.factor.entries.add_(0.3 * torch.randn(48, 48).tril())
        for name, parameter in flow.named_parameters():
            if "_transform" in name:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return _Outcome(flow.eval(), torch.rand(300, 3, 4, 4))


@pytest.mark.parametrize("order", [BY_EIGENVALUE, BY_ENERGY, PRINCIPAL])
def test_reconstructions_at_full_rank_are_the_images_however_directions_are_chosen(
    order: str, outcome: _Outcome
) -> None:
    x = outcome.task.held_out.x[:5]
    back = ranks.reconstructions(outcome, x, 48, order)
    torch.testing.assert_close(back, x, rtol=0, atol=1e-3)
    forth, back = ranks.maps(outcome, 3, order)
    torch.testing.assert_close(back @ forth, torch.eye(3), rtol=0, atol=1e-4)  # a projection


def test_energies_and_principal_directions_are_those_of_the_jacobians(outcome: _Outcome) -> None:
    directions, flow = directions_of(outcome), outcome.trained.flow
    assert (directions.variances.diff() <= 0).all()
    pulled = [
        torch.func.jacrev(lambda row: decode(flow, row.unsqueeze(0)).flatten())(z).detach()
        for z in outcome.latents[:60]
    ]
    exact = replace(directions, pulled=torch.cat(pulled) * 48**0.5)
    torch.testing.assert_close(directions.energies, exact.energies, rtol=0.8, atol=1e-3)
    assert float(directions.energies.sum() / exact.energies.sum()) == pytest.approx(1.0, abs=0.1)
    root = exact.vectors * exact.variances.sqrt()
    whole = (exact.pulled @ root).square().sum()
    kept = {}
    for order in (BY_EIGENVALUE, BY_ENERGY, PRINCIPAL):
        forth, back = exact.maps(5, order)
        kept[order] = 1.0 - (exact.pulled @ (torch.eye(48) - forth @ back).mT @ root).square().sum() / whole
    assert kept[PRINCIPAL] >= kept[BY_ENERGY] >= kept[BY_EIGENVALUE] - 1e-6


def test_held_out_images_are_not_in_the_directions_of_a_fixed_prior() -> None:
    """Directions of the latents of a few images would give these few back exactly."""
    flow = glow_flow((3, 4, 4), base=StandardNormal([48]), blocks=1, layers=1, hidden_channels=4).eval()
    x = torch.rand(330, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    outcome = _Outcome(flow, x[:30])
    outcome.task.train = Points(x[30:], torch.zeros(300, 1))
    back = ranks.reconstructions(outcome, x[:30], 30, BY_EIGENVALUE)
    assert (back - x[:30]).square().mean() > 0.1 * x.var() * 18 / 48


def test_the_ranks_are_the_papers_among_others(outcome: _Outcome) -> None:
    assert ranks.ranks_of(3072) == [64, 256, 512, 1024, 2000, 2500, 3000]
    assert ranks.reconstructed_ranks(outcome, FITTED) == [1, 4, 8, 16]
    outcome.latents = outcome.latents[:, :16]
    assert ranks.reconstructed_ranks(outcome, BY_ENERGY) == [1, 4, 8, 16]
    assert ranks.reconstructed_ranks(outcome, FITTED) == [1, 4, 8]


def test_there_is_an_error_for_each_rank_and_each_choice(outcome: _Outcome, few_steps: None) -> None:
    found = ranks.reconstruction_errors(outcome)
    every = {f"mse_{rank}{end}" for rank in (1, 4, 8, 16) for end in ranks.ORDERS.values()}
    assert set(found) == every | {f"mse_{n}{end}" for n in (31, 39, 47) for end in ("", "_by_energy", "_principal")}
    assert found["mse_47"] < found["mse_1"]


@pytest.fixture
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitted, "_STEPS", 2)


def bent(outcome: _Outcome) -> None:
    """Let the shifts of the flow's coupling be large: what is dropped of one half moves the other."""
    with torch.no_grad():
        for name, parameter in outcome.trained.flow.named_parameters():
            if "transform_net" in name:
                parameter.mul_(6.0)
    outcome.latents = encode(outcome.trained.flow, outcome.task.held_out.x).detach()


def test_fitted_directions_lose_less_than_those_of_principal_energy_where_the_decoder_bends(outcome: _Outcome) -> None:
    bent(outcome)
    outcome.task.train = Points(torch.rand(1500, 3, 4, 4), torch.zeros(1500, 1))
    x, before = outcome.task.held_out.x, [p.clone() for p in outcome.trained.flow.parameters()]
    errors = {order: (ranks.reconstructions(outcome, x, 4, order) - x).square().mean() for order in (PRINCIPAL, FITTED)}
    assert errors[FITTED] < 0.9 * errors[PRINCIPAL]
    assert all(map(torch.equal, before, outcome.trained.flow.parameters())), "the flow is as it was"
    assert all(p.grad is None for p in outcome.trained.flow.parameters())


def test_the_error_that_directions_are_fitted_to_is_that_of_reconstructions(outcome: _Outcome) -> None:
    bottleneck, x = LatentBottleneck(outcome.trained.flow, directions_of(outcome), 4), outcome.task.held_out.x
    error = (ranks.reconstructions(outcome, x, 4, PRINCIPAL) - x).square().mean()
    torch.testing.assert_close(bottleneck(x), error, rtol=1e-4, atol=0)
    for found, expected in zip(bottleneck.maps(), ranks.maps(outcome, 4, PRINCIPAL)):
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("rate", [1e3, 1e30], ids=["worse", "not finite"])
def test_a_fit_that_makes_nothing_better_leaves_the_directions_of_principal_energy(
    rate: float, outcome: _Outcome, monkeypatch: pytest.MonkeyPatch, few_steps: None
) -> None:
    monkeypatch.setattr(fitted, "_RATE", rate)
    outcome.task.train = Points(torch.rand(600, 3, 4, 4), torch.zeros(600, 1))
    for found, expected in zip(ranks.maps(outcome, 4, FITTED), ranks.maps(outcome, 4, PRINCIPAL)):
        assert torch.equal(found, expected)
