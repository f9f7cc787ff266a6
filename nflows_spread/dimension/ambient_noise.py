"""Ambient-noise estimation: the standard deviation of isotropic noise in the data, from the spectrum and neighbours."""

from __future__ import annotations

import math
from collections.abc import Sequence

from nflows_spread.dimension.neighbours import NeighbourDimension
from nflows_spread.dimension.rules import (
    CLEAR_GAP,
    NARROWEST_GAP,
    PLAUSIBLE,
    Spectrum,
    signal_to_noise_gaps,
    spacing_surprisal,
)

_PLATEAU_WIDTH = 3.0
"""How far, in nats, the variances of isotropic noise may lie apart as a flow sees them, a factor of 20. By trials on
random manifolds that are not the benchmark's (docs/intrinsic_dimension.md)."""

_MATTERS = 0.1
"""The square of the noise's share of a distance over that of the distance, a ratio, from which on it matters there.
Worked out on seed 0 of the 24 benchmark manifolds and on random sets, with noise and without."""

_RATIO = 0.87
"""The ratio of the neighbours' dimensions across scales below which noise explains it without a plateau. Worked out on
the same sets."""

_CONFIRMED = 3.0
"""The plateau's noise over that of the neighbours, a ratio, above which the plateau is a curvature. Worked out on the
same sets."""

_MOST_OF_FLATTEST = 4.0
"""The variance of noise over what the flattest direction shows, a ratio, at the most: that direction is the smallest of
many and biased low, and is taken for half a standard deviation. A choice; not measured."""


def ambient_noise_of(spectrum: Spectrum, neighbours: NeighbourDimension) -> float:
    """The standard deviation of the noise in the data, across the manifold, or 0 where nothing shows any.

    The spectrum shows it by its ``plateau``. Noise that matters at the scale of neighbours, because it is not small
    beside the distances between them, makes their dimension fall with their number; where noise of a third of it
    explains that, the plateau is a curvature. Where the spectrum has no plateau, as it has none for data in pieces or
    where there is no chart, but the dimension falls by an eighth, the noise is what explains that fall, if no μ is too
    small for it and there is a step between μ.

    Args:
        spectrum: a flow's.
        neighbours: what distances say of the same data.

    Returns:
        t, in units of the data.
    """
    found, features = plateau(spectrum), len(spectrum.signal_to_noise)
    if found > 0.0:
        at_their_scale = matters_to_neighbours(neighbours, found, features)
        curved = at_their_scale and _CONFIRMED * neighbours.ambient_noise < found
        return 0.0 if curved else found
    most = _MOST_OF_FLATTEST * (float(spectrum.signal_to_noise[-1]) - spectrum.data_noise**2)
    possible = neighbours.ambient_noise**2 < most and bool(_steps(signal_to_noise_gaps(spectrum)))
    return neighbours.ambient_noise if possible and neighbours.ratio_across_scales < _RATIO else 0.0


def matters_to_neighbours(neighbours: NeighbourDimension, ambient_noise: float, features: int) -> bool:
    """Whether noise of this standard deviation in D features matters beside the distances between neighbours.

    Of two points it adds 2 D t² to the squared distance.
    """
    return 2.0 * features * ambient_noise**2 > _MATTERS * neighbours.nearest**2


def plateau(spectrum: Spectrum) -> float:
    """The standard deviation of the noise that the spectrum shows in the data, or 0 where it shows none.

    Isotropic noise of standard deviation t leaves a plateau at σ_x² + t² below the manifold's eigenvalues μ. It
    is taken for noise where the plateau is clearly above σ_x² (``CLEAR_GAP``), no gap in it is wide or stands out among
    those that are not wide (``spacing_surprisal``) and the one above it does, and it is farther from the
    mean of those above it than from σ_x², in logarithms. So a thin direction of the data counts as noise when it is
    nearer in scale to σ_x than to the others, and data of full dimension keeps its dimension.
    """
    values, noise_variance = spectrum.signal_to_noise, spectrum.data_noise**2
    steps = _steps(signal_to_noise_gaps(spectrum))
    if noise_variance == 0.0 or not steps or float(values[-1]) < noise_variance * math.exp(CLEAR_GAP):
        return 0.0
    lowest = values[steps[-1] :].log()
    level = float(lowest.mean())
    above, below = float(values[: steps[-1]].log().mean()) - level, level - math.log(noise_variance)
    if float(lowest[0] - lowest[-1]) > _PLATEAU_WIDTH or above < below:
        return 0.0
    return math.sqrt(math.exp(level) - noise_variance)


def _steps(gaps: Sequence[float]) -> list[int]:
    """The K from 1 to D − 1 whose gap is wide, or stands out among those that are not."""
    narrow = {k: gap for k, gap in enumerate(gaps[1:-1], start=1) if gap < CLEAR_GAP}
    surprising = dict(zip(narrow, spacing_surprisal(list(narrow.values()))))
    return [
        k
        for k, gap in enumerate(gaps[1:-1], start=1)
        if gap >= CLEAR_GAP or (gap >= NARROWEST_GAP and surprising[k] >= PLAUSIBLE)
    ]
