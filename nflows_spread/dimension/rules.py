"""Rules that read an intrinsic dimension off a spectrum, to be named and compared."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import torch
from torch import Tensor

CLEAR_GAP = math.log(4.0)
"""The width, in nats, above which the signal-to-noise rule trusts the largest gap: variances a factor of 4 apart."""

PLAUSIBLE = 2.0
"""How much narrower a gap may be, in nats, to make another dimension plausible: variances a factor of 7 apart."""

_RANK_CUT = 10.0
_NOISE_CUT = 2.0


@dataclass(frozen=True)
class Spectrum:
    """What a trained flow says about the dimension of its data.

    Attributes:
        eigenvalues: Λ, those of AAᵀ in descending order, shape (D,), float64, in latent units squared.
            Which of two is larger depends on the gauge of the latent space.
        signal_to_noise: μ, the generalised eigenvalues of the covariance of the noisy latents
            against the latents' response to isotropic data noise, in descending order, shape (D,),
            float64, in data units squared: the variance of the noisy data along each of its
            directions. No linear gauge changes them; in pure noise directions μ ≈ σ_x².
        spread_variance: σ_Z².
        data_noise: σ_x, the noise on the data behind ``signal_to_noise``.
        errors: relative standard error of each μ, (D,), from the finite number of points, as a bootstrap over points
            has it to first order, or None where nobody estimated it.
    """

    eigenvalues: Tensor
    signal_to_noise: Tensor
    spread_variance: float
    data_noise: float
    errors: Tensor | None = None

    def in_units_of(self, scale: float) -> Spectrum:
        """The same spectrum for data that is ``scale`` times larger. The latents, and what is in their units, stay."""
        return replace(self, signal_to_noise=self.signal_to_noise * scale**2, data_noise=self.data_noise * scale)

    @property
    def verdicts(self) -> dict[str, IntrinsicDimension]:
        """What each rule of ``RULES`` says, by its name."""
        return {name: decide(self, name) for name in RULES}


class IntrinsicDimension(int):
    """An intrinsic dimension that remembers where it comes from. It is an ``int`` otherwise.

    Attributes:
        rule: name of the rule that decided.
        gap: how clearly: the natural logarithm of the ratio between the last eigenvalue that counts
            and the first that does not, or the rule's floor where all count; infinite where none does.
        spectrum: the ``Spectrum`` it was read off.
        interval: the smallest and the largest dimension that the rule finds plausible: those whose gaps are
            at most ``PLAUSIBLE`` narrower.

    A gap below ``CLEAR_GAP`` says that the spectrum falls off without a step, so that the dimension
    depends on the scale at which one looks.
    """

    rule: str
    gap: float
    spectrum: Spectrum
    interval: tuple[int, int]

    def __new__(
        cls, value: int, rule: str, gap: float, spectrum: Spectrum, interval: tuple[int, int] | None = None
    ) -> IntrinsicDimension:
        dimension = super().__new__(cls, value)
        dimension.rule, dimension.gap, dimension.spectrum = rule, gap, spectrum
        dimension.interval = (value, value) if interval is None else interval
        return dimension

    def __reduce__(self) -> tuple[type[IntrinsicDimension], tuple[int, str, float, Spectrum, tuple[int, int]]]:
        return IntrinsicDimension, (int(self), self.rule, self.gap, self.spectrum, self.interval)

    def __repr__(self) -> str:
        return f"IntrinsicDimension({int(self)}, rule={self.rule!r}, gap={self.gap:.2f}, interval={self.interval})"


def rank(spectrum: Spectrum) -> tuple[int, list[float]]:
    """The paper's rule (equation 5): how many eigenvalues of AAᵀ lie above ten times the spread variance.

    Right where the flow left the noise directions below σ_Z²; blind to the gauge and to data noise.
    """
    count = int((spectrum.eigenvalues > _RANK_CUT * spectrum.spread_variance).sum())
    return count, _gaps(spectrum.eigenvalues + spectrum.spread_variance, spectrum.spread_variance)


def gap(spectrum: Spectrum) -> tuple[int, list[float]]:
    """The largest gap between neighbours among the logarithms of the eigenvalues of AAᵀ + σ_Z² I.

    With σ_x² + σ_Z² as the last neighbour, which is where a flow that leaves the noise as it is puts
    it, so that the full dimension is a possible answer. Another gauge gives another answer.
    """
    floor = spectrum.data_noise**2 + spectrum.spread_variance
    gaps = _gaps(spectrum.eigenvalues + spectrum.spread_variance, floor)
    return _widest(gaps), gaps


def signal_to_noise(spectrum: Spectrum) -> tuple[int, list[float]]:
    """The largest gap between neighbours among the logarithms of μ, the default rule.

    Everything below σ_x² is noise and counts as σ_x², which is also the last neighbour, so that the
    full dimension is a possible answer. Where no gap is clear (``CLEAR_GAP``) the answer is the
    number of directions in which the data varies more than the noise, μ > 2 σ_x²: the dimension at
    the scale of σ_x, with the small gap that is found there. Without data noise there is no floor:
    only gaps between neighbours count, and where none is clear all directions do.
    """
    gaps = signal_to_noise_gaps(spectrum)
    widest = _widest(gaps)
    if gaps[widest] >= CLEAR_GAP:
        return widest, gaps
    return int((spectrum.signal_to_noise > _NOISE_CUT * spectrum.data_noise**2).sum()), gaps


def signal_to_noise_gaps(spectrum: Spectrum, *, thickness: float = 0.0) -> list[float]:
    """For K = 0 … D, the gap below the K-th logarithm of μ, as ``signal_to_noise`` has it, in nats; infinite for 0.

    Args:
        spectrum: a flow's.
        thickness: standard deviation of noise in the data, which raises the floor from σ_x² by its square.
    """
    noise, resolution = spectrum.data_noise**2 + thickness**2, torch.finfo(torch.float64)
    floor = max(noise, resolution.eps * float(spectrum.signal_to_noise[0]), resolution.tiny)
    values = spectrum.signal_to_noise.clamp_min(floor)
    return _gaps(values, floor if noise > 0.0 else float(values[-1]))


Rule = Callable[[Spectrum], tuple[int, list[float]]]
"""Gives a dimension, and for K = 0 … D the gap below the K-th value that it looked at."""
RULES: Mapping[str, Rule] = MappingProxyType({"signal_to_noise": signal_to_noise, "gap": gap, "rank": rank})


def decide(spectrum: Spectrum, rule: str = "signal_to_noise") -> IntrinsicDimension:
    """The intrinsic dimension by a rule of ``RULES``.

    Raises:
        ValueError: there is no such rule.
    """
    if rule not in RULES:
        raise ValueError(f"rule must be one of {', '.join(RULES)}, got {rule!r}")
    value, gaps = RULES[rule](spectrum)
    plausible = [value, *(k for k in range(1, len(gaps)) if gaps[k] >= gaps[value] - PLAUSIBLE)]
    return IntrinsicDimension(value, rule, gaps[value], spectrum, (min(plausible), max(plausible)))


def _gaps(values: Tensor, floor: float) -> list[float]:
    """For K = 0 … D, log(value K / value K + 1), with nothing above the first value and the floor below the last."""
    logs = torch.cat([values, values.new_tensor([floor])]).log()
    return [math.inf, *(logs[:-1] - logs[1:]).tolist()]


def _widest(gaps: list[float]) -> int:
    """The K ≥ 1 with the widest gap below it."""
    return max(range(1, len(gaps)), key=gaps.__getitem__)
