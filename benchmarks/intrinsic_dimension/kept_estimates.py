"""Whole spectra and profiles of neighbours of a fit, kept so that a rule is judged without training again."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from intrinsic_dimension.manifold_sets import Array
from nflows_spread.dimension.ambient_noise import matters_to_neighbours
from nflows_spread.dimension.consensus import Estimates
from nflows_spread.dimension.density import DensityDimension
from nflows_spread.dimension.independent_columns import Group, IndependentColumns
from nflows_spread.dimension.neighbours import NeighbourDimension, neighbour_dimension
from nflows_spread.dimension.polynomial_equations import Variety
from nflows_spread.dimension.rules import Spectrum
from nflows_spread.dimension.shells import principal_coordinates
from nflows_spread.dimension.tangent_spaces import TangentSpaces, tangent_spaces
from nflows_spread.dimension.unfilled_spans import UnfilledSpans, unfilled_spans
from nflows_spread.dimension.variation import Part
from nflows_spread.dimension.without_flow import with_what_points_tell
from shared.cells import Cell

_DIGITS = 7
"""Significant ones that are kept of a number: what float32 has, in which flows are trained."""


def as_plain(estimates: Estimates) -> dict[str, Any]:
    """Estimates as numbers, lists and mappings, with their log-evidence for K = 1 … D."""
    return {**_plain(vars(estimates)), "log_evidence": _plain(estimates.log_evidence)}


def from_plain(kept: Mapping[str, Any]) -> Estimates:
    """What ``as_plain`` was made of, up to rounding; the log-evidence is counted anew from what they say."""
    spectrum, density = dict(kept["spectrum"]), kept["density"]
    noisy, tangents = kept.get("noisy_neighbours"), kept.get("tangents")
    for name in ("eigenvalues", "signal_to_noise", "errors"):
        if spectrum[name] is not None:
            spectrum[name] = torch.tensor(spectrum[name], dtype=torch.float64)
    return Estimates(
        Spectrum(**spectrum),
        _neighbours_of(kept["neighbours"]),
        density=None if density is None else DensityDimension(**density),
        ambient_noise=kept["ambient_noise"],
        parts=tuple(Part(**part) for part in kept["parts"]),
        path=kept["path"],
        shells=tuple(kept["shells"]),
        unfilled=_unfilled_of(kept.get("unfilled", {})),
        noisy_neighbours=None if noisy is None else _neighbours_of(noisy),
        tangents=None
        if tangents is None
        else TangentSpaces(**{name: _tuples(part) for name, part in tangents.items()}),
        independent=_independent_of(kept.get("independent")),
    )


def with_what_points_say(estimates: Estimates, x: Array, *, seed: int) -> Estimates:
    """Estimates of an earlier fit with what needs no fit as it is today, as ``SpreadFlowEstimator`` makes it.

    That is tangent spaces, noisy neighbours, spans that are not filled, groups of independent columns, and of a
    dimension that falls with the scale what is above noise and between scales.

    Args:
        estimates: in units of the data.
        x: the points, (n, D).
        seed: of the fit.
    """
    points = torch.from_numpy(x)
    tangents = tangent_spaces(points, generator=torch.Generator().manual_seed(seed))
    found = neighbour_dimension(points, generator=torch.Generator().manual_seed(seed))
    noise = estimates.ambient_noise
    noisy = found if noise > 0.0 and matters_to_neighbours(found, noise, x.shape[1]) else None
    shuffled = points[torch.randperm(len(points), generator=torch.Generator().manual_seed(seed))]
    unfilled = unfilled_spans(shuffled, principal_coordinates(shuffled))
    said = replace(estimates, tangents=tangents, noisy_neighbours=noisy, unfilled=unfilled)
    return with_what_points_tell(said, points, found)


def _unfilled_of(kept: Mapping[str, Any]) -> UnfilledSpans:
    variety = kept.get("variety")
    spans = {kind: tuple(kept[kind]) for kind in ("quadrics", "faces") if kind in kept}
    return UnfilledSpans(**spans, variety=None if variety is None else Variety(**variety))


def _independent_of(kept: Mapping[str, Any] | None) -> IndependentColumns | None:
    if kept is None:
        return None
    groups = (Group(**{name: _tuples(part) for name, part in group.items()}) for group in kept["groups"])
    return IndependentColumns(tuple(groups), kept["difference"])


def _neighbours_of(kept: Mapping[str, Any]) -> NeighbourDimension:
    profile = {shape: tuple(values) for shape, values in kept["profile"].items()}
    return NeighbourDimension(**{**kept, "neighbours": tuple(kept["neighbours"]), "profile": profile})


def _tuples(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _tuples(part) for name, part in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


class KeptEstimates:
    """A gzipped JSON file of them by cell, beside the file of results, whose endings ``-estimates.json.gz`` replaces.

    Raises:
        ValueError: the file there is not one of these.
    """

    def __init__(self, results: Path) -> None:
        self.path = results.with_name(f"{results.stem}-estimates.json.gz")
        self.cells: dict[Cell, dict[str, Any]] = {}
        if not self.path.exists():
            return
        try:
            rows = json.loads(gzip.decompress(self.path.read_bytes()))
            self.cells = {Cell(seed, problem, method): kept for seed, problem, method, kept in rows}
        except (OSError, ValueError, TypeError) as error:
            raise ValueError(
                f"{self.path} must hold estimates of this benchmark; move it away, or change --out"
            ) from error

    def put(self, cell: Cell, kept: Mapping[str, Any]) -> None:
        """Add those of a cell and write the file, whole or not at all."""
        self.cells[cell] = dict(kept)
        rows = [[cell.seed, cell.problem, cell.method, self.cells[cell]] for cell in sorted(self.cells)]
        aside = self.path.with_suffix(".tmp")
        aside.write_bytes(gzip.compress(json.dumps(rows).encode(), mtime=0))
        aside.replace(self.path)


def _plain(value: Any) -> Any:
    if isinstance(value, Tensor):
        return _plain(value.tolist())
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}")
    return _plain(vars(value)) if hasattr(value, "__dataclass_fields__") else value
