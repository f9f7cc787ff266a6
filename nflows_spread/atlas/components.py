"""Connected components of a mixture's pieces by their overlap, and the intrinsic dimension of each component."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from nflows_spread.dimension.rules import IntrinsicDimension, Spectrum, decide, signal_to_noise_gaps

_OVERLAP = 0.01
"""The share of its rows, in the mean, that a piece has in common with its neighbour. By trials on random unions of
curves, surfaces and balls."""


_LEAST_SHARE = 0.15
"""Of the weight of a connected set, that a part of another dimension has at least: a choice, above a single piece's."""

_SURE = 1.0
"""Nats by which the gap at the dimension of a part is wider than at those of the others. By trials on random unions and
on curves and surfaces that meet: it was 1.4 or more in parts of another dimension, 0.5 or less in narrow pieces."""

_NOISE_CUT = 2.0
"""μ over σ_x² up to which a direction is one of noise, the cut of the dimension's rule. In the same trials the first
beyond a part of fewer dimensions had 1.3 at most, beyond narrow pieces of a surface 3 or more."""


@dataclass(frozen=True)
class Component:
    """A connected set of pieces of one dimension: a manifold of its own, or the part of one dimension of a larger set.

    Attributes:
        pieces: their numbers, ascending.
        weight: of all of them together, under the prior.
        dimension: by the rule, from the spectrum of the component: the geometric mean of μ_k over its pieces, by
            weight. Its ``interval`` has the plausible ones.
    """

    pieces: tuple[int, ...]
    weight: float
    dimension: IntrinsicDimension


def overlaps(responsibilities: Tensor) -> Tensor:
    """Σ_n r_nm r_nl / min(Σ_n r_nm, Σ_n r_nl) of pieces m and l, (M, M), from responsibilities r, (n, M).

    The share of the smaller piece's rows that the other one is responsible for too: 0 for pieces that are apart.
    """
    counts = responsibilities.sum(0)
    smaller = torch.minimum(counts.unsqueeze(0), counts.unsqueeze(1))
    return responsibilities.mT @ responsibilities / smaller.clamp_min(torch.finfo(counts.dtype).tiny)


def components_of(
    overlap: Tensor, weights: Tensor, estimates: Sequence[IntrinsicDimension | None]
) -> tuple[Component, ...]:
    """The components of pieces, the heaviest first; pieces that have no estimate are in none.

    Pieces with an overlap of at least 0.01 are connected. A connected set is one component of the dimension that its
    pooled spectrum has, unless it holds parts of different dimension: connected pieces that by themselves say the same,
    with 15 % of its weight, and surely so: by a gap that is a nat wider than at the others' dimensions, and in a part
    of fewer dimensions no more data than noise in the next direction. Then each part is a component, and the other
    pieces go where they overlap most. So a curve that ends on a surface is two components, and narrow pieces make none.

    Args:
        overlap: of all pieces with each other, (M, M).
        weights: w, (M,).
        estimates: the dimension of each piece by itself, or None.
    """
    known = {m: estimate for m, estimate in enumerate(estimates) if estimate is not None}
    found = []
    for members in _connected(known, overlap):
        for part in _parts(members, overlap, weights, known):
            found.append(Component(tuple(part), float(weights[part].sum()), _pooled_estimate(part, weights, known)))
    return tuple(sorted(found, key=lambda component: component.weight, reverse=True))


def _parts(
    members: list[int], overlap: Tensor, weights: Tensor, estimates: Mapping[int, IntrinsicDimension]
) -> list[list[int]]:
    """A connected set, divided by dimension; parts that turn out to have the same one are put together again."""
    least = _LEAST_SHARE * float(weights[members].sum())
    by_dimension = [
        [m for m in members if estimates[m] == dimension] for dimension in {int(estimates[m]) for m in members}
    ]
    sets = [part for same in by_dimension for part in _connected(same, overlap)]
    parts = [part for part in sets if estimates[part[0]] > 0 and float(weights[part].sum()) >= least]
    dimensions = {int(estimates[part[0]]) for part in parts}
    parts = [part for part in parts if _sure_of(part, dimensions, weights, estimates)]
    if len(parts) < 2:
        return [members]
    for m in sorted(set(members) - {m for part in parts for m in part}, key=lambda m: float(weights[m])):
        max(parts, key=lambda part: float(overlap[m, part].sum())).append(m)
    return _merged(parts, overlap, weights, estimates)


def _sure_of(
    part: Sequence[int], dimensions: Iterable[int], weights: Tensor, estimates: Mapping[int, IntrinsicDimension]
) -> bool:
    """Whether the pooled spectrum of a part has its pieces' dimension, and none of the others."""
    own, others = int(estimates[part[0]]), [other for other in dimensions if other != int(estimates[part[0]])]
    spectrum = _pooled_estimate(part, weights, estimates).spectrum
    gaps, noise = signal_to_noise_gaps(spectrum), spectrum.data_noise**2
    if any(other > own for other in others) and float(spectrum.signal_to_noise[own]) > _NOISE_CUT * noise > 0.0:
        return False
    return all(gaps[own] - gaps[other] >= _SURE for other in others)


def _merged(
    parts: list[list[int]], overlap: Tensor, weights: Tensor, estimates: Mapping[int, IntrinsicDimension]
) -> list[list[int]]:
    """Parts, of which those that are connected and have the same dimension are one."""
    merged: list[list[int]] = []
    for part in parts:
        dimension, whole = _pooled_estimate(part, weights, estimates), sorted(part)
        apart = []
        for other in merged:
            touch = bool((overlap[whole][:, other] >= _OVERLAP).any())
            if touch and _pooled_estimate(other, weights, estimates) == dimension:
                whole = sorted(whole + other)
            else:
                apart.append(other)
        merged = [*apart, whole]
    return merged


def _pooled_estimate(
    part: Sequence[int], weights: Tensor, estimates: Mapping[int, IntrinsicDimension]
) -> IntrinsicDimension:
    own = [estimates[m] for m in part]
    return decide(_pooled([estimate.spectrum for estimate in own], weights[list(part)].double()), own[0].rule)


def _connected(members: Iterable[int], overlap: Tensor) -> list[list[int]]:
    """The connected sets of some of the pieces."""
    sets, left = [], set(members)
    while left:
        reached, border = set[int](), {min(left)}
        while border:
            reached |= border
            left -= border
            border = {m for m in left if any(overlap[m, other] >= _OVERLAP for other in border)}
        sets.append(sorted(reached))
    return sets


def _pooled(spectra: Sequence[Spectrum], weights: Tensor) -> Spectrum:
    """The geometric mean of μ_k over spectra, by weight, with the mean of Λ."""
    if len(spectra) == 1:
        return spectra[0]
    shares = (weights / weights.sum()).cpu().unsqueeze(1)
    tiny = torch.finfo(torch.float64).tiny
    logs = torch.stack([spectrum.signal_to_noise for spectrum in spectra]).clamp_min(tiny).log()
    errors = [spectrum.errors for spectrum in spectra if spectrum.errors is not None]
    together = len(errors) == len(spectra)
    return replace(
        spectra[0],
        eigenvalues=(shares * torch.stack([spectrum.eigenvalues for spectrum in spectra])).sum(0),
        signal_to_noise=(shares * logs).sum(0).exp(),
        errors=(shares * torch.stack(errors)).square().sum(0).sqrt() if together else None,
    )
