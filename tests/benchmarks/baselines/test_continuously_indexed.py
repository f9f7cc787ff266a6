"""Continuously indexed flows: the bound beside the exact density by quadrature, the plain flow, and two pieces."""

from __future__ import annotations

import pytest
import torch
from nflows.distributions import StandardNormal
from nflows.flows import Flow
from nflows.transforms import CompositeTransform
from torch import nn

from baselines.budgeted_training import Budget
from baselines.continuously_indexed import ContinuouslyIndexedFlow
from baselines.indexed_training import continuously_indexed_flow


def indexed_flow(layers: int, index_features: int) -> ContinuouslyIndexedFlow:
    model = ContinuouslyIndexedFlow(2, layers=layers, hidden_features=(8,), index_features=index_features).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return model.eval()


@torch.no_grad()
def log_prob_by_quadrature(model: ContinuouslyIndexedFlow, x: torch.Tensor) -> torch.Tensor:
    """log ∫ p(x, u) du of one layer with one index."""
    (layer,) = model.layers
    u = torch.linspace(-40.0, 40.0, 4001, dtype=torch.float64).unsqueeze(1)
    found = []
    for row in x:
        z, logabsdet = layer.encode(row.expand(len(u), -1), u)
        joint = StandardNormal([2]).double().log_prob(z) + layer.prior(z).log_prob(u).sum(1) + logabsdet
        found.append(joint.logsumexp(0) + (u[1, 0] - u[0, 0]).log())
    return torch.stack(found)


@torch.no_grad()
def test_the_bound_is_below_the_exact_density_and_many_draws_reach_it() -> None:
    model, x = indexed_flow(1, 1), torch.randn(8, 2, dtype=torch.float64)
    exact = log_prob_by_quadrature(model, x)
    bound = torch.stack([model.lower_bound(x) for _ in range(500)]).mean(0)
    assert bool((bound < exact).all())
    assert float((exact - bound).mean()) > 0.01
    model.layers[0].posterior.net[-1].bias[1] = 2.2  # importance sampling wants a wide one
    reached = model.log_prob(x, draws=4000)
    torch.testing.assert_close(reached, exact, rtol=0, atol=0.1)
    torch.testing.assert_close(reached.mean(), exact.mean(), rtol=0, atol=0.03)


@torch.no_grad()
def test_an_index_that_carries_nothing_leaves_the_plain_flow() -> None:
    model, x = indexed_flow(3, 2), torch.randn(20, 2, dtype=torch.float64)
    for layer in model.layers:
        for part in (layer.scale_and_shift, layer.prior.net, layer.posterior.net):
            nn.init.zeros_(part[-1].weight)
            nn.init.zeros_(part[-1].bias)
    plain = Flow(CompositeTransform([layer.bijection for layer in model.layers]), StandardNormal([2])).double()
    torch.testing.assert_close(
        model.lower_bound(x), plain.log_prob(x), rtol=0, atol=1e-6
    )  # nflows' constant is float32
    torch.testing.assert_close(model.log_prob(x, draws=3), plain.log_prob(x), rtol=0, atol=1e-6)


@torch.no_grad()
def test_layers_run_both_ways_with_the_log_determinant_of_autograd() -> None:
    layer = indexed_flow(1, 2).layers[0]
    x, u = torch.randn(4, 2, dtype=torch.float64), torch.randn(4, 2, dtype=torch.float64)
    z, logabsdet = layer.encode(x, u)
    torch.testing.assert_close(layer.decode(z, u), x, rtol=0, atol=1e-12)
    for row, index, found in zip(x, u, logabsdet):
        jacobian = torch.func.jacrev(lambda r: layer.encode(r.unsqueeze(0), index.unsqueeze(0))[0][0])(row)  # noqa: B023
        torch.testing.assert_close(torch.linalg.slogdet(jacobian).logabsdet, found)


@torch.no_grad()
def test_samples_have_the_density_of_the_quadrature() -> None:
    """The share of them in a unit square about their median, and the mean density on its midpoints."""
    model = indexed_flow(1, 1)
    samples = model.float().sample(4000, generator=torch.Generator().manual_seed(0)).double()
    middle = samples.median(0).values
    midpoints = torch.cartesian_prod(*[(torch.arange(10.0).double() - 4.5) / 10.0] * 2)
    density = float(log_prob_by_quadrature(model.double(), midpoints + middle).exp().mean())
    inside = float(((samples - middle).abs() < 0.5).all(1).double().mean())
    assert inside == pytest.approx(density, abs=4.0 * (density * (1.0 - density) / 4000) ** 0.5 + 0.005)


def two_pieces(rows: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    side = 2.0 * torch.randint(2, (rows,), generator=generator) - 1.0
    return torch.stack([side, torch.zeros(rows)], 1) + 0.1 * torch.randn(rows, 2, generator=generator)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_less_mass_lies_between_two_pieces_than_with_the_plain_flow() -> None:
    """Of equal size: the same couplings and steps."""
    x, between, bounds = two_pieces(2000), [], []
    for index_features in (0, 2):
        model, _ = continuously_indexed_flow(
            x,
            seed=0,
            budget=Budget(steps=2000),
            layers=2,
            index_features=index_features,
            batch_size=250,
            learning_rate=5e-3,
        )
        samples = model.sample(10_000, generator=torch.Generator().manual_seed(1))
        between.append(float((samples[:, 0].abs() < 0.5).double().mean()))
        bounds.append(float(model.lower_bound(x).detach().mean()))
    assert between[1] < 0.7 * between[0]
    assert bounds[1] > bounds[0]
