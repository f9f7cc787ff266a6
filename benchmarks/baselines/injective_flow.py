"""Injective flow: an invertible map of K coordinates, padded with zeros to D dimensions, and a flow on them.

M-flow, rectangular flows and denoising flows are all of this kind and differ in how they are trained. Here is what
they share: coordinates u = f(x)₁…K, points g(u) = f⁻¹(u, 0), the density on the manifold
log p(g(u)) = log p_inner(u) − ½ log det J(u)ᵀJ(u) with J the Jacobian of g, and samples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import torch
from nflows.distributions import StandardNormal
from nflows.flows import Flow
from nflows.transforms import CompositeTransform, Permutation, Transform
from torch import Tensor, nn
from torch.nn import functional as F

from nflows_spread.models.coupling import coupling_layers
from nflows_spread.models.nets import ScaleAndShiftNet
from nflows_spread.transforms import ExplicitActNorm, MarginalSpline, PrincipalRotation

INNER_LAYERS, INNER_WIDTH = 4, 32
"""Couplings of the flow on the coordinates, and the width of the two hidden layers of their nets. A choice: with the
splines of the marginals enough for the densities of the trials, which are of five dimensions at most."""

_BINS = 16
"""Of the marginal splines of the inner flow. A choice."""


class InjectiveFlow(nn.Module):
    """A manifold g and a density on it.

    Args:
        outer: f, an nflows transform of (n, D).
        inner: an nflows ``Flow`` on (n, K) with a standard normal base.
        features: D.
        rank: K.
    """

    def __init__(self, outer: Transform, inner: Flow, features: int, rank: int) -> None:
        super().__init__()
        self.outer, self.inner = outer, inner
        self.features, self.rank = features, rank

    def encode(self, x: Tensor) -> Tensor:
        """Coordinates u (n, K) of rows (n, D)."""
        return cast(Tensor, self.outer(x)[0])[:, : self.rank]

    def decode(self, u: Tensor) -> Tensor:
        """g(u), (n, D)."""
        return cast(Tensor, self.outer.inverse(self.padded(u))[0])

    def padded(self, u: Tensor) -> Tensor:
        """(u, 0), (n, D)."""
        return F.pad(u, (0, self.features - self.rank))

    def log_prob(self, x: Tensor) -> Tensor:
        """The log-density by area of the manifold at the reconstructions of x, (n,); exact, and differentiable."""
        u = self.encode(x)
        return cast(Tensor, self.inner.log_prob(u)) - half_log_det(jacobians(self.decode, u))

    def sample(self, count: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Points on the manifold, (count, D)."""
        like = next(self.parameters())
        noise = torch.randn(count, self.rank, generator=generator, dtype=like.dtype, device=like.device)
        return self.decode(cast(Tensor, self.inner._transform.inverse(noise)[0]))


def points_and_jacobians(decode: Callable[[Tensor], Tensor], u: Tensor) -> tuple[Tensor, Tensor]:
    """g(u), (n, D), and Jᵀ of each row, (n, K, D), by K forward-mode products at once; both are differentiable."""
    rows, rank = u.shape
    repeated, directions = u.repeat_interleave(rank, dim=0), torch.eye(rank).to(u).repeat(rows, 1)
    points, moves = pushed(decode, repeated, directions)
    return points.view(rows, rank, -1)[:, 0], moves.view(rows, rank, -1)


def jacobians(decode: Callable[[Tensor], Tensor], u: Tensor) -> Tensor:
    """Jᵀ of each row, (n, K, D), differentiable."""
    return points_and_jacobians(decode, u)[1]


def pushed(function: Callable[[Tensor], Tensor], inputs: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
    """The function's values and J v for each row, by forward-mode differentiation; both are differentiable."""
    values, moves = torch.func.jvp(function, (inputs,), (directions,))
    return values, moves


def half_log_det(transposed: Tensor) -> Tensor:
    """½ log det JᵀJ of Jacobians given as Jᵀ (n, K, D), (n,), by their singular triangles: JᵀJ squares conditions."""
    triangles = torch.linalg.qr(transposed.mT, mode="reduced")[1]
    tiny = torch.finfo(transposed.dtype).tiny
    return triangles.diagonal(dim1=-2, dim2=-1).abs().clamp_min(tiny).log().sum(1)


def injective_flow(
    x: Tensor,
    rank: int,
    *,
    layers: int,
    hidden_features: Sequence[int],
    seed: int,
    inner_hidden_features: Sequence[int] = (INNER_WIDTH, INNER_WIDTH),
) -> InjectiveFlow:
    """An injective flow for rows (n, D), D at least 2, which starts at principal components.

    The outer flow is a rotation to principal axes and couplings that are the identity at first, the inner one an
    actnorm, a spline for each coordinate and, from K = 2 on, couplings.

    Args:
        x: what it is for; mean, axes and scales are taken from it.
        rank: K.
        layers: couplings of the outer flow.
        hidden_features: widths of the hidden layers of their nets.
        seed: of weights and permutations.
        inner_hidden_features: widths of the nets of the inner flow.
    """
    features, generator = x.shape[1], torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        rotation = PrincipalRotation(features)
        outer = [rotation, *couplings_from_identity(features, layers, hidden_features, generator)]
        inner: list[Transform] = [ExplicitActNorm(rank), MarginalSpline(rank, bins=_BINS)]
        if rank > 1:
            inner += couplings_from_identity(rank, INNER_LAYERS, inner_hidden_features, generator)
        density = Flow(CompositeTransform(inner), StandardNormal([rank]))
        flow = InjectiveFlow(CompositeTransform(outer), density, features, rank)
    flow = flow.to(x)
    rotation.initialize(x)
    fit_scales(flow, x)
    return flow


@torch.no_grad()
def fit_scales(flow: InjectiveFlow, x: Tensor) -> None:
    """Let the actnorm of the inner flow take mean and scale from the coordinates of rows (n, D)."""
    for layer in flow.inner.modules():
        if isinstance(layer, ExplicitActNorm):
            layer.initialize(flow.encode(x))


def couplings_from_identity(
    features: int,
    layers: int,
    hidden_features: Sequence[int],
    generator: torch.Generator,
    *,
    volume_preserving: bool = False,
) -> list[Transform]:
    """Affine couplings with free, bounded scales, and random permutations that are undone in the end.

    At first all is the identity, so that the leading features are still those that came first.

    Args:
        features: that come in.
        layers: couplings.
        hidden_features: widths of the hidden layers of their nets.
        generator: of the permutations.
        volume_preserving: centred scales in the place of free ones.
    """
    made = coupling_layers(
        features,
        layers=layers,
        hidden_features=hidden_features,
        context_features=None,
        permute=features > 2,
        volume_preserving=volume_preserving,
        bounded_scale=True,
        generator=generator,
    )
    for net in nn.ModuleList(made).modules():
        if isinstance(net, ScaleAndShiftNet):
            nn.init.zeros_(net.weights[-1])
            nn.init.zeros_(net.biases[-1])
    with torch.no_grad():
        order = CompositeTransform(made)(torch.arange(float(features))[None])[0][0].long()
    return [*made, Permutation(order.argsort())]
