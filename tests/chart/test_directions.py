"""Directions of the latent space against principal components and Jacobians by automatic differentiation."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from nflows.distributions import StandardNormal
from nflows.flows import Flow
from nflows.transforms import CompositeTransform, LULinear

from nflows_spread import DegenerateGaussian, base_of, decode, encode, reconstruct
from nflows_spread.chart import directions_of
from nflows_spread.models import coupling_flow
from nflows_spread.transforms import CheckerboardSqueeze, MeanCentredAffineCouplingTransform
from support import lower_triangular, randomize, refused
from swapped_flows import FLOWS, swapped
from transform_contract import PIXELS

pytestmark = pytest.mark.usefixtures("float64")

D = 6
ORDERS = ("eigenvalue", "energy", "principal energy")


def seeded():
    return torch.Generator().manual_seed(0)


def linear_flow(base=None):
    """A random linear map."""
    return Flow(randomize(LULinear(D, identity_init=False)), base or StandardNormal([D])).eval()


def data(rows=400):
    """Correlated points about a mean."""
    return 0.5 * torch.randn(rows, D, generator=seeded()) @ torch.randn(D, D, generator=seeded()) + 1.0


def jacobians(flow, z):
    """Of the decoder at each latent, (n, D, D)."""
    return torch.stack([torch.func.jacrev(lambda row: decode(flow, row[None])[0].flatten())(row) for row in z]).detach()


def with_exact_jacobians(directions, flow, z):
    """E[J_fᵀ J_f] over the latents themselves in the place of its estimate from random vectors."""
    found = jacobians(flow, z)
    return replace(directions, pulled=found.flatten(0, 1) * math.sqrt(found.shape[1]))


def curved_flow():
    """A coupling flow with random nets and a random full-rank A."""
    flow = randomize(coupling_flow(D, layers=4, bounded_scale=True)).eval()
    with torch.no_grad():
        base_of(flow).factor.entries.copy_(lower_triangular(D, D, 1.0))
    return flow


@pytest.mark.parametrize("rank", range(1, D + 1))
def test_principal_energy_of_a_linear_flow_reconstructs_as_well_as_principal_components_do(rank):
    x, flow = data(), linear_flow()
    maps = with_exact_jacobians(directions_of(flow, x), flow, encode(flow, x)[:1]).maps(rank)
    singular = torch.linalg.svdvals(x - x.mean(0))  # Eckart and Young: no linear map of rank K leaves less
    optimum = singular[rank:].square().sum() / len(x)
    error = (maps.reconstruct(flow, x) - x).square().sum(1).mean()
    torch.testing.assert_close(error, optimum, rtol=1e-7, atol=1e-12)


def test_other_orders_of_a_linear_flow_leave_more():
    x, flow = data(), linear_flow()
    directions = with_exact_jacobians(directions_of(flow, x), flow, encode(flow, x)[:1])
    with torch.no_grad():
        errors = {
            order: float((directions.maps(3, order).reconstruct(flow, x) - x).square().sum(1).mean())
            for order in ORDERS
        }
    assert errors["principal energy"] < 0.9 * errors["energy"] <= 0.9 * errors["eigenvalue"]


def test_energies_are_those_of_the_jacobians():
    x, flow = data(), curved_flow()
    z = encode(flow, x).detach()
    values, vectors = base_of(flow).eigh()
    expected = values * (jacobians(flow, z) @ vectors).square().sum(1).mean(0)
    exact = with_exact_jacobians(directions_of(flow, x), flow, z)
    torch.testing.assert_close(exact.energies, expected.detach(), rtol=1e-9, atol=1e-12)
    many = [directions_of(flow, x, generator=seeded().manual_seed(seed)).energies for seed in range(200)]
    first = z[: 2 * D]  # which the random vectors are at
    expected = values * (jacobians(flow, first) @ vectors).square().sum(1).mean(0)
    torch.testing.assert_close(torch.stack(many).mean(0), expected.detach(), rtol=0.15, atol=1e-3)


def test_principal_energy_loses_least_of_the_energy_in_data_space():
    x, flow = data(), curved_flow()
    directions = with_exact_jacobians(directions_of(flow, x), flow, encode(flow, x).detach())
    lost = {}
    for order in ORDERS:
        maps = directions.maps(3, order)
        dropped = torch.eye(D) - maps.forth @ maps.back
        lost[order] = float((directions.pulled @ dropped.mT @ directions.colouring).square().sum())
    assert lost["principal energy"] < lost["energy"] <= lost["eigenvalue"]
    values = torch.linalg.eigvalsh(
        directions.colouring.mT @ directions.pulled.mT @ directions.pulled @ directions.colouring
    )
    assert lost["principal energy"] == pytest.approx(float(values[:3].sum()))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("rank", [1, 4, D])
def test_the_maps_project_and_all_directions_give_the_data_back(rank, order):
    x, flow = data(20), curved_flow()
    maps = directions_of(flow, x, generator=seeded()).maps(rank, order)
    torch.testing.assert_close(maps.back @ maps.forth, torch.eye(rank), rtol=0, atol=1e-9)
    z = encode(flow, x).detach()
    assert maps.coordinates(z).shape == (20, rank)
    once = maps.latents(maps.coordinates(z))
    torch.testing.assert_close(maps.latents(maps.coordinates(once)), once, rtol=1e-7, atol=1e-9)
    if rank == D:
        torch.testing.assert_close(maps.reconstruct(flow, x), x, rtol=0, atol=1e-7)


def test_by_eigenvalue_they_are_those_of_reconstruct():
    x, flow = data(20), curved_flow()
    found = directions_of(flow, x).maps(2, "eigenvalue").reconstruct(flow, x)
    torch.testing.assert_close(found, reconstruct(flow, x, rank=2, order="eigenvalue"))


@pytest.mark.parametrize("name", [name for name in FLOWS if not name.startswith("conditional")])
def test_the_flows_of_a_host_have_directions(name):
    flow, x = randomize(swapped(name), 0.1).eval(), torch.randn(10, 3)
    torch.testing.assert_close(directions_of(flow, x).maps(3).reconstruct(flow, x), x, rtol=0, atol=1e-6)


def test_latents_with_a_shape_come_back_in_it():
    couplings = [MeanCentredAffineCouplingTransform(mask, PIXELS) for mask in ([0, 0, 1, 1], [1, 1, 0, 0])]
    base = DegenerateGaussian([4, 2, 2], learn_mean=True)
    flow, x = (
        randomize(Flow(CompositeTransform([CheckerboardSqueeze(), *couplings]), base), 0.1),
        torch.rand(9, 1, 4, 4),
    )
    directions = directions_of(flow, x)
    assert directions.pulled.shape == (32, 16)
    torch.testing.assert_close(directions.maps(16).reconstruct(flow, x), x, rtol=0, atol=1e-8)


def test_a_direction_without_variance_is_not_scaled_up():
    x, flow = data(3), linear_flow()  # three points span a plane
    directions = directions_of(flow, x)
    assert torch.isfinite(directions.whitening).all()
    torch.testing.assert_close(directions.maps(2).reconstruct(flow, x), x, rtol=0, atol=1e-6)


def test_the_same_generator_gives_the_same_directions_and_the_flow_stays_as_it_is():
    x, flow = data(20), curved_flow()
    before = [parameter.clone() for parameter in flow.parameters()]
    first, again = (directions_of(flow, x, latents=encode(flow, x[:5]), generator=seeded()) for _ in range(2))
    assert torch.equal(first.pulled, again.pulled)
    assert not first.pulled.requires_grad
    assert all(map(torch.equal, before, flow.parameters()))
    assert all(parameter.grad is None for parameter in flow.parameters())


def test_what_cannot_be_followed_is_refused():
    x, flow = data(20), curved_flow()
    with refused(ValueError, "order must be one of eigenvalue, energy, principal energy", "got 'variance'"):
        directions_of(flow, x).maps(2, "variance")
    with refused(ValueError, "rank must be between 1 and 6", "got 7"):
        directions_of(flow, x).maps(7)
    with refused(ValueError, "latents must have the flow's 6 features, got shape (4, 5)", unchanged=flow):
        directions_of(flow, x, latents=torch.randn(4, 5))
    with refused(ValueError, "latents must be finite"):
        directions_of(flow, x, latents=torch.full((4, D), math.nan))
    with refused(ValueError, "x must have at least two rows, got (1, 6)"):
        directions_of(linear_flow(), x[:1])
    with refused(ValueError, "x must hold at least one row"):
        directions_of(flow, x[:0])
    with refused(TypeError, "flow must be a flow of one of"):
        directions_of(torch.nn.Linear(D, D), x)


def test_the_jacobian_may_be_taken_at_one_latent_alone():
    flow = linear_flow()
    z = torch.randn(1, D, generator=seeded())
    once, thrice = (directions_of(flow, data(20), latents=z.expand(n, -1), generator=seeded()) for n in (1, 3))
    torch.testing.assert_close(once.pulled, thrice.pulled)
