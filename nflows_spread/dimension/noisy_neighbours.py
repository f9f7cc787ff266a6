"""What distances between noisy points say of each dimension, with the noise that local PCA leaves across it.

Noise of variance t² in the D − K directions across a manifold adds c = 2 (D − K) t² to squared distances r², so that K
dimensions look like K r²/(r² − c). Local principal axes give t² for each K: the mean variance beyond the first K.
"""

from __future__ import annotations

import math
from dataclasses import replace

from nflows_spread.dimension.neighbours import MOST_OF_NEIGHBOURS, NeighbourDimension
from nflows_spread.dimension.rules import PLAUSIBLE, rounded
from nflows_spread.dimension.tangent_spaces import TangentSpaces

_MATTERS = 0.1
"""The noise's share of a squared distance, a ratio, from which on it matters: that of ``ambient_noise``,
worked out on the same sets."""

_SEEN = 0.5
"""The agreement of a stable subspace from which on the noise across it explains that the dimension falls with the
number of neighbours. By trials on random manifolds that are not the benchmark's, 0.4 to 0.7."""

_SEEN_IN_TURNS = 0.8
"""The same where the dimension rises with the number of neighbours, as where a band is narrow beside neighbourhoods of
few points. By trials on 40 twisted bands, tubes, spirals and coils of 300 to 1 000 points and 130 other sets, with and
without noise, 0.6 to 0.9."""

_MOST = 0.9
"""The share of a squared distance that is taken for noise at the most. A choice: neighbours are nearer than others, so
that all of their distance may be noise."""

_SURE = 0.9
"""The agreement of a subspace from which on noise explains what neighbours see beyond it. A choice: in a curve or a
surface with noise it is above, in the brightness of patches of a photograph below."""

_RISES = 0.1
"""The rise of the dimension from the fewest to the most neighbours, in nats, from which on noise is none of it: a
choice. Of 21 spirals without noise and with 1 and 2 %, made for it, 12 are right with this and 7 without."""

_LEAST_ERROR, _OF_NOISE = 0.08, 1.5
"""The relative standard error of the dimension by the farthest neighbours, and how much of the noise's share of their
squared distances adds to it. By trials on the same manifolds, 0.7 to 1.5."""


def log_plausibilities(neighbours: NeighbourDimension, tangents: TangentSpaces) -> list[float]:
    """For K = 1 … D, in nats, how well a dimension fits what distances say, if all that is across it is noise.

    Where nothing across the manifold is stable, nothing is known to be noise, and distances are taken as they are.
    Elsewhere, where noise matters at the nearest neighbours the farthest ones are asked, and are the less sure the more
    of their distance it is. Where it matters across a stable subspace, but not across K, that the dimension falls with
    the number of neighbours is no reason to take a larger one for plausible. Where it rises with their number, as
    where turns of a curve are near each other, noise is not what the nearest see: where these rule out more dimensions,
    what they allow is allowed, and a subspace has to be the surer to say that there is noise across it.
    """
    if not _rises_beyond(neighbours, tangents):
        return _in_noise(neighbours, tangents)
    found = _in_noise(neighbours, tangents, seen_from=_SEEN_IN_TURNS)
    pairs = list(zip(found, neighbours.log_plausibilities(tangents.features), strict=True))
    allowed = rounded(neighbours.value)
    return [*map(max, pairs[:allowed]), *map(min, pairs[allowed:])]


def _in_noise(neighbours: NeighbourDimension, tangents: TangentSpaces, *, seen_from: float = _SEEN) -> list[float]:
    """The same, also where the dimension rises with the number of neighbours, by subspaces of such an agreement."""
    seen_dimensions = [stable.dimension for stable in tangents.stable if stable.agreement > seen_from]
    if not seen_dimensions:
        return neighbours.log_plausibilities(tangents.features)
    farthest = [math.log(values[-1]) for values in neighbours.profile.values()]
    seen, spread = sum(farthest) / len(farthest), 0.5 * (max(farthest) - min(farthest))
    place = min(neighbours.neighbours[-1], len(tangents.squares)) - 1

    def of_noise(dimension: int) -> float:
        """c, with the noise beyond the largest stable subspace: what is stable is none."""
        variance = tangents.residual_variance(max(dimension, *seen_dimensions))
        return 2.0 * (tangents.features - dimension) * variance

    def matters(dimension: int) -> bool:
        return of_noise(dimension) > _MATTERS * neighbours.nearest**2

    noisy = any(map(matters, seen_dimensions))
    narrow = replace(neighbours, above=min(neighbours.above, neighbours.below)) if noisy else neighbours
    without_falls = narrow.log_plausibilities(tangents.features)

    def nats(dimension: int) -> float:
        if not matters(dimension):
            return without_falls[dimension - 1]
        share = min(of_noise(dimension) / tangents.squares[place], _MOST)
        error = math.hypot(_LEAST_ERROR + spread, _OF_NOISE * share)
        return -0.5 * ((math.log(dimension) - seen - math.log1p(-share)) / error) ** 2

    return [nats(dimension) for dimension in range(1, tangents.features + 1)]


def _rises_beyond(neighbours: NeighbourDimension, tangents: TangentSpaces) -> bool:
    """Whether the dimension rises with the number of neighbours, and the nearest rule out all that is more."""
    nearest, farthest = ([math.log(values[end]) for values in neighbours.profile.values()] for end in (0, -1))
    more = neighbours.log_plausibilities(tangents.features)[rounded(neighbours.value) :]
    return sum(farthest) - sum(nearest) > _RISES * len(nearest) and max(more, default=0.0) < -MOST_OF_NEIGHBOURS


def seen_by_neighbours(dimension: int, neighbours: NeighbourDimension, tangents: TangentSpaces) -> list[int]:
    """What else an interval has to cover: the dimension at the scale of neighbours, where only noise explains it.

    That is where they rule out the dimension of a stable subspace whose agreement leaves a doubt: a few directions that
    are wide beside all others look like a manifold in noise. And where the dimension rises with their number, what
    would be plausible if noise explained it: not only turns of a curve are near each other, repeats of a subject too.

    Args:
        dimension: the K with the most evidence.
        neighbours: what distances between the points as they are say.
        tangents: what local principal axes say.

    Returns:
        Whole numbers or none.
    """
    if _rises_beyond(neighbours, tangents):
        pairs = zip(_in_noise(neighbours, tangents), tangents.log_evidence, strict=True)
        nats = [max(of_distances, -MOST_OF_NEIGHBOURS) + of_axes for of_distances, of_axes in pairs]
        return [k for k, value in enumerate(nats, 1) if value >= max(nats) - PLAUSIBLE]
    doubtful = any(step.dimension == dimension and step.agreement < _SURE for step in tangents.stable)
    if doubtful and neighbours.log_plausibility(dimension) < -PLAUSIBLE:
        return [max(1, rounded(neighbours.value))]
    return []
