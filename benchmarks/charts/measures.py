"""Measures of a chart on held-out rows: reconstruction, neighbourhoods, samples, likelihood."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from charts.data_set import Array, DataSet, Split
from charts.model import Model, NoAnswerError
from nflows_spread.chart.trustworthiness import trustworthiness_by_row
from nflows_spread.linalg.distances import nearest_neighbours

NEIGHBOURS = 10
"""Of trustworthiness and continuity, by convention."""

SAMPLES = 20_000
"""Samples that are drawn of each model. Columns have kurtoses of up to 460: of 1 000 rows drawn from the data itself,
with replacement, the worst column's deviation was off by more than 15 % in 19 draws of 20 on four tables."""

COMPARED = 1000
"""Samples, evenly among them, whose nearest rows are looked for: a choice, for time; of a median that is many."""

MARGIN = 0.1
"""How far beyond the data a sample may be, as a share of a column's range: the issue of this benchmark says 10 %."""

_CONSTANT = 1e-9
"""Range of a column, in units of the data's scale, up to which it does not vary and no sample is measured by it."""


@dataclass(frozen=True)
class Measured:
    """What was measured of a model.

    Attributes:
        values: by the name of the measure.
        missing: why there is no value, by the name of the measure.
    """

    values: Mapping[str, float]
    missing: Mapping[str, str]


def measure(model: Model, data: DataSet, rows: Split) -> Measured:
    """All that a model can be asked for. What fails is missing, with its reason, and the rest goes on."""
    values: dict[str, float] = {}
    missing: dict[str, str] = {}

    def ask(names: tuple[str, ...], answer: Callable[[], Mapping[str, float]]) -> None:
        try:
            found = answer()
            if bad := [name for name in names if not np.isfinite(found[name])]:
                raise NoAnswerError(f"{bad[0]} is not finite")
            values.update({name: float(found[name]) for name in names})
        except Exception as error:
            reason = str(error) if isinstance(error, NoAnswerError) else f"{type(error).__name__}: {error}"
            missing.update(dict.fromkeys(names, reason.splitlines()[0] if reason else type(error).__name__))

    ask((ERROR,), lambda: {ERROR: reconstruction_error(model, rows)})
    ask((TRUST, CONTINUITY), lambda: neighbourhoods(model, rows))
    ask((NEAREST, SPREAD, BEYOND, OVERSHOOT), lambda: samples_beside(model, rows))
    ask((LIKELIHOOD,), lambda: {LIKELIHOOD: log_likelihood(model, data, rows)})
    return Measured(values, missing)


def reconstruction_error(model: Model, rows: Split) -> float:
    """Root mean squared distance of held-out rows from their reconstructions, over the root of the total variance.

    The total variance is that of all rows: 0 is all, and about 1 is as far as the mean.
    """
    if model.encode is None or model.decode is None:
        raise NoAnswerError("no points at coordinates")
    distances = np.square(model.decode(model.encode(rows.held_out)) - rows.held_out).sum(axis=1)
    return float(np.sqrt(distances.mean() / rows.all.var(axis=0).sum()))


def neighbourhoods(model: Model, rows: Split) -> dict[str, float]:
    """Trustworthiness and continuity of the coordinates of held-out rows among those of all rows.

    Continuity is the trustworthiness of the data for the coordinates: whether neighbours stay neighbours.
    """
    if model.encode is None:
        raise NoAnswerError("no coordinates")
    held_out = torch.as_tensor(np.array(model.encode(rows.held_out), dtype=np.float64))
    if held_out.shape[1] != model.rank:
        raise NoAnswerError(f"{held_out.shape[1]} coordinates for {model.rank}")
    train = torch.as_tensor(np.array(model.encode(rows.train), dtype=np.float64))
    if not bool(held_out.isfinite().all() and train.isfinite().all()):
        raise NoAnswerError("coordinates are not finite")
    data = torch.as_tensor(rows.held_out), torch.as_tensor(rows.all)
    coordinates = held_out, torch.cat([held_out, train])
    return {
        TRUST: _kept(data, coordinates),
        CONTINUITY: _kept(coordinates, data),
    }


