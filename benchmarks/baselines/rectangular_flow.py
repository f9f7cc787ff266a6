"""Rectangular flow: likelihood on the manifold with the log-determinant of JᵀJ (Caterini et al., NeurIPS 2021).

Written anew from the paper. Its loss is −E log p(x) + β E‖x − g(g†(x))‖² with
log p(x) = log p_inner(u) − ½ log det JᵀJ at u = g†(x). The determinant is exact, from K forward-mode products, or its
gradient is estimated without bias by ½ tr((JᵀJ)⁻¹ d(JᵀJ)) ≈ ½ Σ (JᵀJ)⁻¹ε · d(JᵀJ) ε, ε random signs, with (JᵀJ)⁻¹ε by
conjugate gradients. The likelihood enters after a warm-up by reconstructions alone, as in the paper; its share, β and
the learning rate were tuned here, as the paper's are for other data and lengths.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast

import torch
from torch import Tensor, nn

from baselines.budgeted_training import Budget, train_within
from baselines.injective_flow import InjectiveFlow, half_log_det, injective_flow, jacobians, pushed

BATCH_SIZE = 100
"""Rows a step, as of M-flow beside it."""

WARM_UP = 0.5
"""Share of the budget for reconstructions alone, which cost a fraction. From the trials of ``rivals.tuning``."""

_TOLERANCE = 1e-3
"""Norm of the residual, over that of the right-hand side, at which conjugate gradients end. A choice."""

Determinant = Literal["exact", "conjugate gradients"]


class RectangularLoss(nn.Module):
    """−E log p(x) + β E‖x − g(g†(x))‖², in nats.

    Args:
        flow: what is trained.
        reconstruction_weight: β.
        determinant: how the gradient of ½ log det JᵀJ is found; with conjugate gradients the loss is off by what has
            no gradient.
        warm_up: share of the training without the likelihood.
        generator: source of the random signs.

    Attributes:
        progress: share of the training that is over.
    """

    def __init__(
        self,
        flow: InjectiveFlow,
        *,
        reconstruction_weight: float,
        determinant: Determinant = "exact",
        warm_up: float = WARM_UP,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.flow, self.reconstruction_weight, self.determinant = flow, reconstruction_weight, determinant
        self.warm_up, self.generator, self.progress = warm_up, generator, 0.0

    def forward(self, x: Tensor) -> Tensor:
        """The loss on rows (n, D), a scalar."""
        u = self.flow.encode(x)
        squares = (self.flow.decode(u) - x).square().sum(1)
        if self.progress < self.warm_up:
            return self.reconstruction_weight * squares.mean()
        exact = self.determinant == "exact"
        volume = half_log_det(jacobians(self.flow.decode, u)) if exact else self.surrogate(u)
        return (self.reconstruction_weight * squares - self.flow.inner.log_prob(u) + volume).mean()

    def surrogate(self, u: Tensor) -> Tensor:
        """Numbers (n,) whose gradient is without bias that of ½ log det JᵀJ at coordinates u (n, K)."""
        signs = torch.randint(0, 2, u.shape, generator=self.generator).to(u) * 2.0 - 1.0
        solved = conjugate_gradients(self.flow, u.detach(), signs)
        first, second = (pushed(self.flow.decode, u, directions)[1] for directions in (solved, signs))
        return 0.5 * (first * second).sum(1)

    def validation_loss(self, x: Tensor) -> Tensor:
        """The loss with the exact determinant, or infinity in the warm-up, after which it is another one."""
        if self.progress < self.warm_up:
            return x.new_full((), torch.inf)
        squares = (self.flow.decode(self.flow.encode(x)) - x).square().sum(1)
        return (self.reconstruction_weight * squares - self.flow.log_prob(x)).mean()


def conjugate_gradients(flow: InjectiveFlow, u: Tensor, right: Tensor) -> Tensor:
    """(JᵀJ)⁻¹ b for each row of u and b (n, K), by at most K products with J and with Jᵀ, detached."""
    parameters = u.detach().requires_grad_()
    with torch.enable_grad():
        points = flow.decode(parameters)

    def product(v: Tensor) -> Tensor:
        moved = pushed(flow.decode, u, v)[1].detach()
        return cast(Tensor, torch.autograd.grad(points, parameters, moved, retain_graph=True)[0])

    solution, residual = torch.zeros_like(right), right.clone()
    direction, squares = residual.clone(), residual.square().sum(1, keepdim=True)
    least, tiny = _TOLERANCE**2 * squares, torch.finfo(u.dtype).tiny
    for _ in range(u.shape[1]):
        image = product(direction)
        step = squares / (direction * image).sum(1, keepdim=True).clamp_min(tiny)
        solution, residual = solution + step * direction, residual - step * image
        before, squares = squares, residual.square().sum(1, keepdim=True)
        if bool((squares <= least).all()):
            break
        direction = residual + squares / before.clamp_min(tiny) * direction
    return solution


def rectangular_flow(
    x: Tensor,
    rank: int,
    *,
    seed: int,
    budget: Budget,
    layers: int,
    hidden_features: Sequence[int],
    learning_rate: float,
    reconstruction_weight: float,
    warm_up: float = WARM_UP,
    determinant: Determinant = "exact",
) -> tuple[InjectiveFlow, int]:
    """Train one. Arguments as for ``m_flow`` and ``RectangularLoss``; returns the flow and the steps."""
    flow = injective_flow(x, rank, layers=layers, hidden_features=hidden_features, seed=seed)
    objective = RectangularLoss(
        flow,
        reconstruction_weight=reconstruction_weight,
        determinant=determinant,
        warm_up=warm_up,
        generator=torch.Generator().manual_seed(seed),
    )
    steps = train_within(objective, x, budget, learning_rate=learning_rate, batch_size=BATCH_SIZE, seed=seed)
    return flow.eval(), steps
