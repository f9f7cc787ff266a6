"""One verdict on the dimension from read-outs that fail in different places, and how far they disagree."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nflows_spread.dimension.density import DensityDimension
from nflows_spread.dimension.evidence import gap_evidence
from nflows_spread.dimension.neighbours import NeighbourDimension, neighbour_dimension
from nflows_spread.dimension.rules import PLAUSIBLE, IntrinsicDimension, Spectrum, signal_to_noise_gaps
from nflows_spread.dimension.spectra import spectrum
from nflows_spread.dimension.thickness import denoised, felt_by, thickness_of
from nflows_spread.dimension.variation import Part

_COMPARED = ("signal_to_noise", "neighbours", "denoising")
_POINTS = 1000
_DENOISED = 4


@dataclass(frozen=True)
class Readings:
    """What the read-outs say about one data set.

    Attributes:
        spectrum: the flow's. Sure of flat and smooth manifolds of any dimension, and of those whose density
            varies; too high where the flow found no chart.
        neighbours: distances between neighbours. Sure of low dimensions, however curved or folded; a few per
            cent wide at high ones, and too low where the density varies within a neighbourhood.
        density: the flow's denoiser, at the scale of σ_x. Needs no chart; an upper bound on average. None where
            nobody asked.
        thickness: standard deviation of the noise that the spectrum shows in the data, in units of the data, or 0.
            The floor of the spectrum is then above σ_x, and the neighbours are those of the denoised points.
        parts: the two parts of data whose dimension varies from place to place, or none.
        path: whether the rows, in their order, follow a path and so are no independent draws.
        shells: dimensions of linear spans in which the points may fill a closed surface alone, from ``shells_of``.
    """

    spectrum: Spectrum
    neighbours: NeighbourDimension
    density: DensityDimension | None = None
    thickness: float = 0.0
    parts: tuple[Part, ...] = ()
    path: bool = False
    shells: tuple[int, ...] = ()

    @property
    def verdicts(self) -> dict[str, float]:
        """The dimension by every rule of the spectrum, by neighbours, and by the density twice; not all are whole."""
        found = {rule: float(verdict) for rule, verdict in self.spectrum.verdicts.items()}
        found["neighbours"] = self.neighbours.value
        if self.density is not None:
            found |= {"denoising": self.density.denoising, "score": self.density.score}
        return found

    @property
    def compared(self) -> dict[str, float]:
        """The verdicts of the spectrum's default rule, the neighbours and, where it is known, the denoiser."""
        return {name: value for name, value in self.verdicts.items() if name in _COMPARED}

    def against(self, dimension: int) -> dict[str, float]:
        """The verdicts of the spectrum, the neighbours and the density that do not round to this dimension."""
        return {name: value for name, value in self.compared.items() if _rounded(value) != dimension}

    def reservations(self, dimension: int) -> list[str]:
        """What speaks against taking one number for the dimension of the data, a sentence each."""
        found = []
        if self.parts:
            lower, upper = self.parts
            found.append(
                f"the dimension varies from place to place: about {lower.dimension} at {lower.share:.0%} of the points "
                f"and {upper.dimension} at {upper.share:.0%}; see pointwise_dimension, or fit the parts by themselves"
            )
        if self.path and self.compared["signal_to_noise"] > 1.0:  # or the path is all there is
            found.append(
                "the rows follow each other along a path, as those of a time series do, so that their neighbours in "
                "space are those in order and tell the path's dimension; take rows farther apart, and more of them"
            )
        otherwise = self.against(dimension)
        if len(otherwise) == len(self.compared):
            said = ", ".join(f"{name} {value:.3g}" for name, value in otherwise.items())
            found.append(
                f"no reading by itself says {int(dimension)}: {said}; take the interval, more rows or less noise"
            )
        return found


def consensus(readings: Readings) -> IntrinsicDimension:
    """The dimension K with the most evidence, in nats, from the spectrum and the neighbours together.

    The evidence of the spectrum is that of its gaps (``evidence``), up to 2 nats: for gaps that are wide,
    or that stand out. That of the neighbours is the logarithm of a normal density of log K around
    theirs. So a clear gap overrules neighbours that are unsure, and sharp neighbours choose between several
    gaps, as a closed surface has them at K and at K + 1. The density is reported and not counted.

    Returns:
        K with ``rule`` ``"consensus"``, the gap below it in the spectrum, and the interval of dimensions
        whose evidence is within 2 nats of the best. It covers what every reading says where none says K, the
        dimensions of the parts where the dimension varies from place to place, what the spectrum says of
        evenly spaced points, and K - 1 where the points may be a closed surface in K dimensions and the
        neighbours allow it.

    Raises:
        ValueError: the readings are not finite.
    """
    gaps = signal_to_noise_gaps(readings.spectrum, thickness=readings.thickness)
    worth = gap_evidence(readings.spectrum, thickness=readings.thickness)
    likely = [worth[k] + readings.neighbours.log_plausibility(k) for k in range(1, len(gaps))]
    evidence = torch.tensor([-math.inf, *likely])
    if not bool(evidence[1:].isfinite().all()):
        raise ValueError(
            f"the readings must be finite, got μ = {readings.spectrum.signal_to_noise.tolist()} and a dimension by "
            f"neighbours of {readings.neighbours.value}; train longer, or look for outliers in the data"
        )
    best = int(evidence.argmax())
    covered: list[int] = (evidence >= evidence[best] - PLAUSIBLE).nonzero().flatten().tolist()
    if len(otherwise := readings.against(best)) == len(readings.compared):
        covered += map(_rounded, otherwise.values())
    covered += (part.dimension for part in readings.parts)
    if readings.neighbours.even:  # which see a mesh's lines where it is much finer along them
        covered.append(int(readings.compared["signal_to_noise"]))
    plausibility = readings.neighbours.log_plausibility
    if best in readings.shells and plausibility(best) - plausibility(best - 1) <= PLAUSIBLE:
        covered.append(best - 1)  # the gap tells the span alone
    highest = len(gaps) - 1
    interval = (max(1, min(covered)), min(highest, max(covered)))
    return IntrinsicDimension(best, "consensus", gaps[best], readings.spectrum, interval)


def _rounded(value: float) -> int:
    """The nearest whole number, the larger one in the middle."""
    return math.floor(value + 0.5)


def readings_of(
    flow: nn.Module,
    x: Tensor,
    neighbours: NeighbourDimension,
    *,
    data_noise: float,
    generator: torch.Generator | None = None,
) -> Readings:
    """What the spectrum and the neighbours say; the neighbours of the denoised points where they feel noise.

    Args:
        flow: a trained flow.
        x: the data in units of the flow, shape (n, D).
        neighbours: what they say of ``x``.
        data_noise: σ_x, in the same units.
        generator: source of noise.
    """
    found = spectrum(flow, x[:_POINTS], data_noise=data_noise, generator=generator)
    thickness = thickness_of(found, neighbours)
    if felt_by(neighbours, thickness, x.shape[1]):
        clean = denoised(flow, x, variance=data_noise**2 + thickness**2, times=_DENOISED)
        neighbours = neighbour_dimension(clean, noisy=True, generator=generator)
    return Readings(found, neighbours, thickness=thickness)
