"""Moments of a flow's prior and of its response to data noise, from the flow alone: spherical cubature (unscented)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple, NoReturn

import torch
from torch import Tensor, nn

from nflows_spread.chart.inverse import explained, finite_rows
from nflows_spread.chart.tangents import pushed_forward
from nflows_spread.distributions import DegeneratePrior
from nflows_spread.hosts import base_of, decode, encode, variances_of_base
from nflows_spread.hosts.bases import describe_base
from nflows_spread.hosts.placement import placement_of
from nflows_spread.hosts.remedies import TRAIN_AGAIN
from nflows_spread.linalg.eigen import decomposable
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

    N = E[J Jᵀ], J the Jacobian of g, is the mean over the 2D points f(m ± √D s_k) of a spherical cubature of the
    prior, Σ s_k s_kᵀ = S, which is exact for polynomials in z of degree three (Arasaratnam and Haykin, 2009). The s_k
    are those that diagonalise S and the response at f(m), turned by one rotation, so that each point is as far out in
    all directions together as samples are, and in none of them √D standard deviations. Their signs are those of a
    direction of data space, and both points of a pair meet the same directions of data space. So another linear
    gauge M of the latent space gives M m, M S Mᵀ and M N Mᵀ up to rounding, where no two of the μ at f(m) are equal.

    Args:
        flow: a flow of any host with a Gaussian base.
        context: conditioning inputs, (n, ...). Each point meets all of them, or, where that would be more than 1024
            rows, as many as that allows, evenly spaced and others at each point.

    Raises:
        TypeError: the base is not Gaussian.
        ValueError: the prior is not finite, or a point of it is decoded to something that is not.
    """
    mean, covariance = gaussian_of(flow)
    features, generator = len(mean), torch.Generator().manual_seed(0)
    directions, rotation = (_orthogonal(features, generator).to(mean.device) for _ in range(2))
    at_mean, pushed = _response(flow, mean.expand(features, -1), context, [directions])
    values, vectors = generalised_eigh(covariance, at_mean)
    scale = torch.where(values > 0.0, values, torch.inf).rsqrt() * torch.where(pushed @ vectors < 0.0, -1.0, 1.0)
    spread = rotation @ (covariance @ vectors * scale).mT
    rounds = min(features, _DIRECTIONS if features <= _LARGE else _DIRECTIONS_OF_LARGE)
    turned = [directions.roll(turn, 0) for turn in range(rounds)]
    upper, lower = (_response(flow, points, context, turned)[0] for points in (mean + spread, mean - spread))
    return PriorMoments(mean, covariance, 0.5 * (upper + lower))


def at_rows(
    flow: nn.Module, z: Tensor, context: Tensor | None, index: Tensor | None = None
) -> tuple[Tensor, Tensor | None]:
    """f at rows of latents (n, D), and their contexts: those at the indices, by default all in turn."""
    shape, dtype = latent_shape(base_of(flow), z.shape[1]), placement_of(flow).dtype or torch.get_default_dtype()
    given = None
    if context is not None:
        given = context[(torch.arange(len(z)) % len(context) if index is None else index).to(context.device)]
    with explained(flow):
        x = decode(flow, z.view(-1, *shape).to(dtype), given)
    return finite_rows("the data at points of the prior", x, TRAIN_AGAIN), given


def _response(
    flow: nn.Module, z: Tensor, context: Tensor | None, directions: Sequence[Tensor]
) -> tuple[Tensor, Tensor]:
    """The mean of J ε (J ε)ᵀ, (D, D), over latents (D, D), each with directions ε of its own, rows of (D, D).

    An orthogonal set of directions of length √D gives J Jᵀ exactly where J is the same at all points. And the mean of
    J ε over the first of the directions, (D,).
    """
    total, first = torch.zeros_like(z), torch.zeros_like(z[0])
    times = 1 if context is None else min(len(context), max(1, _ROWS // len(z)))
    for index in torch.arange(len(z) * times, device=z.device).split(_ROWS):
        points, turn = index // times, index % times
        evenly = None if context is None else (turn * len(z) + points) * len(context) // (times * len(z))
        x, given = at_rows(flow, z[points], context, evenly)
        steps = [each[points].view_as(x).to(x) for each in directions]
        share = len(index) / (len(z) * times)
        for number, moved in enumerate(pushed_forward(partial(_encoded, flow, given), x, steps)):
            total += second_moment_of(moved.flatten(1)) * share
            if number == 0:
                first += moved.flatten(1).double().mean(0) * share
    return total / len(directions), first


def _encoded(flow: nn.Module, context: Tensor | None, x: Tensor) -> Tensor:
    return encode(flow, x, context)


def latent_shape(base: nn.Module, features: int) -> torch.Size:
    """Of one latent, as its base describes it, or a vector."""
    description = describe_base(base)
    return torch.Size([features] if description is None else description["shape"])


def mean_of(base: DegeneratePrior) -> Tensor:
    """m, (D,), in float64, and finite."""
    mean = base.mean().detach().flatten().double()
    return finite_rows("the mean of the prior", mean.unsqueeze(0), TRAIN_AGAIN)[0]


def not_gaussian(base: nn.Module) -> NoReturn:
    """``TypeError`` for a base whose moments are not known."""
    raise TypeError(
        f"the base of the flow must be a DegenerateGaussian or StandardNormal (in normflows: DiagGaussian), "
        f"got {type(base).__name__}"
    )


def gaussian_of(flow: nn.Module) -> tuple[Tensor, Tensor]:
    """m, (D,), and AAᵀ, (D, D), of a flow's base, in float64."""
    base = base_of(flow)
    if isinstance(base, DegeneratePrior):
        return mean_of(base), decomposable(base.covariance).double()
    variances = variances_of_base(flow)
    if variances is None:
        not_gaussian(base)
    loc = getattr(base, "loc", None)
    mean = loc.detach().flatten().to(variances) if isinstance(loc, Tensor) else torch.zeros_like(variances)
    return mean, decomposable(variances.diag())


def _orthogonal(features: int, generator: torch.Generator) -> Tensor:
    """An orthogonal set of directions of length √D, in rows, (D, D), float64."""
    drawn = torch.randn(features, features, dtype=torch.float64, generator=generator)
    return torch.linalg.qr(drawn).Q * features**0.5
