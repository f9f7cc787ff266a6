"""Consensus of estimates of the dimension: their log-evidence summed, one K with its interval, and who disagrees."""

from __future__ import annotations

import contextlib
import math

import torch
from torch import Tensor, nn

from nflows_spread.deprecation import moved_names
from nflows_spread.dimension.ambient_noise import ambient_noise_of, matters_to_neighbours
from nflows_spread.dimension.density import denoise
from nflows_spread.dimension.estimates import VOTES, Estimates, register_vote
from nflows_spread.dimension.neighbours import NeighbourDimension, neighbour_dimension
from nflows_spread.dimension.noisy_neighbours import seen_by_neighbours
from nflows_spread.dimension.rules import PLAUSIBLE, IntrinsicDimension, rounded, signal_to_noise_gaps
from nflows_spread.dimension.spectra import spectrum
from nflows_spread.dimension.variation import covered_by, dimension_of_parts

__all__ = ["VOTES", "Estimates", "consensus_dimension", "estimates_of", "register_vote"]

_POINTS = 1000
"""Points of which the spectrum is taken, at most: a choice, for time; ``spectrum`` says about a thousand."""

_DENOISED = 4
"""How often noisy points are denoised. A choice: a flow that takes noise for wider leaves a part of it each time."""


def consensus_dimension(estimates: Estimates, *, most: int | None = None) -> IntrinsicDimension:
    """The dimension K with the most log-evidence, from the spectrum, the neighbours and other ``VOTES`` together.

    The vote of the spectrum is that of its gaps (``gap_log_evidence``), up to 2 nats: for gaps that are wide, or that
    stand out. That of the neighbours is the logarithm of a normal density of log K around theirs, down to −8 nats;
    noise across stable subspaces may be taken off the distances too, and what finds a dimension more plausible counts.
    That of the tangent spaces is the probability that two
    halves of a neighbourhood share the subspaces that they seem to share, up to 4 nats. So a clear gap overrules
    neighbours that are unsure, and sharp neighbours choose between several gaps and subspaces, as a closed surface has
    them at K and at K + 1. Equations that the points satisfy exactly rule out more dimensions than they leave (20
    nats), and where several hold speak for these (6 nats). The density is reported and not counted.

    Args:
        estimates: what each says by itself.
        most: the largest K that the points can show, one less than there are; by default D.

    Returns:
        K, or where the dimension varies from place to place that of the parts together (``dimension_of_parts``), with
        ``rule`` ``"consensus"``, the gap below it in the spectrum, and the interval of dimensions whose log-evidence is
        within 2 nats of the best. It covers what every estimate says where none says K, the dimensions of the parts,
        that of a dip between scales, what the spectrum says of evenly spaced points, and K - 1 where the points may be
        a closed surface in K dimensions: where they look like one and the neighbours allow it, or the neighbours find
        K - 1 more plausible than K. Where it is a matter of precision what equations leave, it covers that at each; it
        covers nothing above what exact equations leave. Where groups of columns are independent of each other it
        covers the sum of theirs.

    Raises:
        ValueError: a vote is not finite or has not one number for each K.
    """
    gaps = signal_to_noise_gaps(estimates.spectrum, ambient_noise=estimates.ambient_noise)
    evidence = torch.tensor([-math.inf, *estimates.log_evidence])
    highest = len(gaps) - 1 if most is None else min(len(gaps) - 1, most)
    best = int(evidence[: highest + 1].argmax())
    covered: list[int] = (evidence >= evidence[best] - PLAUSIBLE).nonzero().flatten().tolist()
    if len(otherwise := estimates.disagreeing_with(best)) == len(estimates.compared):
        covered += map(rounded, otherwise.values())
    covered += covered_by(estimates.parts)
    if estimates.dip is not None:
        covered.append(estimates.dip)
    if estimates.neighbours.even:  # which see a mesh's lines where it is much finer along them
        covered.append(int(estimates.spectrum.estimates["signal_to_noise"]))
    plausibility = estimates.distances.log_plausibility
    allowed = PLAUSIBLE if best in estimates.shells else 0.0
    covered += estimates.unfilled.covered
    if estimates.independent is not None:
        covered += estimates.independent.interval
    surface = best > 1 and estimates.independent is None and not estimates.unfilled.end_at(best)
    if surface and plausibility(best) - plausibility(best - 1) <= allowed:
        covered.append(best - 1)  # the gap tells the span alone, and so do tangent spaces that see no faces
    if estimates.tangents is not None:
        covered += seen_by_neighbours(best, estimates.undenoised_neighbours, estimates.tangents)
    if estimates.parts:  # as what they say together may be that of none
        best = min(dimension_of_parts(estimates.parts), highest)
        covered.append(best)
    highest = max(best, estimates.unfilled.most(highest))
    lowest_covered, highest_covered = (min(max(1, k), highest) for k in (min(covered), max(covered)))
    return IntrinsicDimension(best, "consensus", gaps[best], estimates.spectrum, (lowest_covered, highest_covered))


def estimates_of(
    flow: nn.Module,
    x: Tensor,
    neighbours: NeighbourDimension,
    *,
    data_noise: float,
    generator: torch.Generator | None = None,
) -> Estimates:
    """What the spectrum and the neighbours say; the neighbours of the denoised points where noise matters to them.

    Args:
        flow: a trained flow.
        x: the data in units of the flow, shape (n, D).
        neighbours: what they say of ``x``.
        data_noise: σ_x, in the same units.
        generator: source of noise.
    """
    found = spectrum(flow, x[:_POINTS], data_noise=data_noise, generator=generator)
    ambient_noise = ambient_noise_of(found, neighbours)
    if matters_to_neighbours(neighbours, ambient_noise, x.shape[1]):
        clean = denoise(flow, x, variance=data_noise**2 + ambient_noise**2, times=_DENOISED)
        with contextlib.suppress(ValueError):  # of few rows too few may be left apart
            denoised = neighbour_dimension(clean, noisy=True, generator=generator)
            return Estimates(found, denoised, ambient_noise=ambient_noise, noisy_neighbours=neighbours)
    return Estimates(found, neighbours, ambient_noise=ambient_noise)


__getattr__ = moved_names(
    __name__,
    {
        "Readings": "nflows_spread.dimension.Estimates",
        "consensus": "nflows_spread.dimension.consensus_dimension",
    },
)
