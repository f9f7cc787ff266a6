"""Moments of a flow's prior and of its response to data noise, from the flow alone: spherical cubature (unscented)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from nflows_spread import validation
from nflows_spread.chart.tangents import pushed_forward
from nflows_spread.distributions import DegeneratePrior
from nflows_spread.hosts import base_of, decode, encode, variances_of_base
from nflows_spread.hosts.bases import describe_base
from nflows_spread.hosts.placement import placement_of
from nflows_spread.linalg.moments import second_moment_of
from nflows_spread.linalg.signal_to_noise import generalised_eigh

_LARGE = 128
"""Features beyond which each pair of points meets few directions, as each costs 2D rows: a choice, for time."""

_DIRECTIONS, _DIRECTIONS_OF_LARGE = 16, 2
"""Directions that each pair of points meets, at most; all D of them give the whole Jacobian there. A choice."""

_ROWS = 1024
"""Rows that pass through the flow at a time: a choice, for memory."""


class PriorMoments(NamedTuple):
    """Mean m, (D,), and covariance S, (D, D), of the degenerate prior, and N = E[J Jᵀ], (D, D), under it; float64."""

    mean: Tensor
    covariance: Tensor
    response: Tensor


@torch.inference_mode(False)
@torch.no_grad()
def prior_moments(flow: nn.Module, context: Tensor | None = None) -> PriorMoments:
    """The moments that coordinates by signal-to-noise need, without data and without chance.

    N = E[J Jᵀ], J the Jacobian of g, is the mean over the 2D points f(m ± √D s_k) of the spherical cubature of the
    prior, Σ s_k s_kᵀ = S, which is exact for polynomials in z of degree three (Arasaratnam and Haykin, 2009). The s_k
    are those that diagonalise S and the response at f(m), and both points of a pair meet the same directions of data
    space. So another linear gauge M of the latent space gives M m, M S Mᵀ and M N Mᵀ up to rounding, where no two of
    the μ at f(m) are equal.

    Args:
        flow: a flow of any host with a Gaussian base.
        context: conditioning inputs, (n, ...), which the points take in turn.

    Raises:
        TypeError: the base is not Gaussian.
        ValueError: a point of the prior is decoded to something that is not finite.
    """
    mean, covariance = _gaussian_of(flow)
    features, generator = len(mean), torch.Generator().manual_seed(0)
    directions = _orthogonal(features, generator).to(mean.device)
    values, vectors = generalised_eigh(covariance, _response(flow, mean.expand(features, -1), context, [directions]))
    scale = torch.where(values > 0.0, values, torch.inf).rsqrt()
    spread = (covariance @ vectors * scale).mT * features**0.5
    rounds = min(features, _DIRECTIONS if features <= _LARGE else _DIRECTIONS_OF_LARGE)
    turned = [directions.roll(turn, 0) for turn in range(rounds)]
    upper, lower = (_response(flow, points, context, turned) for points in (mean + spread, mean - spread))
    return PriorMoments(mean, covariance, 0.5 * (upper + lower))


def _response(flow: nn.Module, z: Tensor, context: Tensor | None, directions: Sequence[Tensor]) -> Tensor:
    """The mean of J ε (J ε)ᵀ, (D, D), over latents (D, D), each with directions ε of its own, rows of (D, D).

    An orthogonal set of directions of length √D gives J Jᵀ exactly where J is the same at all points.
    """
    description, dtype = describe_base(base_of(flow)), placement_of(flow).dtype or torch.get_default_dtype()
    shape = z.shape[1:] if description is None else description["shape"]
    total = torch.zeros_like(z)
    for index in torch.arange(len(z), device=z.device).split(_ROWS):
        given = None if context is None else context[index % len(context)]
        x = decode(flow, z[index].view(-1, *shape).to(dtype), given)
        validation.points("the data at points of the prior", x)
        steps = [each[index].view_as(x).to(x) for each in directions]
        for moved in pushed_forward(partial(_encoded, flow, given), x, steps):
            total += second_moment_of(moved.flatten(1)) * (len(index) / len(z))
    return total / len(directions)


def _encoded(flow: nn.Module, context: Tensor | None, x: Tensor) -> Tensor:
    return encode(flow, x, context)


def _gaussian_of(flow: nn.Module) -> tuple[Tensor, Tensor]:
    """m, (D,), and AAᵀ, (D, D), of a flow's base, in float64."""
    base = base_of(flow)
    if isinstance(base, DegeneratePrior):
        return base.mean().flatten().double(), base.covariance.double()
    variances = variances_of_base(flow)
    if variances is None:
        raise TypeError(
            f"the base of the flow must be a DegenerateGaussian or StandardNormal (in normflows: DiagGaussian), "
            f"got {type(base).__name__}"
        )
    loc = getattr(base, "loc", None)
    mean = loc.detach().flatten().to(variances) if isinstance(loc, Tensor) else torch.zeros_like(variances)
    return mean, variances.diag()


def _orthogonal(features: int, generator: torch.Generator) -> Tensor:
    """An orthogonal set of directions of length √D, in rows, (D, D), float64."""
    drawn = torch.randn(features, features, dtype=torch.float64, generator=generator)
    return torch.linalg.qr(drawn).Q * features**0.5
