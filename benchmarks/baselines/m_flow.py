"""M-flow: a manifold first, then the density on it (Brehmer and Cranmer, NeurIPS 2020).

Written anew from the paper. Its training in two phases, "M/D", is here: the manifold phase trains the outer flow by the
reconstruction error alone, the density phase the inner flow by the likelihood of the coordinates, for which the
Jacobian of the outer flow, a constant of that phase, need not be known. Of the paper are also batches of 100 and equal
shares for both phases; its couplings are rational-quadratic splines and its learning rate is 3e-4, while couplings here
are affine ones, of the spread flow's kind, and the rate was tuned.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from baselines.budgeted_training import Budget, train_within
from baselines.injective_flow import InjectiveFlow, fit_scales, injective_flow

MANIFOLD_SHARE = 0.5
"""Of the budget, for the manifold phase: the paper gives both phases as many epochs."""

BATCH_SIZE = 100
"""Rows a step, the paper's."""


class ManifoldLoss(nn.Module):
    """E‖x − g(f(x)₁…K)‖², which the parameters of the inner flow are no part of.

    Args:
        flow: the outer flow of which is trained.
    """

    def __init__(self, flow: InjectiveFlow) -> None:
        super().__init__()
        self.outer = flow.outer
        self._flow = [flow]  # not a submodule: its inner flow is not to be trained

    def forward(self, x: Tensor) -> Tensor:
        """The loss on rows (n, D), a scalar."""
        flow = self._flow[0]
        return (flow.decode(flow.encode(x)) - x).square().sum(1).mean()


class DensityLoss(nn.Module):
    """−E log p_inner(u) of coordinates u (n, K), in nats.

    Args:
        flow: the inner flow of which is trained.
    """

    def __init__(self, flow: InjectiveFlow) -> None:
        super().__init__()
        self.inner = flow.inner

    def forward(self, u: Tensor) -> Tensor:
        """The loss on coordinates, a scalar."""
        loss: Tensor = -self.inner.log_prob(u).mean()
        return loss


def m_flow(
    x: Tensor,
    rank: int,
    *,
    seed: int,
    budget: Budget,
    layers: int,
    hidden_features: Sequence[int],
    learning_rate: float,
    density_rate: float,
) -> tuple[InjectiveFlow, int]:
    """Train one in both phases.

    Args:
        x: rows of unit scale, (n, D), float32.
        rank: K.
        seed: of weights, permutations, held-out rows and the order of the others.
        budget: of both phases together.
        layers: couplings of the outer flow.
        hidden_features: widths of the hidden layers of their nets.
        learning_rate: of the manifold phase, at its largest.
        density_rate: of the density phase.

    Returns:
        The flow, and the steps of both phases.
    """
    flow = injective_flow(x, rank, layers=layers, hidden_features=hidden_features, seed=seed)
    steps = train_within(
        ManifoldLoss(flow),
        x,
        budget.part(MANIFOLD_SHARE),
        learning_rate=learning_rate,
        batch_size=BATCH_SIZE,
        seed=seed,
    )
    fit_scales(flow, x)
    with torch.no_grad():
        coordinates = flow.encode(x)
    steps += train_within(
        DensityLoss(flow),
        coordinates,
        budget.part(1.0 - MANIFOLD_SHARE),
        learning_rate=density_rate,
        batch_size=BATCH_SIZE,
        seed=seed,
    )
    return flow.eval(), steps
