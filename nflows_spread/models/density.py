"""A flow for the density of any data set: marginals by splines, dependence by couplings, with free scales."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from nflows.distributions import Distribution
from nflows.flows import Flow
from nflows.transforms import CompositeTransform, PointwiseAffineTransform, Transform
from torch import Tensor

from nflows_spread import validation
from nflows_spread.argument_types import typed
from nflows_spread.distributions import DegenerateGaussian
from nflows_spread.models.coupling import coupling_layers
from nflows_spread.transforms import MarginalSpline

_LEAST_SCALE = 0.1
"""The least standard deviation of a feature, in units of the data's scale, that is brought to 1. A choice."""


@typed
def density_flow(
    x: Tensor,
    *,
    layers: int = 6,
    hidden_features: Sequence[int] = (64, 64),
    bins: int = 32,
    base: Distribution | None = None,
    generator: torch.Generator | None = None,
) -> Flow:
    """An nflows ``Flow`` whose first transforms fit the marginals of the data that it is for.

    Each feature is brought to unit scale, goes through a spline of its own, and then all through affine
    couplings with bounded scales and fixed random permutations. The scales are free: with noise on the data
    the loss has a minimum for any flow, and free scales fit curved manifolds with fewer points.

    Args:
        x: data the flow is for, shape (n, D), D at least 2, of unit scale as a whole; its features'
            means and standard deviations are kept, those below 0.1 as 0.1.
        layers: number of couplings.
        hidden_features: widths of the hidden layers of their nets.
        bins: of each feature's spline.
        base: base distribution; a ``DegenerateGaussian`` if None.
        generator: source of the permutations.

    Raises:
        ValueError: ``x`` is not a finite matrix, or an argument is out of range.
    """
    validation.points("x", x)
    if x.dim() != 2:
        raise ValueError(f"x must be a matrix (n, D), got shape {tuple(x.shape)}")
    couplings = coupling_layers(
        x.shape[1],
        layers=layers,
        hidden_features=hidden_features,
        context_features=None,
        permute=True,
        volume_preserving=False,
        bounded_scale=True,
        generator=generator,
    )
    return Flow(
        CompositeTransform([*marginal_layers(x, bins=bins), *couplings]),
        DegenerateGaussian([x.shape[1]]) if base is None else base,
    )


def marginal_layers(x: Tensor, *, bins: int = 32) -> list[Transform]:
    """The first transforms of a ``density_flow`` of data (n, D): each feature to unit scale, then its own spline."""
    scale = x.std(0, unbiased=False).clamp_min(_LEAST_SCALE).reciprocal()
    return [PointwiseAffineTransform(shift=-x.mean(0) * scale, scale=scale), MarginalSpline(x.shape[1], bins=bins)]
