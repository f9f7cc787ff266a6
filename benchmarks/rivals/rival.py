"""A rival: how it is fitted within a budget, what it is given, where its numbers are from, and what was tried."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from baselines.budgeted_training import Budget
from charts.data_set import Array, Split
from charts.measures import ERROR
from charts.model import Model, NoAnswerError
from rivals.measures import DENSITY, DISTANCE


class Fit(Protocol):
    """What a rival makes of rows."""

    def __call__(self, x: Array, rank: int, seed: int, budget: Budget, **settings: Any) -> Model:
        """Fit training rows (n, D) with K coordinates; what finds K itself does not look at the one given."""


@dataclass(frozen=True)
class Rival:
    """One system.

    Attributes:
        fit: see ``Fit``.
        reference: whose it is.
        rank: whether it has to be told K, finds it, or has no use for it, as a density of all D dimensions.
        tried: values of its settings that were tried on the sets made for it, by name, in the order in which they were;
            a setting has the first until it is its turn. The defaults of ``fit`` are what was chosen.
        judged_by: measures by which the values are compared: those that it has.
        times: how many times the spread flow's processor time it has.
        labelled: whether it learns from labels, ``labels`` of its ``fit``, and has no answer without.
    """

    fit: Fit
    reference: str
    rank: Literal["given", "found", "none"] = "given"
    tried: Mapping[str, Sequence[float]] = field(default_factory=dict)
    judged_by: Sequence[str] = (ERROR, DISTANCE, DENSITY)
    times: float = 1.0
    labelled: bool = False

    def given(self, rows: Split) -> dict[str, Any]:
        """What its ``fit`` is given beside the rows.

        Raises:
            NoAnswerError: it learns from labels, and the rows have none.
        """
        if not self.labelled:
            return {}
        if rows.labels is None:
            raise NoAnswerError("it learns from labels, and the rows have none")
        return {"labels": rows.labels}

    def declaration(self) -> dict[str, Any]:
        """What the record says of it."""
        tried = {name: list(values) for name, values in self.tried.items()}
        return {
            "reference": self.reference,
            "rank": self.rank,
            "tried": tried,
            "judged_by": list(self.judged_by),
            "times": self.times,
            "labelled": self.labelled,
        }


def tensor(x: Array) -> Tensor:
    """Rows as float32."""
    return torch.as_tensor(np.asarray(x), dtype=torch.float32)


def in_chunks(function: Callable[[Tensor], Tensor], *, rows: int = 2000) -> Callable[[Array], Array]:
    """A function of tensors as one of arrays, without gradients, so many rows at a time."""

    def of_array(x: Array) -> Array:
        with torch.no_grad():
            parts = [function(part).double() for part in tensor(x).split(rows)]
        found: Array = torch.cat(parts).numpy()
        return found

    return of_array


def samples_of(draw: Callable[[int, torch.Generator], Tensor], seed: int) -> Callable[[int], Array]:
    """So many samples as an array, without gradients, of a generator that goes on from the seed."""
    generator = torch.Generator().manual_seed(seed)

    def sample(count: int) -> Array:
        with torch.no_grad():
            found: Array = draw(count, generator).double().numpy()
        return found

    return sample


def parameters(*modules: nn.Module) -> int:
    """How many numbers are trained, each counted once."""
    return sum({id(p): p.numel() for module in modules for p in module.parameters()}.values())
