"""Rules that read an intrinsic dimension off a spectrum (gap, rank, signal to noise, a user's); log-evidence of gaps.

``RULES`` has them by name, and ``register_rule`` adds to it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from operator import index

import torch
from torch import Tensor

from nflows_spread.argument_types import typed
from nflows_spread.deprecation import RenamedAttribute
from nflows_spread.registry import Registration, Registry

CLEAR_GAP = math.log(4.0)
"""The width, in nats, above which the signal-to-noise rule trusts the largest gap: variances a factor of 4 apart. A
choice; not measured by itself."""

PLAUSIBLE = 2.0
"""How much narrower a gap may be, in nats, to make another dimension plausible, variances a factor of 7 apart, and the
most that a gap is worth. By trials on seed 0 of the 24 benchmark manifolds (docs/intrinsic_dimension.md)."""

NARROWEST_GAP = 0.5 * CLEAR_GAP
"""The narrowest gap, in nats, that can stand out. By trials on random manifolds that are not the benchmark's."""

_RANK_CUT = 10.0
"""How far above σ_Z² an eigenvalue of AAᵀ counts as one, a ratio. The paper counts those that are not zero, without a
threshold; ten is a choice."""

_NOISE_CUT = 2.0
"""How far above σ_x² a μ counts where no gap is clear, a ratio: as much variance of data as of noise. A choice."""

OF_DENSITY = ("denoising", "score")
"""What the estimates by density are called, beside rules and votes."""


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
        errors: relative standard error of each μ, (D,), from the finite number of points, by the infinitesimal
            jackknife, or None where nobody estimated it.
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
    def estimates(self) -> dict[str, IntrinsicDimension]:
        """What each rule of ``RULES`` says, by its name."""
        return {name: decide(self, name) for name in RULES}

    verdicts = RenamedAttribute("estimates")


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


def signal_to_noise_gaps(spectrum: Spectrum, *, ambient_noise: float = 0.0) -> list[float]:
    """For K = 0 … D, the gap below the K-th logarithm of μ, as ``signal_to_noise`` has it, in nats; infinite for 0.

    Args:
        spectrum: a flow's.
        ambient_noise: standard deviation of noise in the data, which raises the floor from σ_x² by its square.
    """
    noise_variance, resolution = spectrum.data_noise**2 + ambient_noise**2, torch.finfo(torch.float64)
    floor = max(noise_variance, resolution.eps * float(spectrum.signal_to_noise[0]), resolution.tiny)
    values = spectrum.signal_to_noise.clamp_min(floor)
    return _gaps(values, floor if noise_variance > 0.0 else float(values[-1]))


def gap_log_evidence(spectrum: Spectrum, *, ambient_noise: float = 0.0) -> list[float]:
    """For K = 0 … D what the gap below the K-th μ is worth, in nats between 0 and 2; nothing for K = 0.

    A gap counts where it is wide: by how far it exceeds ``CLEAR_GAP``. And it counts where it stands out among the
    gaps of a spectrum that falls off slowly, as curved manifolds in many dimensions have it: by ``spacing_surprisal``,
    from ``NARROWEST_GAP`` on. The gap to the floor, K = D, counts only for its width. Beyond 2 nats a wider gap tells
    no more.

    Args:
        spectrum: a flow's.
        ambient_noise: standard deviation of noise in the data, see ``nflows_spread.dimension.ambient_noise``.
    """
    gaps = signal_to_noise_gaps(spectrum, ambient_noise=ambient_noise)
    surprisal = [*spacing_surprisal(gaps[1:-1]), 0.0]
    worth = [
        max(gap - CLEAR_GAP, stands_out if gap >= NARROWEST_GAP else 0.0)
        for gap, stands_out in zip(gaps[1:], surprisal, strict=True)
    ]
    return [0.0, *(min(max(nats, 0.0), PLAUSIBLE) for nats in worth)]


