"""How strongly a spectrum speaks for each dimension, in nats."""

from __future__ import annotations

import math
from collections.abc import Sequence

from nflows_spread.dimension.rules import CLEAR_GAP, PLAUSIBLE, Spectrum, signal_to_noise_gaps

LEAST = 0.5 * CLEAR_GAP
"""The narrowest gap, in nats, that can stand out."""


def gap_evidence(spectrum: Spectrum, *, thickness: float = 0.0) -> list[float]:
    """For K = 0 … D what the gap below the K-th μ is worth, in nats between 0 and 2; nothing for K = 0.

    A gap counts where it is wide: by how far it exceeds ``CLEAR_GAP``. And it counts where it stands out among the
    gaps of a spectrum that falls off slowly, as curved manifolds in many dimensions have it: by ``standing_out``, from
    half of ``CLEAR_GAP`` on. The gap to the floor, K = D, counts only for its width. Beyond 2 nats a wider gap tells no
    more.

    Args:
        spectrum: a flow's.
        thickness: standard deviation of noise in the data, in its units, see ``nflows_spread.dimension.thickness``.
    """
    gaps = signal_to_noise_gaps(spectrum, thickness=thickness)
    surprise = [*standing_out(gaps[1:-1]), 0.0]
    worth = [
        max(gap - CLEAR_GAP, stands_out if gap >= LEAST else 0.0)
        for gap, stands_out in zip(gaps[1:], surprise, strict=True)
    ]
    return [0.0, *(min(max(nats, 0.0), PLAUSIBLE) for nats in worth)]


def standing_out(gaps: Sequence[float]) -> list[float]:
    """−log of the probability that chance makes one of m gaps as wide as each of these, m being their number.

    The spacings of independent values are exponential. With the mean unknown and n = m − 1 other gaps of sum S, one is
    wider than g with probability (1 + g/S)⁻ⁿ, and one of m at most m times as likely. Negative values say nothing.

    Args:
        gaps: in nats, none negative.
    """
    others, total = len(gaps) - 1, sum(gaps)
    return [others * math.log1p(gap / (total - gap)) - math.log(others + 1) if total > gap else 0.0 for gap in gaps]
