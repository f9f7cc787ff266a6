"""What is left of images at each rank: which directions of the latent space are kept, and the errors."""

from __future__ import annotations

import gc
import weakref
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from nflows.distributions import StandardNormal

from nflows_spread import DegenerateGaussian, encode
from nflows_spread.chart import directions_of
from nflows_spread.chart.directions import BY_EIGENVALUE, BY_ENERGY, PRINCIPAL
from nflows_spread.datasets import Points
from nflows_spread.factors import SpreadCholeskyFactor
from nflows_spread.fitted_chart import fitted_maps
from paper.images.colour import glow_flow
from paper.reconstruction import reconstructions as ranks
from paper.reconstruction.reconstructions import FITTED
from paper.results import Result


def result_of(flow: torch.nn.Module, x: torch.Tensor) -> Result:
    """A trained flow whose data is the same to train on and held out."""
    data, points = SimpleNamespace(held_out=Points(x, x), train=Points(x, x)), SimpleNamespace(flow=flow)
    return Result("a flow", SimpleNamespace(), data, points, measures=(), seed=0)


@pytest.fixture
def result() -> Result:
    base = DegenerateGaussian([48], factor=SpreadCholeskyFactor)
    flow = glow_flow((3, 4, 4), base=base, blocks=1, layers=1, hidden_channels=4)
    with torch.no_grad():
        base.factor.entries.add_(0.3 * torch.randn(48, 48).tril())
        for name, parameter in flow.named_parameters():
            if "_transform" in name:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return result_of(flow.eval(), torch.rand(300, 3, 4, 4))


@pytest.mark.parametrize("order", [BY_EIGENVALUE, BY_ENERGY, PRINCIPAL])
def test_reconstructions_at_full_rank_are_the_images_however_directions_are_chosen(order: str, result: Result) -> None:
    x = result.data.held_out.x[:5]
    back = ranks.reconstructions(result, x, 48, order)
    torch.testing.assert_close(back, x, rtol=0, atol=1e-3)
    maps = ranks.maps(result, 3, order)
    torch.testing.assert_close(maps.back @ maps.forth, torch.eye(3), rtol=0, atol=1e-4)  # a projection


def test_directions_are_the_packages_at_held_out_latents_and_made_once(result: Result) -> None:
    found = result.directions
    expected = directions_of(
        result.trained.flow, result.data.train.x, latents=result.latents, generator=torch.Generator().manual_seed(0)
    )
    assert torch.equal(found.pulled, expected.pulled)
    assert result.directions is found


def test_what_a_result_knows_of_its_directions_goes_when_it_goes(few_steps: None) -> None:
    flow = glow_flow((3, 4, 4), base=StandardNormal([48]), blocks=1, layers=1, hidden_channels=4).eval()
    gone = result_of(flow, torch.rand(100, 3, 4, 4))
    ranks.reconstruction_errors(gone)
    assert gone.fitted_maps(4) is gone.fitted_maps(4)
    parts = [weakref.ref(part) for part in (flow, gone.directions, gone.fitted_maps(4))]
    del flow, gone
    gc.collect()
    assert [part() for part in parts] == [None, None, None]


def test_held_out_images_are_not_in_the_directions_of_a_fixed_prior() -> None:
    """Directions of the latents of a few images would give these few back exactly."""
    flow = glow_flow((3, 4, 4), base=StandardNormal([48]), blocks=1, layers=1, hidden_channels=4).eval()
    x = torch.rand(330, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    result = result_of(flow, x[:30])
    result.data.train = Points(x[30:], torch.zeros(300, 1))
    back = ranks.reconstructions(result, x[:30], 30, BY_EIGENVALUE)
    assert (back - x[:30]).square().mean() > 0.1 * x.var() * 18 / 48


def test_the_ranks_are_the_papers_among_others(result: Result) -> None:
    assert ranks.ranks_of(3072) == [64, 256, 512, 1024, 2000, 2500, 3000]
    assert ranks.reconstructed_ranks(result, FITTED) == [1, 4, 8, 16]
    result.latents = result.latents[:, :16]
    assert ranks.reconstructed_ranks(result, BY_ENERGY) == [1, 4, 8, 16]
    assert ranks.reconstructed_ranks(result, FITTED) == [1, 4, 8]


def test_there_is_an_error_for_each_rank_and_each_choice(result: Result, few_steps: None) -> None:
    found = ranks.reconstruction_errors(result)
    every = {f"mse_{rank}{end}" for rank in (1, 4, 8, 16) for end in ranks.ORDERS.values()}
    assert set(found) == every | {f"mse_{n}{end}" for n in (31, 39, 47) for end in ("", "_by_energy", "_principal")}
    assert found["mse_47"] < found["mse_1"]


@pytest.fixture
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("paper.results.fitted_maps", partial(fitted_maps, steps=2))


def bent(result: Result) -> None:
    """Let the shifts of the flow's coupling be large: what is dropped of one half moves the other."""
    with torch.no_grad():
        for name, parameter in result.trained.flow.named_parameters():
            if "transform_net" in name:
                parameter.mul_(6.0)
    result.latents = encode(result.trained.flow, result.data.held_out.x).detach()


def test_fitted_directions_lose_less_than_those_of_principal_energy_where_the_decoder_bends(result: Result) -> None:
    bent(result)
    result.data.train = Points(torch.rand(1500, 3, 4, 4), torch.zeros(1500, 1))
    x, before = result.data.held_out.x, [p.clone() for p in result.trained.flow.parameters()]
    errors = {order: (ranks.reconstructions(result, x, 4, order) - x).square().mean() for order in (PRINCIPAL, FITTED)}
    assert errors[FITTED] < 0.9 * errors[PRINCIPAL]
    assert all(map(torch.equal, before, result.trained.flow.parameters())), "the flow is as it was"
    assert all(p.grad is None for p in result.trained.flow.parameters())
