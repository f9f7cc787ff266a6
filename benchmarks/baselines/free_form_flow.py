"""Free-form injective flow: any encoder and decoder, with the likelihood's gradient (Sorrenson et al., ICLR 2024).

Written anew from the paper, "Lifting architectural constraints of injective flows". Encoder f and decoder g are nets
without constraints. The gradient of log det ½ of f's change of volume is that of tr(f′ sg[g′]), as g is nearly the
inverse of f, and the trace is estimated by E vᵀ f′(x) sg[g′(z) v] with E vvᵀ = I: one vector-Jacobian product, with
gradient, and one Jacobian-vector product, without. The loss is −E log N(z; 0, I) − that + β E‖x − g(f(x))‖². As in the
paper f′ is taken at x and not at its reconstruction. β and the learning rate were tuned here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from baselines.autoencoder import Autoencoder
from baselines.budgeted_training import Budget, train_within
from baselines.injective_flow import half_log_det, jacobians, pushed

BATCH_SIZE = 100
"""Rows a step, as of M-flow beside it."""

Map = Callable[[Tensor], Tensor]


def log_det_surrogate(encode: Map, decode: Map, x: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
    """Codes f(x), (n, K), and vᵀ f′(x) sg[g′(z) v], (n,), whose gradient is that of f's log change of volume.

    Args:
        encode: f, rows (n, D) to codes.
        decode: g, its inverse on the manifold or nearly.
        x: rows.
        directions: v, (n, K), of E vvᵀ = I.
    """
    rows = x.detach().requires_grad_()
    z = encode(rows)
    pulled = torch.autograd.grad(z, rows, directions, create_graph=True)[0]
    moved = pushed(decode, z.detach(), directions)[1].detach()
    return z, (pulled * moved).sum(1)


class FreeFormLoss(nn.Module):
    """−E log N(f(x); 0, I) − E vᵀ f′(x) sg[g′(z) v] + β E‖x − g(f(x))‖², off by what has no gradient.

    Args:
        model: with encoder and decoder.
        reconstruction_weight: β.
        generator: source of the directions, which are uniform on the sphere of radius √K.
    """

    def __init__(
        self, model: Autoencoder, *, reconstruction_weight: float, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        self.model, self.reconstruction_weight, self.generator = model, reconstruction_weight, generator

    def forward(self, x: Tensor) -> Tensor:
        """The loss on rows (n, D), a scalar."""
        rank = self.model.encoder[-1].out_features
        directions = torch.randn(len(x), rank, generator=self.generator, dtype=x.dtype)
        directions = math.sqrt(rank) * nn.functional.normalize(directions, dim=1)
        z, surrogate = log_det_surrogate(self.model.encoder, self.model.decoder, x, directions)
        squares = (self.model.decoder(z) - x).square().sum(1)
        return (self.reconstruction_weight * squares - _standard_normal(z) - surrogate).mean()

    def log_prob(self, x: Tensor) -> Tensor:
        """The log-density by area of the decoder's manifold at the codes of x, (n,), exact."""
        z = self.model.encoder(x)
        return _standard_normal(z) - half_log_det(jacobians(self.model.decoder, z))

    def validation_loss(self, x: Tensor) -> Tensor:
        """The loss with the decoder's exact determinant."""
        squares = (self.model.decoder(self.model.encoder(x)) - x).square().sum(1)
        return (self.reconstruction_weight * squares - self.log_prob(x)).mean()


def free_form_flow(
    x: Tensor,
    rank: int,
    *,
    seed: int,
    budget: Budget,
    hidden_features: Sequence[int],
    learning_rate: float,
    reconstruction_weight: float,
) -> tuple[FreeFormLoss, int]:
    """Train one.

    Args:
        x: rows of unit scale, (n, D), float32.
        rank: K.
        seed: of weights, directions, held-out rows and the order of the others.
        budget: of the training.
        hidden_features: widths of the hidden layers of encoder and decoder.
        learning_rate: at its largest.
        reconstruction_weight: β.

    Returns:
        The loss, with the model, and the steps.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Autoencoder(x.shape[1], rank, hidden_features=hidden_features).to(x)
    generator = torch.Generator().manual_seed(seed)
    objective = FreeFormLoss(model, reconstruction_weight=reconstruction_weight, generator=generator)
    steps = train_within(objective, x, budget, learning_rate=learning_rate, batch_size=BATCH_SIZE, seed=seed)
    return objective, steps


def _standard_normal(z: Tensor) -> Tensor:
    """log N(z; 0, I), (n,)."""
    return -0.5 * (z.square().sum(1) + z.shape[1] * math.log(2.0 * math.pi))
