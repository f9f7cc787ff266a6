"""GIN within a budget: its density beside torch's mixture, its moments beside draws, its volume, and what it learns."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from baselines.budgeted_training import Budget
from baselines.labelled_training import LabelledFlow, labelled_flow


def rows_of_two_labels(count: int = 300) -> tuple[torch.Tensor, torch.Tensor]:
    """Two bent clouds in three dimensions, the second three times as often as the first."""
    generator = torch.Generator().manual_seed(0)
    labels = (torch.arange(count) % 4 > 0).long()
    u = torch.randn(count, 3, generator=generator) * torch.tensor([1.0, 0.3, 0.05]) + 2.0 * labels[:, None]
    return torch.stack([u[:, 0], u[:, 1], u[:, 2] + 0.3 * u[:, 0].square()], 1), labels


@torch.enable_grad()
def trained(steps: int) -> LabelledFlow:
    x, labels = rows_of_two_labels()
    flow, done = labelled_flow(
        x, labels, seed=0, budget=Budget(steps=steps), layers=6, hidden_features=(16,), batch_size=100
    )
    assert done == steps
    return flow


@torch.no_grad()
def test_the_density_is_the_mixture_of_the_labels_by_their_shares_and_the_volume_is_one() -> None:
    flow = trained(5).double()
    for parameter in flow.parameters():
        parameter += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)).double()
    torch.testing.assert_close(flow.shares, torch.tensor([0.25, 0.75], dtype=torch.float64))
    of_labels = Independent(Normal(flow.base.means, flow.base.log_scales.exp()), 1)
    mixture = MixtureSameFamily(Categorical(flow.shares), of_labels)
    x = rows_of_two_labels()[0][:20].double()
    torch.testing.assert_close(flow.log_prob(x), mixture.log_prob(flow.encode(x)))
    torch.testing.assert_close(flow.decode(flow.encode(x)), x)
    jacobians = torch.func.vmap(torch.func.jacrev(lambda row: flow.encode(row[None])[0]))(x)
    torch.testing.assert_close(torch.linalg.slogdet(jacobians)[1], torch.zeros(20).double(), atol=1e-6, rtol=0)


@torch.no_grad()
def test_moments_are_those_of_latents_over_all_labels() -> None:
    flow = trained(5)
    drawn = flow.encode(flow.sample(100_000, generator=torch.Generator().manual_seed(0)))
    mean, variance = flow.moments()
    torch.testing.assert_close(drawn.mean(0), mean, atol=0.02, rtol=0.02)
    torch.testing.assert_close(drawn.var(0), variance, atol=0.0, rtol=0.03)


@torch.no_grad()
def test_it_starts_at_the_labels_in_principal_coordinates_and_training_raises_the_likelihood() -> None:
    x, labels = rows_of_two_labels()
    first, later = trained(1), trained(300)
    axes = torch.linalg.svd(x - x.mean(0), full_matrices=False)[2]
    own = ((x - x.mean(0)) @ axes.T)[labels == 1]
    torch.testing.assert_close(first.base.means[1].abs(), own.mean(0).abs(), atol=0.02, rtol=0.02)
    torch.testing.assert_close(first.base.log_scales[1], own.std(0).log(), atol=0.02, rtol=0.02)
    assert float((later.log_prob(x) - first.log_prob(x)).mean()) > 0.3


def test_a_label_without_rows_or_with_one_takes_the_scales_of_all() -> None:
    x, labels = rows_of_two_labels(40)
    labels[0] = 3
    flow, _ = labelled_flow(
        x, labels, seed=0, budget=Budget(steps=1), layers=2, hidden_features=(4,), batch_size=40, learning_rate=1e-9
    )
    axes = torch.linalg.svd(x - x.mean(0), full_matrices=False)[2]
    expected = ((x - x.mean(0)) @ axes.T).std(0).log()
    for label in (2, 3):
        torch.testing.assert_close(flow.base.log_scales[label].detach(), expected, atol=1e-5, rtol=1e-4)
    assert bool(flow.log_prob(x).isfinite().all())
    assert flow.shares.tolist() == pytest.approx([9 / 40, 30 / 40, 0.0, 1 / 40])
