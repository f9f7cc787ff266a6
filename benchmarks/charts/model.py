"""A fitted method of the chart benchmark: coordinates, points, samples and a density, whichever of them it has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from charts.data_set import Array
from charts.mixture import mixture_by_bic


class NoAnswerError(Exception):
    """Why a method has no answer to what it is asked for."""


@dataclass(frozen=True)
class Model:
    """What a method made of the training rows; None is what it does not offer.

    Attributes:
        rank: K, of its coordinates.
        encode: rows (n, D) to coordinates (n, K).
        decode: coordinates to rows.
        sample: a number to so many rows.
        log_prob: rows to the logarithm of their density in D dimensions, in nats, (n,).
        notes: what else the record should have.
        manifold_log_prob: rows to the logarithm of the density by K-dimensional area at their reconstructions, (n,).
    """

    rank: int
    encode: Callable[[Array], Array] | None = None
    decode: Callable[[Array], Array] | None = None
    sample: Callable[[int], Array] | None = None
    log_prob: Callable[[Array], Array] | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)
    manifold_log_prob: Callable[[Array], Array] | None = None


@dataclass(frozen=True)
class Method:
    """One method.

    Attributes:
        fit: training rows (n, D), K, and a seed to a model; what finds K itself does not look at the one given.
        package: what is to be installed for it; None for what the benchmarks need anyway.
        load: imports it, and compiles what is compiled at the first call, before times are taken.
    """

    fit: Callable[[Array, int, int], Model]
    package: str | None = None
    load: Callable[[], None] = lambda: None


class MixtureOfCoordinates:
    """Samples of a method without a sampler: a Gaussian mixture of the training rows' coordinates, mapped back.

    Reference: P. Ghosh et al., From variational to deterministic autoencoders, ICLR 2020.

    Args:
        coordinates: of the training rows, (n, K).
        decode: coordinates to rows.
        seed: of the mixture and the draws.
    """

    def __init__(self, coordinates: Array, decode: Callable[[Array], Array], seed: int) -> None:
        self.coordinates, self.decode, self.seed = coordinates, decode, seed

    def __call__(self, count: int) -> Array:
        return self.decode(mixture_by_bic(self.coordinates, self.seed).sample(count)[0])
