"""What each estimate of the dimension says of one data set, and the votes that are made of them: their log-evidence.

``VOTES`` has what is summed by name, and ``register_vote`` adds to it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from nflows_spread.argument_types import typed
from nflows_spread.deprecation import RenamedAttribute, renamed_arguments, renamed_state
from nflows_spread.dimension.density import DensityDimension
from nflows_spread.dimension.independent_columns import IndependentColumns
from nflows_spread.dimension.neighbours import MOST_OF_NEIGHBOURS, NeighbourDimension
from nflows_spread.dimension.noise_floor import AboveNoise
from nflows_spread.dimension.noisy_neighbours import log_plausibilities
from nflows_spread.dimension.rules import OF_DENSITY, Spectrum, gap_log_evidence, likeliest, rounded
from nflows_spread.dimension.tangent_spaces import TangentSpaces
from nflows_spread.dimension.time_order import SAID_OF_A_PATH
from nflows_spread.dimension.unfilled_spans import ALL_FILLED, UnfilledSpans
from nflows_spread.dimension.variation import Part, said_of_parts
from nflows_spread.registry import Registration, Registry

_NO_VOTE = OF_DENSITY[0]
"""The estimate that is compared with the result and has no vote, as it is an upper bound only. A choice."""

_MOST_ABOVE_NOISE = 1.5 * MOST_OF_NEIGHBOURS
"""What is held against a dimension that is not that above noise in every column, in nats, at the most. A choice: as
much as noisy neighbours and tangent spaces together."""


@renamed_arguments({"thickness": "ambient_noise"})
@dataclass(frozen=True)
class Estimates:
    """What each estimate says about one data set.

    Attributes:
        spectrum: the flow's. Sure of flat and smooth manifolds of any dimension, and of those whose density
            varies; too high where the flow found no chart.
        neighbours: distances between neighbours. Sure of low dimensions, however curved or folded; a few per
            cent wide at high ones, and too low where the density varies within a neighbourhood.
        density: the flow's denoiser, at the scale of σ_x. Needs no chart; an upper bound on average. None where
            nobody asked.
        ambient_noise: standard deviation of the noise that the spectrum shows in the data, in units of the data, or 0.
            The floor of the spectrum is then above σ_x, and the neighbours are those of the denoised points.
        parts: the parts of data whose dimension varies from place to place, or none.
        path: whether the rows, in their order, follow a path and so are no independent draws.
        shells: dimensions of linear spans in which the points may fill a closed surface alone, from ``shells_of``.
        unfilled: dimensions that the points surely do not have, as they do not fill a span of so many, from
            ``unfilled_spans``.
        noisy_neighbours: those of the points as they are, where ``neighbours`` are those of the denoised points.
        tangents: what local principal axes say. Sure where two halves of a neighbourhood share a subspace, also under
            noise; blind to a surface whose faces the points do not show. None where nobody asked.
        above_noise: the dimension of what stands above noise in every column, where that was found, from
            ``dimension_of``; it counts where the noise is small beside the data.
        independent: groups of columns that are independent of each other, whose dimensions add, or None.
        dip: the dimension at a scale between noise and what bends back, where there is one, from ``dimension_of``.
    """

    spectrum: Spectrum
    neighbours: NeighbourDimension
    density: DensityDimension | None = None
    ambient_noise: float = 0.0
    parts: tuple[Part, ...] = ()
    path: bool = False
    shells: tuple[int, ...] = ()
    unfilled: UnfilledSpans = ALL_FILLED
    noisy_neighbours: NeighbourDimension | None = None
    tangents: TangentSpaces | None = None
    above_noise: AboveNoise | None = None
    dip: int | None = None
    independent: IndependentColumns | None = None

    @property
    def distances(self) -> NeighbourDimension | IndependentColumns:
        """What says how plausible a dimension is by distances, by ``log_plausibility``.

        Where groups of columns are independent of each other, by what each group has by itself.
        """
        return self.neighbours if self.independent is None else self.independent

    @property
    def undenoised_neighbours(self) -> NeighbourDimension:
        """Those of the points as they are."""
        return self.neighbours if self.noisy_neighbours is None else self.noisy_neighbours

    thickness = RenamedAttribute("ambient_noise")
    verdicts = RenamedAttribute("by_name")
    against = RenamedAttribute("disagreeing_with")

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(renamed_state(state, {"thickness": "ambient_noise"}))

    @property
    def by_name(self) -> dict[str, float]:
        """The dimension by every rule of the spectrum, by neighbours, and by the density twice; not all are whole.

        A vote that is none of these is listed by the dimension to which it gives most, of several the largest.
        """
        found = {rule: float(dimension) for rule, dimension in self.spectrum.estimates.items()}
        found["neighbours"] = self.neighbours.value
        if self.density is not None:
            found |= dict(zip(OF_DENSITY, (self.density.denoising, self.density.score), strict=True))
        others = {name: nats for name, nats in self._votes().items() if name not in found}
        return found | {name: float(likeliest(nats)) for name, nats in others.items()}

    @property
    def compared(self) -> dict[str, float]:
        """The estimates that vote, of the spectrum by its default rule, and that of the denoiser where it is known."""
        return {name: value for name, value in self.by_name.items() if name in VOTES or name == _NO_VOTE}

    @property
    def log_evidence(self) -> list[float]:
        """That of all votes together for K = 1 … D, in nats.

        Raises:
            ValueError: a vote is not finite or has not one number for each K.
        """
        return [math.fsum(nats) for nats in zip(*self._votes().values(), strict=True)]

    def _votes(self) -> dict[str, list[float]]:
        """The nats of each vote that says something, by its name."""
        found = {name: self._checked(name, vote(self)) for name, vote in VOTES.items()}
        return {name: nats for name, nats in found.items() if nats}

    def _checked(self, name: str, said: Sequence[float]) -> list[float]:
        """Those of one vote as numbers, if they are what a vote must give."""
        features = len(self.spectrum.signal_to_noise)
        try:
            nats = [float(own) for own in said]
        except (TypeError, ValueError) as error:
            raise TypeError(
                f"a vote must be {features} finite numbers, one for each K = 1 … D, got {said!r} from {name!r}"
            ) from error
        if len(nats) not in (0, features) or not all(map(math.isfinite, nats)):
            raise ValueError(
                f"a vote must be {features} finite numbers, one for each K = 1 … D, got {nats} from {name!r}, of "
                f"μ = {self.spectrum.signal_to_noise.tolist()} and a dimension by neighbours of "
                f"{self.neighbours.value}; where these are not finite, train longer, or look for outliers in the data"
            )
        return nats

    def in_units_of(self, scale: float) -> Estimates:
        """The same for data that is ``scale`` times larger."""
        return replace(
            self,
            spectrum=self.spectrum.in_units_of(scale),
            neighbours=self.neighbours.in_units_of(scale),
            density=None if self.density is None else self.density.in_units_of(scale),
            ambient_noise=self.ambient_noise * scale,
            noisy_neighbours=None if self.noisy_neighbours is None else self.noisy_neighbours.in_units_of(scale),
            tangents=None if self.tangents is None else self.tangents.in_units_of(scale),
            above_noise=None if self.above_noise is None else self.above_noise.in_units_of(scale),
        )

    def disagreeing_with(self, dimension: int) -> dict[str, float]:
        """Those of ``compared`` that do not round to this dimension."""
        return {name: value for name, value in self.compared.items() if rounded(value) != dimension}

    def reservations(self, dimension: int) -> list[str]:
        """What speaks against taking one number for the dimension of the data, a sentence each."""
        found = []
        if self.parts:
            found.append(said_of_parts(self.parts))
        if self.path and self.spectrum.estimates["signal_to_noise"] > 1:  # or the path is all there is
            found.append(SAID_OF_A_PATH)
        if self.above_noise is not None and not (self.above_noise.clear and self.above_noise.dimension == dimension):
            found.append(str(self.above_noise))
        found += self.unfilled.said
        otherwise = self.disagreeing_with(dimension)
        if len(otherwise) == len(self.compared):
            said = ", ".join(f"{name} {value:.3g}" for name, value in otherwise.items())
            found.append(
                f"no estimate by itself says {int(dimension)}: {said}; take the interval, more rows or less noise"
            )
        return found


Vote = Callable[[Estimates], Sequence[float]]
"""Gives the log-evidence of one estimate for each dimension K = 1 … D, in nats, up to a constant; finite numbers, or
none at all where it has nothing to say."""


def _vote_of_gaps(estimates: Estimates) -> list[float]:
    nats = gap_log_evidence(estimates.spectrum, ambient_noise=estimates.ambient_noise)[1:]
    if estimates.tangents is not None and (across := estimates.tangents.noise_variance) > 0.0:
        # that no direction is thinner than such noise is no sign of full dimension
        noise = math.sqrt(estimates.ambient_noise**2 + across)
        nats[-1] = min(nats[-1], gap_log_evidence(estimates.spectrum, ambient_noise=noise)[-1])
    return estimates.unfilled.of_gaps(nats)


def _vote_of_neighbours(estimates: Estimates) -> list[float]:
    plausibilities = estimates.distances.log_plausibilities(len(estimates.spectrum.signal_to_noise))
    nats = [max(value, -MOST_OF_NEIGHBOURS) for value in plausibilities]
    if estimates.tangents is None or estimates.independent is not None:
        return nats
    return list(map(max, nats, log_plausibilities(estimates.undenoised_neighbours, estimates.tangents)))


def _vote_of_tangent_spaces(estimates: Estimates) -> list[float]:
    tangents = estimates.tangents
    return [] if tangents is None else estimates.unfilled.of_tangent_spaces(tangents.log_evidence)


def _vote_of_equations(estimates: Estimates) -> list[float]:
    return estimates.unfilled.of_equations(len(estimates.spectrum.signal_to_noise))


def _vote_of_what_is_above_noise(estimates: Estimates) -> list[float]:
    above = estimates.above_noise
    if above is None or not above.clear:
        return []
    best, features = max(above.log_evidence), len(estimates.spectrum.signal_to_noise)
    nats = [max(each - best, -_MOST_ABOVE_NOISE) for each in above.log_evidence]
    return nats + [-_MOST_ABOVE_NOISE] * (features - len(nats))


VOTES: Registry[Vote] = Registry(
    "a vote",
    {
        "signal_to_noise": _vote_of_gaps,
        "neighbours": _vote_of_neighbours,
        "tangent_spaces": _vote_of_tangent_spaces,
        "equations": _vote_of_equations,
        "above_noise": _vote_of_what_is_above_noise,
    },
    reserved=OF_DENSITY,
)
"""Votes by the names of their estimates, in the order in which they are summed; ``register_vote`` adds one."""


@typed
def register_vote(name: str, vote: Vote) -> Registration:
    """Let something else count in ``consensus_dimension``, and so in the dimension of ``SpreadFlowEstimator``.

    It is asked during training too, of ``Estimates`` without a density.

    Args:
        name: what it is called among the ``compared`` estimates.
        vote: ``Estimates`` to log-evidence for each K = 1 … D, in nats, up to a constant. That of a sure estimate
            differs by several nats between dimensions, that of an unsure one hardly.

    Returns:
        What takes it back: by its ``remove()``, or at the end of a ``with``.

    Raises:
        TypeError: the name is no text or the vote no function.
        ValueError: the name is taken.
    """
    return VOTES.register(name, vote)
