"""Noise that the data brought along: how thick it makes the manifold, and the points without it."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from nflows_spread.dimension.density import score_of
from nflows_spread.dimension.rules import CLEAR_GAP, Spectrum, signal_to_noise_gaps

_FLAT = 3.0
"""How far, in nats, the variances of isotropic noise may lie apart as a flow sees them; a factor of 20."""

_CHUNK = 1000


def thickness_of(spectrum: Spectrum) -> float:
    """The standard deviation of the noise in the data, across the manifold, or 0 where the spectrum shows none.

    Isotropic noise of standard deviation t leaves a plateau at σ_x² + t² below the manifold's eigenvalues μ. It
    is taken for noise where the plateau is clearly above σ_x² (``CLEAR_GAP``), no gap in it is clear, and it is farther
    from the mean of those above it than from σ_x², in logarithms. So a thin direction of the data counts as noise when
    it is nearer in scale to σ_x than to the others, and data of full dimension keeps its dimension.

    Returns:
        t, in units of the data.
    """
    values, noise = spectrum.signal_to_noise, spectrum.data_noise**2
    gaps, features = signal_to_noise_gaps(spectrum), len(spectrum.signal_to_noise)
    clear = [k for k in range(1, features) if gaps[k] >= CLEAR_GAP]
    if noise == 0.0 or not clear or gaps[features] < CLEAR_GAP:
        return 0.0
    plateau = values[clear[-1] :].log()
    level = float(plateau.mean())
    above, below = float(values[: clear[-1]].log().mean()) - level, level - math.log(noise)
    if float(plateau[0] - plateau[-1]) > _FLAT or above < below:
        return 0.0
    return math.sqrt(math.exp(level) - noise)


def denoised(flow: nn.Module, x: Tensor, *, variance: float, times: int = 1) -> Tensor:
    """x + s² ∇log p(x): the points without noise of variance s² across the manifold, of the shape of ``x``.

    Args:
        flow: a flow whose density has this noise.
        x: points, shape (n, ...), in units of the flow.
        variance: s², of all noise that the flow was trained on: σ_x² and that of the data.
        times: how often; a point that is farther off than the noise needs more than one.

    Returns:
        The points. One where the flow's density has no finite slope stays where it is.
    """
    for _ in range(times):
        moved = torch.cat([part + variance * score_of(flow, part) for part in x.split(_CHUNK)])
        finite = moved.isfinite().flatten(1).all(1).view(-1, *[1] * (x.dim() - 1))
        x = torch.where(finite, moved, x)
    return x
