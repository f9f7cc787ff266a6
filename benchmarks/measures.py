"""Numbers that say how good a flow is: likelihood, distance of samples, density on the manifold."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from nflows_spread import manifold_log_prob, project
from nflows_spread.datasets import Manifold


@torch.no_grad()
def negative_log_likelihood(flow: nn.Module, x: Tensor, data_noise: float, generator: torch.Generator) -> float:
    """−E log p(x + σ_x ε) in nats on held-out points; comparable between flows at the same σ_x."""
    noisy = x + data_noise * torch.empty_like(x).normal_(generator=generator)
    return -float(flow.log_prob(noisy).mean())


def total_variation(density: Tensor, truth: Tensor, cell: float) -> float:
    """½ ∫ |p − q| over a regular grid, plus half of what either puts outside it."""
    outside = abs(1.0 - float(density.sum()) * cell) + abs(1.0 - float(truth.sum()) * cell)
    return 0.5 * (float((density - truth).abs().sum()) * cell + outside)


def learned_density(flow: nn.Module, manifold: Manifold, coordinates: Tensor, rank: int) -> Tensor:
    """The spread flow's density of the true coordinates, (n,): the density allocation times the change of volume.

    Appendix C.2 compares the density of the projection with that of the coordinate as they are; the
    factor |det ∂z^proj / ∂coordinates| makes the first a density of the second.
    """
    volume = _jacobian(lambda c: project(flow, manifold.embed(c), rank=rank), coordinates)
    with torch.no_grad():
        log_prob = manifold_log_prob(flow, manifold.embed(coordinates), rank=rank)
    return (log_prob.double() + torch.linalg.slogdet(volume).logabsdet).exp()


def restricted_density(flow: nn.Module, manifold: Manifold, coordinates: Tensor, cell: float) -> Tensor:
    """An ambient flow's density of the true coordinates, (n,): its values on the manifold, made to sum to one."""
    embedding = _jacobian(manifold.embed, coordinates)
    with torch.no_grad():
        log_prob = flow.log_prob(manifold.embed(coordinates)).double()
    area = 0.5 * torch.linalg.slogdet(embedding.mT @ embedding).logabsdet
    return (log_prob + area).softmax(0) / cell


def _jacobian(function: Callable[[Tensor], Tensor], coordinates: Tensor) -> Tensor:
    """Of a function that acts on each row by itself, shape (n, outputs, K), float64."""
    coordinates = coordinates.detach().requires_grad_()
    outputs = function(coordinates)
    rows = [torch.autograd.grad(column.sum(), coordinates, retain_graph=True)[0] for column in outputs.unbind(1)]
    return torch.stack(rows, dim=1).double()
