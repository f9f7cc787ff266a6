"""Declaration of an experiment: the flows that are compared, and by what."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from nflows_spread.training.curves import Constant
from paper import measures as numbers
from paper import pictures
from paper.data_sets import DataSet
from paper.pictures import Panel, Together
from paper.results import Measure
from paper.settings import Settings

Baseline = Callable[[DataSet, int], Mapping[str, object]]
"""A function of data and seed that gives the numbers of a model that is no flow."""

PROFILES = ("quick", "full", "paper")


@dataclass(frozen=True)
class Variant:
    """One of the flows that an experiment compares.

    Attributes:
        name: in tables and pictures.
        changes: what it has otherwise than the experiment says, by the names of ``Experiment``'s attributes.
    """

    name: str
    changes: Mapping[str, Any] = field(default_factory=dict)

    def also(self, changes: Mapping[str, Any]) -> Variant:
        """The same with further changes, such as the paper's learning rate for one data set."""
        return Variant(self.name, {**self.changes, **changes})


PAPER = Variant(
    "paper's setting",
    {"data_noise": Constant(0.0), "spread_variance": 1e-4, "learn_mean": False, "gradient_clip": None, "rule": "rank"},
)
OURS = Variant("our default")
PIECES = Variant("prior in 8 pieces", {"pieces": 8})
FIXED_PRIOR = Variant("fixed prior", {"fixed_prior": True})


@dataclass(frozen=True)
class Experiment(Settings):
    """One comparison of flows: the settings that they share, and what is compared.

    As it stands it is the profile ``quick``: minutes on two cores. ``profiles`` says what is different
    in ``full``, at most about an hour, and ``paper``, the paper's own schedule.

    Attributes:
        variants: the flows that are compared, each with what it has otherwise.
        profiles: by name, what the other profiles have otherwise. A variant's changes come after these.
        baselines: rows of the table that are no flows: by name, numbers from the data and the seed.
        measures: the numbers of a trained flow beyond those that every flow has.
        panels: the pictures of a flow, one row each.
        together: pictures of all flows in common, in a last row.
    """

    variants: tuple[Variant, ...] = (PAPER, OURS, FIXED_PRIOR)
    profiles: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    baselines: Mapping[str, Baseline] = field(default_factory=dict)
    measures: tuple[Measure, ...] = numbers.ON_MANIFOLD
    panels: tuple[Panel, ...] = pictures.ON_MANIFOLD
    together: tuple[Together, ...] = ()

    def at(self, profile: str) -> Experiment:
        """The same experiment at another profile.

        Raises:
            ValueError: there is no such profile.
        """
        if profile not in PROFILES:
            raise ValueError(f"profile must be one of {', '.join(PROFILES)}, got {profile!r}")
        return replace(self, **self.profiles.get(profile, {}))

    def with_rows(self, names: Sequence[str]) -> Experiment:
        """The same experiment with those of its flows and baselines alone; with all where none is named.

        Raises:
            ValueError: there is no such row.
        """
        declared = [*(variant.name for variant in self.variants), *self.baselines]
        for name in names:
            if name not in declared:
                raise ValueError(f"--only must be one of {', '.join(map(repr, declared))}, got {name!r}")
        if not names:
            return self
        baselines = {name: baseline for name, baseline in self.baselines.items() if name in names}
        return replace(self, variants=tuple(v for v in self.variants if v.name in names), baselines=baselines)

    def of(self, variant: Variant) -> Experiment:
        """The settings of one of the flows."""
        return replace(self, **variant.changes)
