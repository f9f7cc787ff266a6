"""The settings of one flow: its data, how it is built, trained and read out; and the same as JSON has it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from functools import partial
from typing import Any

from nflows.flows import Flow
from torch import Tensor, nn

from baselines.fixed_prior import NegativeLogLikelihood
from nflows_spread import IntrinsicDimension, initialize
from nflows_spread.factors import Factor, LowerTriangularFactor
from nflows_spread.training.curves import Cosine, Geometric, ParametricCurve
from paper.data_sets import DataSet, Folders
from paper.tracking import TrackedNumber

_RATE = Cosine(2e-3, 4e-5)
_NOISE = Geometric(0.3, 0.05, steps=0.7)

_READ_OUT = {"samples", "rule", "rank", "piece_rank", "track"}
"""Settings that say what to look at, and change no parameter."""

_KEYS = {"data": "task"}
"""What settings are called in JSON, where that is not their name; unfinished runs are found by a digest of it."""


@dataclass(frozen=True)
class Settings:
    """All that one flow is trained and read out by.

    Attributes:
        data: makes the data from a seed and the folders that it may use.
        flow: a builder of ``nflows_spread.models`` with its arguments but those that ``fixed_prior`` decides.
        fixed_prior: the traditional flow: free scales and a standard Gaussian.
        latent_features: K of a fixed prior that is told the dimension, or None for as many latents as data has.
        loss: what a flow with a fixed prior is trained by, given it, ``data_noise`` and ``generator``.
        start: gives a flow its first values from 500 noisy points and returns how many layers it set.
        steps: training steps.
        batch_size: rows of a batch.
        learning_rate: of Adam.
        l2_penalty: the paper's weight decay, through the gradient that Adam sees; of the nets' weights, never of A.
        data_noise: σ_x, in data units.
        spread_variance: σ_Z²; a hundredth of the final σ_x² leaves the data noise in charge.
        factor: the kind of factor of the prior.
        pieces: how many Gaussians the prior is a mixture of, each with a mean; 1 for the paper's prior.
        tied: the pieces are one A at M scales about 0, or "semi" for semi-tied ones, without means.
        start_prior: start the prior at the latents, also where no layer is set from data.
        pieces_from: share of the steps after which they part; 0 for pieces from the start.
        refit: settings of the prior that takes the place of the trained one at the end, fitted to the latents of all
            data, by name; none for the trained one itself.
        learn_mean: give the prior a mean, which starts at that of the latents, for data with an offset.
        entropy: add the paper's estimate of the negative entropy to the loss.
        gradient_clip: largest norm of the gradient, or None.
        rule: which rule decides the dimension that samples and representation are taken at.
        rank: at which samples and representation are taken, given the dimension; by default the dimension.
        piece_rank: at which samples of each piece of a prior in pieces are taken, given the dimension; None for whole
            samples, less their noise.
        samples: how many to draw.
        track: numbers to record during training, by name.
    """

    data: Callable[[int, Folders], DataSet]
    flow: Callable[..., Flow]
    fixed_prior: bool = False
    latent_features: int | None = None
    loss: Callable[..., nn.Module] = NegativeLogLikelihood
    start: Callable[[Flow, Tensor], int] = initialize
    steps: int = 6000
    batch_size: int = 200
    learning_rate: ParametricCurve = _RATE
    l2_penalty: float = 0.0
    data_noise: ParametricCurve = _NOISE
    spread_variance: float = 2.5e-5
    factor: Callable[[int], Factor] = LowerTriangularFactor
    pieces: int = 1
    tied: bool | str = False
    start_prior: bool = False
    pieces_from: float = 0.5
    refit: Mapping[str, Any] = field(default_factory=dict)
    learn_mean: bool = False
    entropy: bool = False
    gradient_clip: float | None = 5.0
    rule: str = "signal_to_noise"
    rank: Callable[[IntrinsicDimension], int] = int
    piece_rank: Callable[[IntrinsicDimension], int] | None = None
    samples: int = 20_000
    track: Mapping[str, TrackedNumber] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Rows of data that the schedule visits."""
        return self.steps * self.batch_size


def settings_of(settings: Settings) -> dict[str, object]:
    """What decides the parameters of a flow, as JSON has it."""
    kept = [f.name for f in fields(Settings) if f.name not in _READ_OUT | _left_out(settings)]
    return {_KEYS.get(name, name): _plain(getattr(settings, name)) for name in kept}


def _left_out(settings: Settings) -> set[str]:
    """What the first records do not have, where it is as they were made."""
    pieces = {"pieces", "pieces_from"} if settings.pieces == 1 else set()
    switches = {name for name in ("tied", "start_prior", "refit") if not getattr(settings, name)}
    return pieces | switches


def digest(settings: Settings) -> str:
    """Eight letters that are others as soon as one of the settings is."""
    return hashlib.sha256(json.dumps(settings_of(settings), sort_keys=True).encode()).hexdigest()[:8]


def _plain(value: object) -> object:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, partial):
        named = {name: _plain(item) for name, item in value.keywords.items()}
        return {
            "call": _plain(value.func),
            **({"with": [_plain(item) for item in value.args]} if value.args else {}),
        } | named
    if isinstance(value, ParametricCurve):
        return _plain_curve(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {"kind": type(value).__name__} | {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return getattr(value, "__qualname__", type(value).__qualname__)


def _plain_curve(curve: ParametricCurve) -> dict[str, object]:
    """As the first records have it: ``until`` which share of the run it changes, if not to its end."""
    plain = {"kind": type(curve).__name__, **asdict(curve)}
    steps = plain.pop("steps", 1.0)
    if "after" in plain:
        plain["after"] = plain["after"] or 0.0
    return plain if steps == 1.0 else plain | {"until": steps}