def samples_beside(model: Model, rows: Split, count: int = SAMPLES) -> dict[str, float]:
    """Samples beside the data: how near, how wide in each column, and how many too far out.

    - nearest: the median distance of a thousand samples to the nearest training row, over the same of the held-out
      rows; 1 is as the data, less is a copy of the training rows, more is beside the manifold;
    - spread: of the standard deviations of the columns over the data's the one that is farthest from 1 as a ratio;
    - beyond: the share of samples of which a column is out of the data's range by more than a tenth of it, and
      overshoot, by how many ranges the farthest is out of it.
    """
    if model.sample is None:
        raise NoAnswerError("no samples")
    drawn = np.asarray(model.sample(count), dtype=np.float64)
    if not np.isfinite(drawn).all():
        raise NoAnswerError("samples are not finite")
    low, high = rows.all.min(axis=0), rows.all.max(axis=0)
    varies = high - low > _CONSTANT
    ratios = drawn.std(axis=0)[varies] / rows.all.std(axis=0)[varies]
    out = (np.maximum(low - drawn, drawn - high)[:, varies] / (high - low)[varies]).max(axis=1)
    some = drawn[:: max(1, len(drawn) // COMPARED)]  # of all components of a mixture, which come one after the other
    with np.errstate(divide="ignore"):
        worst = ratios[int(np.abs(np.log(ratios)).argmax())]
    return {
        NEAREST: _to_nearest(some, rows.train) / _to_nearest(rows.held_out, rows.train),
        SPREAD: float(worst),
        BEYOND: float((out > MARGIN).mean()),
        OVERSHOOT: float(max(out.max(), 0.0)),
    }


def log_likelihood(model: Model, data: DataSet, rows: Split) -> float:
    """The mean log-density of the held-out rows, in nats a row, where the data has a density."""
    if model.log_prob is None:
        raise NoAnswerError("no density in the data's units")
    if not data.density:
        raise NoAnswerError("the data has no bounded density in D dimensions")
    return float(np.mean(model.log_prob(rows.held_out)))


def _kept(space: tuple[torch.Tensor, torch.Tensor], image: tuple[torch.Tensor, torch.Tensor]) -> float:
    """The mean trustworthiness of the image of rows, each beside all."""
    return float(trustworthiness_by_row(space[0], image[0], space[1], image[1], neighbours=NEIGHBOURS).mean())


def _to_nearest(x: Array, among: Array) -> float:
    """The median distance of rows to the nearest of others."""
    return float(np.median(nearest_neighbours(torch.as_tensor(x), torch.as_tensor(among), 1).distances.numpy()))


ERROR, TRUST, CONTINUITY = "error", "trustworthiness", "continuity"
NEAREST, SPREAD, BEYOND, OVERSHOOT = "nearest", "spread", "beyond", "overshoot"
LIKELIHOOD = "log-likelihood"
MEASURES: Mapping[str, str] = {
    ERROR: "held-out reconstruction error over the root of the total variance",
    TRUST: "trustworthiness, 10 neighbours, held-out rows among all",
    CONTINUITY: "continuity, likewise",
    NEAREST: "median distance of samples to the nearest training row, over that of held-out rows",
    SPREAD: "standard deviation of the samples over the data's, of the worst column",
    BEYOND: "share of samples beyond the data's range and a tenth of it in any column",
    OVERSHOOT: "by how many ranges of a column the farthest sample is beyond it",
    LIKELIHOOD: "held-out log-likelihood, nats a row",
}


def rounded(values: Mapping[str, Any]) -> dict[str, float]:
    """For the record: five significant digits."""
    return {name: float(f"{value:.5g}") for name, value in values.items()}
