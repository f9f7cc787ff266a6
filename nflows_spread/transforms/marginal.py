"""Transforms of each feature by itself: a learnable monotone spline."""

from __future__ import annotations

import math

import torch
from nflows.transforms import Transform
from torch import Tensor, nn

from nflows_spread import validation
from nflows_spread.argument_types import typed
from nflows_spread.linalg.by_columns import takes_closed_form
from nflows_spread.linalg.rational_quadratic import bins_of, knots, log_slope, plain_spline, spline


class MarginalSpline(Transform):
    """A rational-quadratic spline on each feature, the identity outside [−bound, bound] and at the start.

    It gives a flow the marginals of its data, edges and spikes included, which affine couplings cannot make
    out of a normal one. nflows' ``PiecewiseRationalQuadraticCDF`` is the same function; it normalises its
    parameters anew for every row, where here a batch shares its knots.

    Args:
        features: D.
        bins: intervals of each spline.
        bound: where the splines end; standardised data hardly reaches 3.

    Shapes:
        inputs (n, features); outputs the same; log-determinants (n,). It does not preserve volume.

    Raises:
        ValueError: an argument is out of range, or the inputs do not fit.

    Reference: C. Durkan et al., Neural spline flows, NeurIPS 2019, section 3.1.
    """

    @typed
    def __init__(self, features: int, *, bins: int = 32, bound: float = 3.0) -> None:
        super().__init__()
        self.features = validation.positive_int("features", features)
        self.bound = validation.positive("bound", bound)
        bins = validation.positive_int("bins", bins)
        self.unnormalised_widths = nn.Parameter(torch.zeros(features, bins))
        self.unnormalised_heights = nn.Parameter(torch.zeros(features, bins))
        self.unnormalised_slopes = nn.Parameter(torch.full((features, bins - 1), math.log(math.expm1(1.0))))

    def forward(self, inputs: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self._check(inputs)
        run = spline if takes_closed_form(inputs) else plain_spline
        return run(inputs, self.unnormalised_widths, self.unnormalised_heights, self.unnormalised_slopes, self.bound)

    def inverse(self, inputs: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self._check(inputs)
        columns = inputs.mT
        clamped = columns.clamp(-self.bound, self.bound).contiguous()
        found = knots(self.unnormalised_widths, self.unnormalised_heights, self.unnormalised_slopes, self.bound)
        (left, width, bottom, height, slope, next_slope), _ = bins_of(clamped, found, inverse=True)
        secant = height / width
        risen, bend = clamped - bottom, next_slope + slope - 2.0 * secant
        a = height * (secant - slope) + risen * bend
        b = height * slope - risen * bend
        c = -secant * risen
        theta = _root(a, b, c)
        mixed = theta * (1.0 - theta)
        logs = log_slope(secant, slope, next_slope, theta, secant + bend * mixed)
        inside = columns.abs() < self.bound
        outputs = torch.where(inside, left + theta * width, columns)
        return outputs.mT, -torch.where(inside, logs, 0.0).sum(0)

    def _check(self, inputs: Tensor) -> None:
        if inputs.dim() != 2 or inputs.shape[1] != self.features:
            raise ValueError(f"inputs must have shape (n, {self.features}), got {tuple(inputs.shape)}")


def _root(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """The root of aθ² + bθ + c = 0 in [0, 1] of a rising spline, c ≤ 0.

    Both of its forms hold q = b ± √(b² − 4ac); the one is taken in which nothing cancels. For b < 0 that is (−q) / 2a,
    and a is positive there. What rounding leaves outside the bin would make the slope negative.
    """
    rising = b >= 0.0
    root = (b.square() - 4.0 * a * c).clamp_min(torch.finfo(b.dtype).tiny).sqrt()  # of 0 the gradient is infinite
    q = torch.where(rising, b + root, b - root)
    theta = torch.where(rising, -2.0 * c, -q) / torch.where(rising, q, 2.0 * a)
    return theta + (theta.clamp(0.0, 1.0) - theta).detach()  # with the gradient that it has
