"""Data sets of the benchmark of rivals: manifolds whose distance and density are known, and real tables."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from baselines.ten_dimensions import ten_dimensions
from charts.data_set import DataSet
from charts.data_sets import DATA_SETS as OF_CHARTS
from charts.manifolds import ROWS, Drawn
from intrinsic_dimension.embedded_manifold import EmbeddedManifold, angles, normal
from intrinsic_dimension.embeddings import fourier, hills, layered
from nflows_spread.datasets import SCurve, Sine
from nflows_spread.datasets.unions import curve_and_surface
from rivals.synthetic_digits import DIMENSION, decoded, synthetic_digits
from rivals.truth import Known, Parametrised, Truth, Union

_LABELS_OF_TUNING = 5
"""As many as GIN's set has."""

_SINE_ROWS = 1000
"""Of the sine: a choice, as a curve needs fewer."""


@dataclass(frozen=True)
class RivalSet:
    """A data set with what is known of it.

    Attributes:
        data: how its rows are drawn and scaled.
        truth: the manifold, in the data's own units, or None.
    """

    data: DataSet
    truth: Truth | None = None

    @property
    def name(self) -> str:
        """In tables."""
        return self.data.name

    def declaration(self) -> dict[str, Any]:
        """What the record says of it."""
        return {**self.data.declaration(), "truth": self.truth is not None}


def _sine(seed: int) -> Any:
    return Sine().sample(_SINE_ROWS, generator=torch.Generator().manual_seed(seed)).x.double().numpy()


def _two_dimensions(seed: int) -> Any:
    return curve_and_surface(ROWS, generator=torch.Generator().manual_seed(seed)).x.double().numpy()


def _ten_dimensions(seed: int) -> Any:
    """All rows of one set, of which the split takes others by each seed."""
    return ten_dimensions(0).x.double().numpy()


def _labels_of_ten(seed: int) -> Any:
    return ten_dimensions(0).labels.numpy()


def _roll(u: Tensor) -> Tensor:
    """scikit-learn's swiss roll of its two uniform numbers."""
    t = 1.5 * math.pi * (1.0 + 2.0 * u[:, 0])
    return torch.stack([t * t.cos(), 21.0 * u[:, 1], t * t.sin()], 1)


def _unit_square(n: int, generator: torch.Generator) -> Tensor:
    return torch.rand(n, 2, generator=generator, dtype=torch.float64)


def _of_box(log_volume: float) -> Any:
    return lambda u: u.new_full((len(u),), -log_volume)


def _normal_log_density(u: Tensor) -> Tensor:
    return -0.5 * (u.square().sum(1) + u.shape[1] * math.log(2.0 * math.pi))


def in_unit_box(manifold: EmbeddedManifold) -> Parametrised:
    """A manifold of uniform parameters in [−1, 1]^K, as known."""
    return Parametrised(
        manifold.embed, manifold.parameters, _of_box(manifold.dimension * math.log(2.0)), low=-1.0, high=1.0
    )


def _ring(x: Tensor) -> Tensor:
    """Distance from the axis of the torus's tube, seen from the middle, (n,)."""
    return x[:, :2].norm(dim=1) - 2.0


_S_CURVE = Parametrised(
    SCurve().embed,
    lambda n, generator: torch.tensor([3.0 * math.pi, 2.0]) * (_unit_square(n, generator) - torch.tensor([0.5, 0.0])),
    _of_box(math.log(6.0 * math.pi)),
    low=(-1.5 * math.pi, 0.0),
    high=(1.5 * math.pi, 2.0),
)
_HELIX = Parametrised(
    lambda t: torch.cat([0.5 * (t.cos() - 1.0), 0.5 * t.sin(), 1.0 + 0.4 * t], 1),
    angles(1),
    _of_box(0.0),
    low=0.0,
    high=2.0 * math.pi,
)


def _to_hemisphere(x: Tensor) -> Tensor:
    """Distance to the upper half of the unit sphere: above the equator radial, below it to the equator."""
    below = (x[:, :2].norm(dim=1) - 1.0).square() + x[:, 2].square()
    return torch.where(x[:, 2] >= 0.0, (x.norm(dim=1) - 1.0).abs(), below.sqrt())


