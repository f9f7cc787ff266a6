"""The encoder of spectra: latents in float64 where a flow's finite differences drown in its dtype's rounding errors."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from nflows_spread.distributions import DegeneratePrior
from nflows_spread.hosts import encode

_TOLERANCE = 2e-3
"""How much of a Jacobian, or of a difference, may be rounding errors, a ratio: each μ is off by at most twice as much,
which is far below its standard error. A choice."""

_MOST_FEATURES = 1024
"""Above so many features Jacobians are too costly, and those in a few directions are compared. A choice, for time."""

_LARGEST_PROBE = 256
"""Differences that are compared, over a few points: a choice, for time."""

_ENTRIES_AT_ONCE = 2**17
"""Numbers that go through the flow together, rows times features: measured from 2¹³ to 2²⁰ on one core at 20 features,
it took the least time, as what the nets' layers hold stays in the cache."""

_RESOLUTIONS = 1024.0
"""The least step, in units of the rounding error of the data, where a flow has no float64 form. A choice, which leaves
a difference three digits."""


class Encoder:
    """The rows z = g(x) in float64: of a flow in its own dtype, or of its float64 form if ``choose_precision`` says so.

    Data far from the origin against their spread, or noise far below it, leave a float32 flow's differences few digits.
    The float64 form is a copy; the flow itself stays as it is.
    """

    def __init__(self, flow: nn.Module, base: nn.Module, x: Tensor, context: Tensor | None) -> None:
        self._flow, self._base, self._x, self._context = flow, base, x, context
        self.dtype = x.dtype

    def __call__(self, x: Tensor, index: Tensor) -> Tensor:
        """Rows (n, D) for inputs of this encoder's ``dtype`` and their indices in the data."""
        size = max(1, _ENTRIES_AT_ONCE // x[:1].numel())
        parts = [self._rows(self._flow, *part).double() for part in zip(x.split(size), index.split(size))]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    @torch.no_grad()
    def choose_precision(self, step: float) -> float:
        """Goes over to float64 if differences over this step need it; the step to take, longer where there is none."""
        if self.dtype == torch.float64:
            return step
        index, shifts = self._probe(step)
        mine = self._differences(self._flow, index, shifts)
        try:
            in_float64 = copy.deepcopy(self._flow).double()
            exact = self._differences(in_float64, index, shifts.double())
        except Exception:  # flows hold what they like, and so does what a copy or another dtype of it may raise
            return max(step, _RESOLUTIONS * torch.finfo(self.dtype).eps * float(self._x.abs().max()))
        if not _rounding(mine, exact) <= _TOLERANCE:
            self._flow, self.dtype = in_float64, torch.float64
        return step

    def _probe(self, step: float) -> tuple[Tensor, Tensor]:
        """Indices of a few points, (p,), and shifts, (m, ...): along all axes, or some random directions of many."""
        shape, features = self._x.shape[1:], self._x[0].numel()
        points = max(1, min(4, len(self._x), _LARGEST_PROBE // features))
        index = torch.linspace(0, len(self._x) - 1, points, device=self._x.device).long()
        if features <= _MOST_FEATURES:
            directions = torch.eye(features, dtype=self.dtype, device=self._x.device)
        else:
            drawn = torch.randn(4, features, generator=torch.Generator().manual_seed(0)).to(self._x)
            directions = drawn / drawn.norm(dim=1, keepdim=True) * features**0.5
        return index, step * directions.view(-1, *shape)

    def _differences(self, flow: nn.Module, index: Tensor, shifts: Tensor) -> Tensor:
        """g(x + δ) − g(x − δ) for every point and shift, (p, m, D)."""
        count = len(shifts)
        x = self._x[index].to(shifts.dtype).repeat_interleave(count, 0)
        index, shifts = index.repeat_interleave(count), shifts.repeat(len(index), *[1] * (shifts.dim() - 1))
        upper, lower = (self._rows(flow, x + sign * shifts, index).double() for sign in (1.0, -1.0))
        return (upper - lower).view(-1, count, upper.shape[1])

    def _rows(self, flow: nn.Module, x: Tensor, index: Tensor) -> Tensor:
        context = None if self._context is None else self._context[index]
        if context is not None and context.is_floating_point() and x.dtype == torch.float64:
            context = context.double()
        z = encode(flow, x, context)
        if isinstance(self._base, DegeneratePrior):
            self._base.flatten(z[:1])  # refuses latents of another shape
        return z.flatten(1)


def _rounding(mine: Tensor, exact: Tensor) -> float:
    """The largest share of rounding errors among differences (p, m, D) of p points, against the exact ones.

    Of whole Jacobians it is the norm of F = J⁻¹(J̃ − J). What is measured with J̃ is (I − F)M(I − F)ᵀ in the place
    of M, whose eigenvalues differ by factors between the squares of 1 ± ‖F‖, the small as the large.
    """
    errors = mine - exact
    if exact.shape[1] != exact.shape[2]:
        return float((errors.flatten(1).norm(dim=1) / exact.flatten(1).norm(dim=1)).max())
    relative, info = torch.linalg.solve_ex(exact.mT, errors.mT)
    if info.any() or not bool(relative.isfinite().all()):
        return float("inf")
    return float(torch.linalg.eigvalsh(relative @ relative.mT).max().clamp_min(0.0).sqrt())
