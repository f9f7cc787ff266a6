"""Directions that are fitted to reconstructions: better where the decoder bends, and never worse."""

from __future__ import annotations

import pytest
import torch
from nflows.distributions import StandardNormal
from nflows.flows import Flow
from nflows.transforms import LULinear

from nflows_spread import encode
from nflows_spread.chart import directions_of
from nflows_spread.fitted_chart import LatentBottleneck, fitted_maps
from nflows_spread.models import coupling_flow
from support import randomize, refused

pytest.importorskip("lightning_fabric")


def seeded():
    return torch.Generator().manual_seed(0)


@pytest.fixture
def bent():
    """A flow whose couplings shift much, and points of its prior."""
    flow = randomize(coupling_flow(8, layers=2, bounded_scale=True)).eval()
    return flow, torch.randn(1500, 8, generator=seeded())


@torch.no_grad()
def error(maps, flow, x):
    return float((maps.reconstruct(flow, x) - x).square().mean())


def test_they_lose_less_than_principal_energy_where_the_decoder_bends_and_the_flow_stays_as_it_is(bent):
    flow, x = bent
    before = [parameter.clone() for parameter in flow.parameters()]
    directions = directions_of(flow, x, generator=seeded())
    found = fitted_maps(flow, x[300:], 3, directions=directions, generator=seeded())
    assert (found.forth.shape, found.back.shape, found.mean.shape) == ((8, 3), (3, 8), (8,))
    assert not found.forth.requires_grad
    assert error(found, flow, x[:300]) < 0.95 * error(directions.maps(3), flow, x[:300])
    assert all(map(torch.equal, before, flow.parameters()))
    assert all(parameter.grad is None for parameter in flow.parameters())


def test_of_a_linear_flow_they_stay_above_the_optimum_that_principal_components_are():
    flow = Flow(randomize(LULinear(6, identity_init=False)), StandardNormal([6])).eval()
    x = torch.randn(600, 6, generator=seeded()) @ torch.randn(6, 6, generator=seeded())
    optimum = torch.linalg.svdvals(x - x.mean(0))[2:].square().sum() / x.numel()
    directions = directions_of(flow, x, generator=seeded())
    found = error(fitted_maps(flow, x, 2, directions=directions, generator=seeded()), flow, x)
    assert float(optimum) * (1 - 1e-4) <= found <= error(directions.maps(2), flow, x) * 1.02


def test_the_error_that_is_fitted_is_that_of_reconstructions(bent):
    flow, x = bent
    directions = directions_of(flow, x)
    bottleneck = LatentBottleneck(flow, directions, 4)
    assert float(bottleneck(x)) == pytest.approx(error(directions.maps(4), flow, x), rel=1e-4)
    for name in ("mean", "forth", "back"):
        torch.testing.assert_close(getattr(bottleneck.maps(), name), getattr(directions.maps(4), name))


@pytest.mark.parametrize("rate", [1e3, 1e30], ids=["worse", "not finite"])
def test_a_fit_that_makes_nothing_better_leaves_those_of_principal_energy(rate, bent):
    flow, x = bent
    directions = directions_of(flow, x)
    found, start = fitted_maps(flow, x, 4, directions=directions, steps=2, learning_rate=rate), directions.maps(4)
    assert torch.equal(found.forth, start.forth)
    assert torch.equal(found.back, start.back)


def test_without_directions_they_start_from_those_of_the_data_and_one_generator_gives_the_same_again(bent):
    flow, x = bent
    first, again = (fitted_maps(flow, x, 2, steps=3, generator=seeded()) for _ in range(2))
    assert torch.equal(first.forth, again.forth)
    with torch.no_grad():
        assert torch.equal(fitted_maps(flow, x, 2, steps=3, generator=seeded()).back, first.back), "within no_grad too"


def test_points_without_variance_do_not_break_the_fit():
    flow = coupling_flow(3, layers=1).eval()
    x = torch.ones(10, 3)
    assert torch.isfinite(fitted_maps(flow, x, 1, steps=2).reconstruct(flow, x)).all()


def test_what_cannot_be_followed_is_refused(bent):
    flow, x = bent
    with refused(ValueError, "rank must be between 1 and 8", "got 9", unchanged=flow):
        fitted_maps(flow, x, 9)
    with refused(ValueError, "x must have at least two rows, got (1, 8)", unchanged=flow):
        fitted_maps(flow, x[:1], 2)
    with refused(ValueError, "batch_size must be at least 1, got 0"):
        fitted_maps(flow, x, 2, batch_size=0)
    with refused(ValueError, "steps must be at least 1, got 0"):
        fitted_maps(flow, x, 2, steps=0)
    assert encode(flow, x).isfinite().all()