_TRUTHS: Mapping[str, Truth] = {
    "S-curve": _S_CURVE,
    "swiss roll": Parametrised(_roll, _unit_square, _of_box(0.0), low=0.0, high=1.0),
    "sphere": Known(lambda x: (x.norm(dim=1) - 1.0).abs(), lambda x: x.new_full((len(x),), -math.log(4.0 * math.pi))),
    "torus": Known(
        lambda x: ((_ring(x).square() + x[:, 2].square()).sqrt() - 1.0).abs(),
        lambda x: -torch.log(4.0 * math.pi**2 * (2.0 + torch.atan2(x[:, 2], _ring(x)).cos())),
    ),
    "smooth 5 in 20": in_unit_box(fourier(5, 20, seed=1, length_scale=0.6)),
}
"""Of the data sets of the chart benchmark, by name."""

_OWN = (
    RivalSet(
        DataSet("sine", _sine, "the paper's figure 1: x₂ = sin 2x₁, x₁ normal", 1, real=False, rows=_SINE_ROWS),
        Parametrised(Sine().embed, normal(1), _normal_log_density),
    ),
    RivalSet(
        DataSet(
            "helix and hemisphere", _two_dimensions, "one of two dimensions, and one of one", 2, real=False, rows=ROWS
        ),
        Union([_HELIX, Known(_to_hemisphere, lambda x: x.new_zeros(len(x)))]),
    ),
    RivalSet(
        DataSet(
            "synthetic digits 5",
            synthetic_digits,
            "the decoder of an autoencoder of scikit-learn's digits with five latents",
            DIMENSION,
            real=False,
            rows=ROWS,
        ),
        Parametrised(decoded, normal(DIMENSION), _normal_log_density),
    ),
    RivalSet(
        DataSet(
            "GIN's ten dimensions",
            _ten_dimensions,
            "two latents of five labels, eight of standard deviation 0.01, mixed by couplings; labels are GIN's alone",
            2,
            density=True,
            real=False,
            rows=ROWS,
            labels=_labels_of_ten,
        )
    ),
)

FIRST = ("sine", "S-curve", "swiss roll", "sphere", "torus", "smooth 5 in 20", "breast cancer, standardized")
LATER = (
    "helix and hemisphere",
    "GIN's ten dimensions",
    "synthetic digits 5",
    "iris, standardized",
    "wine, standardized",
    "EEG",
)
OPTIONAL = ("heights, patches", "MNIST, pooled")

_ALL = {
    **{each.name: each for each in _OWN},
    **{name: RivalSet(OF_CHARTS[name], _TRUTHS.get(name)) for name in (*FIRST, *LATER, *OPTIONAL) if name in OF_CHARTS},
}
DATA_SETS: Mapping[str, RivalSet] = {name: _ALL[name] for name in (*FIRST, *LATER, *OPTIONAL)}


def _made(name: str, manifold: EmbeddedManifold) -> RivalSet:
    """A manifold to tune on; the label of a row is which of the first few is nearest to it."""
    draw = Drawn(manifold)

    def labels(seed: int) -> Any:
        x = torch.as_tensor(draw(seed))
        return torch.cdist(x, x[:_LABELS_OF_TUNING]).argmin(1).numpy()

    source = f"made for tuning: {manifold.name}"
    data = DataSet(name, draw, source, manifold.dimension, real=False, rows=ROWS, labels=labels)
    return RivalSet(data, in_unit_box(manifold))


TUNING: Mapping[str, RivalSet] = {
    each.name: each
    for each in (
        _made("hills 2 in 3", hills(2, seed=902)),
        _made("sheet 2 in 6", fourier(2, 6, seed=903, length_scale=0.7)),
        _made("net 4 in 12", layered(4, 12, seed=904)),
    )
}
"""Sets that every rival's numbers were tried on, and that are not reported: random manifolds of seeds of their own."""
