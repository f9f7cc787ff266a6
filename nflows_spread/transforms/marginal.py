"""Transforms of each feature by itself: a learnable monotone spline."""

from __future__ import annotations

import math

import torch
from nflows.transforms import Transform
from torch import Tensor, nn
from torch.nn import functional as F

from nflows_spread import validation

_LEAST_BIN = 1e-4
_LEAST_SLOPE = 1e-4


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

    def __init__(self, features: int, *, bins: int = 32, bound: float = 3.0) -> None:
        super().__init__()
        self.features = validation.positive_int("features", features)
        self.bound = validation.positive("bound", bound)
        bins = validation.positive_int("bins", bins)
        self.unnormalised_widths = nn.Parameter(torch.zeros(features, bins))
        self.unnormalised_heights = nn.Parameter(torch.zeros(features, bins))
        self.unnormalised_slopes = nn.Parameter(torch.full((features, bins - 1), math.log(math.expm1(1.0))))

    def forward(self, inputs: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        x, positions, heights, slopes = self._at(inputs, inverse=False)
        (left, width), (bottom, height), (slope, next_slope) = positions, heights, slopes
        secant = height / width
        theta = (x - left) / width
        mixed = theta * (1.0 - theta)
        denominator = secant + (next_slope + slope - 2.0 * secant) * mixed
        outputs = bottom + height * (secant * theta.square() + slope * mixed) / denominator
        return self._with_tails(inputs, outputs, _log_slope(secant, slope, next_slope, theta, denominator))

    def inverse(self, inputs: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        y, positions, heights, slopes = self._at(inputs, inverse=True)
        (left, width), (bottom, height), (slope, next_slope) = positions, heights, slopes
        secant = height / width
        risen, bend = y - bottom, next_slope + slope - 2.0 * secant
        a = height * (secant - slope) + risen * bend
        b = height * slope - risen * bend
        c = -secant * risen
        theta = _root(a, b, c)
        mixed = theta * (1.0 - theta)
        outputs, logabsdet = self._with_tails(
            inputs, left + theta * width, _log_slope(secant, slope, next_slope, theta, secant + bend * mixed)
        )
        return outputs, -logabsdet

    def _at(self, inputs: Tensor, inverse: bool) -> tuple[Tensor, ...]:
        """Clamped inputs, and start and extent of the bin of each in position and in height, and its two slopes."""
        if inputs.dim() != 2 or inputs.shape[1] != self.features:
            raise ValueError(f"inputs must have shape (n, {self.features}), got {tuple(inputs.shape)}")
        positions = self._knots(self.unnormalised_widths)
        heights = self._knots(self.unnormalised_heights)
        slopes = F.pad(F.softplus(self.unnormalised_slopes) + _LEAST_SLOPE, (1, 1), value=1.0)
        clamped = inputs.clamp(-self.bound, self.bound)
        searched = (heights if inverse else positions).detach()
        columns = clamped.detach().mT.contiguous()
        index = (torch.searchsorted(searched, columns, right=True) - 1).clamp(0, searched.shape[1] - 2)
        table = torch.stack(
            [positions[:, :-1], positions.diff(), heights[:, :-1], heights.diff(), slopes[:, :-1], slopes[:, 1:]], dim=2
        )
        found = table.gather(1, index.unsqueeze(2).expand(-1, -1, 6)).transpose(0, 1)
        left, width, bottom, height, slope, next_slope = found.unbind(2)
        return clamped, (left, width), (bottom, height), (slope, next_slope)  # type: ignore[return-value]

    def _knots(self, unnormalised: Tensor) -> Tensor:
        """Where bins begin and end, shape (D, bins + 1), from −bound to bound."""
        bins = unnormalised.shape[1]
        shares = _LEAST_BIN + (1.0 - _LEAST_BIN * bins) * unnormalised.softmax(1)
        return self.bound * (2.0 * F.pad(shares.cumsum(1), (1, 0)) - 1.0)

    def _with_tails(self, inputs: Tensor, outputs: Tensor, log_slopes: Tensor) -> tuple[Tensor, Tensor]:
        inside = inputs.abs() < self.bound
        return torch.where(inside, outputs, inputs), torch.where(inside, log_slopes, 0.0).sum(1)


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


def _log_slope(secant: Tensor, slope: Tensor, next_slope: Tensor, theta: Tensor, denominator: Tensor) -> Tensor:
    """The logarithm of the derivative at θ (Durkan et al., equation 5)."""
    rest = 1.0 - theta
    numerator = next_slope * theta.square() + 2.0 * secant * theta * rest + slope * rest.square()
    return 2.0 * secant.log() + numerator.log() - 2.0 * denominator.log()
