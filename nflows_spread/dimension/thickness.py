"""Noise that the data brought along: how thick it makes the manifold, and the points without it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nflows_spread.dimension.density import score_of
from nflows_spread.dimension.evidence import LEAST, standing_out
from nflows_spread.dimension.neighbours import NeighbourDimension
from nflows_spread.dimension.rules import CLEAR_GAP, PLAUSIBLE, Spectrum, signal_to_noise_gaps

_FLAT = 3.0
"""How far, in nats, the variances of isotropic noise may lie apart as a flow sees them; a factor of 20."""

_FELT = 0.1
"""The square of the noise's share of a distance over that of the distance, from which on neighbours feel the noise."""

_FALL = 0.87
"""The factor by which the neighbours' dimension must fall for noise to explain it without a plateau."""

_CHUNK = 1000


def thickness_of(spectrum: Spectrum, neighbours: NeighbourDimension) -> float:
    """The standard deviation of the noise in the data, across the manifold, or 0 where nothing shows any.

    The spectrum shows it by its ``plateau``. Noise that is felt by the neighbours, because it is not small beside the
    distances between them, makes their dimension fall with their number; where noise of a third of it explains
    that, the plateau is a curvature. Where the spectrum has no plateau, as it has none for data in pieces or where
    there is no chart, but the dimension falls by an eighth, the noise is what explains that fall, if no μ is too
    small for it and there is a step between μ.

    Args:
        spectrum: a flow's.
        neighbours: what distances say of the same data.

    Returns:
        t, in units of the data.
    """
    found, features = plateau(spectrum), len(spectrum.signal_to_noise)
    if found > 0.0:
        curved = felt_by(neighbours, found, features) and 3.0 * neighbours.thickness < found
        return 0.0 if curved else found
    # twice what the flattest direction shows, which is the smallest of many and biased low
    most = 4.0 * (float(spectrum.signal_to_noise[-1]) - spectrum.data_noise**2)
    possible = neighbours.thickness**2 < most and bool(_steps(signal_to_noise_gaps(spectrum)))
    return neighbours.thickness if possible and neighbours.fall < _FALL else 0.0


def felt_by(neighbours: NeighbourDimension, thickness: float, features: int) -> bool:
    """Whether noise of this standard deviation in D features matters beside the distances between neighbours."""
    return 2.0 * features * thickness**2 > _FELT * neighbours.nearest**2


def plateau(spectrum: Spectrum) -> float:
    """The standard deviation of the noise that the spectrum shows in the data, or 0 where it shows none.

    Isotropic noise of standard deviation t leaves a plateau at σ_x² + t² below the manifold's eigenvalues μ. It
    is taken for noise where the plateau is clearly above σ_x² (``CLEAR_GAP``), no gap in it is wide or stands out among
    those that are not wide (``nflows_spread.dimension.evidence``) and the one above it does, and it is farther from the
    mean of those above it than from σ_x², in logarithms. So a thin direction of the data counts as noise when it is
    nearer in scale to σ_x than to the others, and data of full dimension keeps its dimension.
    """
    values, noise = spectrum.signal_to_noise, spectrum.data_noise**2
    steps = _steps(signal_to_noise_gaps(spectrum))
    if noise == 0.0 or not steps or float(values[-1]) < noise * math.exp(CLEAR_GAP):
        return 0.0
    lowest = values[steps[-1] :].log()
    level = float(lowest.mean())
    above, below = float(values[: steps[-1]].log().mean()) - level, level - math.log(noise)
    if float(lowest[0] - lowest[-1]) > _FLAT or above < below:
        return 0.0
    return math.sqrt(math.exp(level) - noise)


def _steps(gaps: Sequence[float]) -> list[int]:
    """The K from 1 to D − 1 whose gap is wide, or stands out among those that are not."""
    narrow = {k: gap for k, gap in enumerate(gaps[1:-1], start=1) if gap < CLEAR_GAP}
    surprising = dict(zip(narrow, standing_out(list(narrow.values()))))
    return [
        k
        for k, gap in enumerate(gaps[1:-1], start=1)
        if gap >= CLEAR_GAP or (gap >= LEAST and surprising[k] >= PLAUSIBLE)
    ]


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