def spacing_surprisal(gaps: Sequence[float]) -> list[float]:
    """−log of the probability that chance makes one of m gaps as wide as each of these, m being their number.

    The spacings of independent values are exponential. With the mean unknown and n = m − 1 other gaps of sum S, one is
    wider than g with probability (1 + g/S)⁻ⁿ, and one of m at most m times as likely. Negative values say nothing.

    Args:
        gaps: in nats, none negative.
    """
    others, total = len(gaps) - 1, sum(gaps)
    return [others * math.log1p(gap / (total - gap)) - math.log(others + 1) if total > gap else 0.0 for gap in gaps]


Rule = Callable[[Spectrum], tuple[int, list[float]]]
"""Gives a dimension, and for K = 0 … D the gap below the K-th value that it looked at."""

RULES: Registry[Rule] = Registry(
    "a rule", {"signal_to_noise": signal_to_noise, "gap": gap, "rank": rank}, reserved=("neighbours", *OF_DENSITY)
)
"""Rules by their names; ``register_rule`` adds one."""


@typed
def register_rule(name: str, rule: Rule) -> Registration:
    """Add a rule to ``RULES``, for ``intrinsic_dimension(flow, x, rule=name)`` and among all ``estimates``.

    Args:
        name: what it is called.
        rule: a ``Spectrum`` to a dimension K and, for K = 0 … D, how clear each would be: the natural logarithm of the
            ratio between the last value that counts and the first that does not, infinite for 0.

    Returns:
        What takes it back: by its ``remove()``, or at the end of a ``with``.

    Raises:
        TypeError: the name is no text or the rule no function.
        ValueError: the name is taken.

    Example:
        >>> def half(spectrum):
        ...     gaps = signal_to_noise_gaps(spectrum)
        ...     return len(gaps) // 2, gaps
        >>> values = torch.tensor([4.0, 2.0, 1.0, 1.0])
        >>> with register_rule("half", half):
        ...     decide(Spectrum(values, values, 1e-4, 1.0), "half")
        IntrinsicDimension(2, rule='half', gap=0.69, interval=(1, 4))
    """
    return RULES.register(name, rule)


def decide(spectrum: Spectrum, rule: str = "signal_to_noise") -> IntrinsicDimension:
    """The intrinsic dimension by a rule of ``RULES``.

    Raises:
        TypeError, ValueError: there is no such rule, or it gives no whole number between 0 and D with D + 1 gaps.
    """
    if rule not in RULES:
        raise ValueError(f"rule must be one of {', '.join(RULES)}, got {rule!r}; register_rule adds others")
    value, gaps = _checked(RULES[rule](spectrum), len(spectrum.signal_to_noise), rule)
    plausible = [value, *(k for k in range(1, len(gaps)) if gaps[k] >= gaps[value] - PLAUSIBLE)]
    return IntrinsicDimension(value, rule, gaps[value], spectrum, (min(plausible), max(plausible)))


def _checked(answer: tuple[int, list[float]], features: int, rule: str) -> tuple[int, list[float]]:
    """What a rule says, as numbers, if it is what a rule must say."""
    must = f"a rule must give K between 0 and D and a gap for each K = 0 … D, here D = {features}"
    try:
        value, gaps = int(index(answer[0])), [float(gap) for gap in answer[1]]
    except (TypeError, ValueError, IndexError) as error:
        raise TypeError(f"{must}, got {answer!r} from {rule!r}; give a whole number and a list of numbers") from error
    if not 0 <= value <= features or len(gaps) != features + 1:
        raise ValueError(f"{must}, got {value} and {len(gaps)} gaps from {rule!r}")
    return value, gaps


def _gaps(values: Tensor, floor: float) -> list[float]:
    """For K = 0 … D, log(value K / value K + 1), with nothing above the first value and the floor below the last."""
    logs = torch.cat([values, values.new_tensor([floor])]).log()
    return [math.inf, *(logs[:-1] - logs[1:]).tolist()]


def _widest(gaps: list[float]) -> int:
    """The K ≥ 1 with the widest gap below it."""
    return max(range(1, len(gaps)), key=gaps.__getitem__)


def rounded(value: float) -> int:
    """The nearest whole number, the larger one in the middle."""
    return math.floor(value + 0.5)


def likeliest(nats: Sequence[float]) -> int:
    """The dimension with the most log-evidence, of K = 1, 2, …; of several the largest, as less is not shown."""
    return len(nats) - list(reversed(nats)).index(max(nats))
