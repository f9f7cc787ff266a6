"""The estimator's recipe (hyperparameters): couplings, width, steps, learning rate; a flow's size by rows and features.

Where no other source is named, a number was chosen by trials on seed 0 of the 24 manifolds of
``docs/intrinsic_dimension.md``, which also has the trials on other manifolds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from nflows_spread import validation
from nflows_spread.deprecation import RenamedAttribute, renamed_arguments, renamed_state
from nflows_spread.factors import Factor, LowerTriangularFactor, SpreadCholeskyFactor

_LARGEST_DENSE = 512
"""Features up to which the prior's factor is the paper's A. From the times of a step that ``factor_for`` names."""

_ROWS_PER_UNIT = 28
"""Rows of data for each unit of a hidden layer. From trials on other manifolds."""

_WIDTHS = (16, 128)
"""Narrowest and widest hidden layer, in units; between them are multiples of 8. A choice; not measured."""

_COUPLINGS, _MORE_COUPLINGS = 6, 12
"""Couplings in many features, and how many more in one, which fall off as 1/D. From trials on other manifolds."""

_RENAMED = {
    "annealed": "anneal_fraction",
    "first_look": "first_check",
    "look_every": "check_every",
    "looks": "patience",
    "least_noise": "min_noise",
    "held_out": "validation_fraction",
}
"""Fields of ``Recipe`` by their old names."""

_COUNTS = (
    *("bins", "steps", "first_check", "check_every", "patience", "batch_size"),
    *("chart_width", "chart_batch_size", "chart_neighbours"),
)
"""Fields of ``Recipe`` that are whole numbers of at least 1."""

_POSITIVE = (
    *("learning_rate", "spline_rate", "gradient_clip", "spread_variance"),
    *("first_noise", "last_noise", "min_noise"),
    *("chart_rate", "chart_first_noise", "chart_last_noise"),
)
"""Fields of ``Recipe`` that are finite numbers above 0."""


@renamed_arguments(_RENAMED)
@dataclass(frozen=True)
class Recipe:
    """The numbers of the default recipe. Lengths are in units of the data's scale, its root mean variance a feature.

    Attributes:
        layers: couplings, or None for ``couplings_for`` the data.
        hidden_features: width of the two hidden layers of their nets, or None for ``width_for`` the data.
        bins: of each feature's spline.
        steps: of the annealing and the settling together, at most.
        anneal_fraction: share of the steps after which σ_x has reached its end, if the annealing does not stop before.
        first_check: step of the annealing at which the dimension is read off for the first time.
        check_every: steps between checks of the dimension.
        patience: checks in a row with the same dimension that end the annealing. The settling that follows takes σ_x to
            its end in its first half, and the learning rate down. These numbers and the rate are from trials on sets
            made for it, beside a recipe of 1 500 steps at a fifth of the rate with checks from 300 on: the same
            dimensions and intervals, and fresh rows at least as likely.
        batch_size: rows a step.
        learning_rate: of Adam at the start; it falls to nothing along a straight line.
        spline_rate: by how much the splines learn faster.
        weight_decay: of the nets' weights; without it 2 000 points in 20 dimensions are overfitted.
        first_noise: σ_x at the start.
        last_noise: σ_x at the end, or the median distance to the nearest neighbour where that is smaller.
        min_noise: σ_x never falls below.
        spread_variance: σ_Z², far below all else in latents of unit scale.
        validation_fraction: share of the rows held out for the density's read-out, which overfitting would flatter.
        gradient_clip: largest norm of the gradient.
        chart_steps: of the training of the chart at K, or None for twice ``steps``. This number, and the others
            of the chart, from trials on S-curve, rolls, smooth sets, digits and breast cancer.
        chart_width: of the three hidden layers of its encoder and of its decoder.
        chart_batch_size: rows a step of it.
        chart_rate: its largest learning rate, which rises and falls. Half as many rows at twice the rate as before gave
            less error on smooth sets and a roll in seven tenths of the time, and 2 % more on noisy ones.
        chart_first_noise: standard deviation of the noise on what its encoder sees, at the start.
        chart_last_noise: the same at the end.
        chart_neighbours: of a point, along which geodesic distances run, from which it starts.
        geodesic_fraction: share of its steps over which their weight falls to nothing.

    Raises:
        TypeError: a count is no integer.
        ValueError: a number is out of range.
    """

    layers: int | None = None
    hidden_features: int | None = None
    bins: int = 32
    steps: int = 500
    anneal_fraction: float = 0.7
    first_check: int = 100
    check_every: int = 50
    patience: int = 3
    batch_size: int = 200
    learning_rate: float = 7e-3
    spline_rate: float = 5.0
    weight_decay: float = 1.0
    first_noise: float = 0.5
    last_noise: float = 0.01
    min_noise: float = 0.003
    spread_variance: float = 1e-6
    validation_fraction: float = 0.1
    gradient_clip: float = 5.0
    chart_steps: int | None = None
    chart_width: int = 128
    chart_batch_size: int = 100
    chart_rate: float = 8e-3
    chart_first_noise: float = 0.1
    chart_last_noise: float = 0.02
    chart_neighbours: int = 10
    geodesic_fraction: float = 0.6

    annealed = RenamedAttribute("anneal_fraction")
    first_look = RenamedAttribute("first_check")
    look_every = RenamedAttribute("check_every")
    looks = RenamedAttribute("patience")
    least_noise = RenamedAttribute("min_noise")
    held_out = RenamedAttribute("validation_fraction")

    def __post_init__(self) -> None:
        for name in _COUNTS:
            validation.positive_int(name, getattr(self, name))
        for name in ("layers", "hidden_features", "chart_steps"):
            if getattr(self, name) is not None:
                validation.positive_int(name, getattr(self, name))
        for name in _POSITIVE:
            validation.positive(name, getattr(self, name))
        validation.non_negative("weight_decay", self.weight_decay)
        validation.share("anneal_fraction", self.anneal_fraction)
        validation.share("geodesic_fraction", self.geodesic_fraction)
        if validation.share("validation_fraction", self.validation_fraction) == 1.0:
            raise ValueError("validation_fraction must be below 1, got 1.0: no row would be left to train on")

    @property
    def steps_of_chart(self) -> int:
        """``chart_steps``, or twice ``steps``: short trainings have short charts."""
        return 2 * self.steps if self.chart_steps is None else self.chart_steps

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        """From a pickle, of an older version too."""
        self.__dict__.update(renamed_state(state, _RENAMED))


def width_for(rows: int) -> int:
    """The width of the nets' hidden layers for n rows: n / 28, rounded to a multiple of 8, clipped to [16, 128].

    So a net has fewer weights than the data has numbers, whatever the number of features: its first and last layer are
    as wide as they are many. 500 points are overfitted by a wider one.
    """
    narrowest, widest = _WIDTHS
    return min(widest, max(narrowest, 8 * round(rows / (8 * _ROWS_PER_UNIT))))


def couplings_for(features: int) -> int:
    """The number of couplings for so many features: six, and as many more as twelve over the features.

    A coupling moves half of the features by what the other half tells. Of three that is one by two or two by one, and a
    helix, a roll or a knot takes ten of them; in many features more couplings change no dimension.
    """
    return _COUPLINGS + round(_MORE_COUPLINGS / features)


def factor_for(features: int) -> Callable[[int], Factor]:
    """The kind of the prior's factor for so many features: the paper's A up to 512, then the spread Cholesky factor.

    A's step costs a decomposition, which grows as D³. The other's needs none and has the same optimum: a whole step of
    200 rows took as long at 256 features, 1.6 to 1.8 times less at 512 and four times less at 2 000.
    """
    return LowerTriangularFactor if features <= _LARGEST_DENSE else SpreadCholeskyFactor
