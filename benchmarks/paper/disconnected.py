"""Ten sets of disconnected manifolds of different dimension, and what an atlas of a flow's prior says of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from nflows_spread import DegenerateGaussianMixture, atlas_of, base_of
from nflows_spread.datasets import Points
from nflows_spread.linalg.distances import nearest_neighbours
from paper.data_sets import DataSet, Folders
from paper.results import Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.gridspec import SubplotSpec

_ROWS, _HELD_OUT, _REFERENCE = 2000, 500, 20_000
"""Of each manifold: to train on, held out, and for the distance to the set, which they make a little too large."""

_FAR = 4.0
"""σ_x beyond which a sample is far from the data."""

_TICKS = (0.0, 0.1, 1.0, 10.0, 100.0)
"""Of the share of samples, in per cent."""

Draw = Callable[[int, torch.Generator], Tensor]


class Part(NamedTuple):
    """One of the manifolds: its dimension, n points of it from a generator, and where need be the nearest ones to x."""

    dimension: int
    draw: Draw
    nearest: Callable[[Tensor], Tensor] | None = None


def _uniform(rows: int, columns: int, generator: torch.Generator) -> Tensor:
    return 2.0 * torch.rand(rows, columns, generator=generator) - 1.0


def _in(features: int, axes: list[int], draw: Draw, at: list[float] | None = None) -> Draw:
    """The same along some of the axes, and about a centre."""

    def placed(rows: int, generator: torch.Generator) -> Tensor:
        x = torch.zeros(rows, features) if at is None else torch.tensor(at).repeat(rows, 1)
        x[:, axes] += draw(rows, generator)
        return x

    return placed


def segment(rows: int, generator: torch.Generator, *, half: float = 1.0) -> Tensor:
    """Of a length of 2 ``half``."""
    return half * _uniform(rows, 1, generator)


def cube(rows: int, generator: torch.Generator, *, dimension: int) -> Tensor:
    """Of side 2."""
    return _uniform(rows, dimension, generator)


def sphere(rows: int, generator: torch.Generator, *, dimension: int, radius: float = 1.0) -> Tensor:
    """Of a radius, about the origin."""
    x = torch.randn(rows, dimension + 1, generator=generator)
    return radius * x / x.norm(dim=1, keepdim=True)


def ball(rows: int, generator: torch.Generator, *, dimension: int) -> Tensor:
    """Uniform in the unit ball."""
    shell = sphere(rows, generator, dimension=dimension - 1)
    return shell * torch.rand(rows, 1, generator=generator) ** (1.0 / dimension)


def arc(rows: int, generator: torch.Generator, *, turn: float = 0.5, rise: float = 0.0) -> Tensor:
    """Of so many turns; a helix of three columns where it rises."""
    t = math.pi * turn * _uniform(rows, 1, generator)
    return torch.cat([t.cos(), t.sin(), *([rise * t] if rise else [])], 1)


def roll(rows: int, generator: torch.Generator) -> Tensor:
    """Half a cylinder."""
    return torch.cat([arc(rows, generator), _uniform(rows, 1, generator)], 1)


def torus(rows: int, generator: torch.Generator) -> Tensor:
    """Of the radii 1.5 and 0.5."""
    u, v = (math.pi * _uniform(rows, 2, generator)).unbind(1)
    wide = 1.5 + 0.5 * v.cos()
    return torch.stack([wide * u.cos(), wide * u.sin(), 0.5 * v.sin()], 1)


def saddle(rows: int, generator: torch.Generator) -> Tensor:
    """Over a square of side 2."""
    x = _uniform(rows, 2, generator)
    return torch.cat([x, 0.5 * (x[:, :1].square() - x[:, 1:].square())], 1)


def parabola(rows: int, generator: torch.Generator) -> Tensor:
    """Over a segment of length 2."""
    t = _uniform(rows, 1, generator)
    return torch.cat([t, t.square()], 1)


def _nearest_of_the_cube(x: Tensor) -> Tensor:
    """Of four dimensions about (0, −3, 0, 0) in eight, where points for reference are 0.2 and more apart."""
    centre = torch.tensor([0.0, -3.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    half = torch.tensor([1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0])
    return centre + (x - centre).clamp(-half, half)


SETS: dict[str, tuple[int, tuple[Part, ...]]] = {
    "segment and disc": (
        3,
        (
            Part(1, _in(3, [2], segment, [2.0, 0.0, 0.0])),
            Part(2, _in(3, [0, 1], partial(ball, dimension=2))),
        ),
    ),
    "circle and sphere": (
        5,
        (
            Part(1, _in(5, [3, 4], partial(sphere, dimension=1), [3.0, 0.0, 0.0, 0.0, 0.0])),
            Part(2, _in(5, [0, 1, 2], partial(sphere, dimension=2))),
        ),
    ),
    "three clusters": (
        6,
        (
            Part(1, _in(6, [0, 1], arc, [3.0, 0.0, 0.0, 0.0, 0.0, 0.0])),
            Part(2, _in(6, [2, 3, 4], roll, [0.0, 0.0, 3.0, 0.0, 0.0, 0.0])),
            Part(3, _in(6, [3, 4, 5], partial(ball, dimension=3), [-3.0, 0.0, 0.0, 0.0, 0.0, 0.0])),
        ),
    ),
    "ring around a sphere": (
        3,
        (
            Part(1, _in(3, [0, 1], partial(sphere, dimension=1, radius=2.0))),
            Part(2, partial(sphere, dimension=2)),
        ),
    ),
    "moons and square": (
        3,
        (
            Part(1, _in(3, [0, 2], arc)),
            Part(1, _in(3, [0, 1], arc, [-0.5, 1.5, 1.5])),
            Part(2, _in(3, [1, 2], partial(cube, dimension=2), [-1.5, -1.0, 0.0])),
        ),
    ),
    "helix and square": (
        3,
        (
            Part(1, partial(arc, turn=1.5, rise=0.3)),
            Part(2, _in(3, [1, 2], partial(cube, dimension=2), [2.5, 0.0, 0.0])),
        ),
    ),
    "torus and axis": (3, (Part(1, _in(3, [2], partial(segment, half=1.5))), Part(2, torus))),
    "parabola, saddle and ball": (
        4,
        (
            Part(1, _in(4, [0, 3], parabola, [0.0, 0.0, 2.5, 0.0])),
            Part(2, _in(4, [0, 1, 2], saddle)),
            Part(3, _in(4, [1, 2, 3], partial(ball, dimension=3), [0.0, 3.0, 0.0, 0.0])),
        ),
    ),
    "segment between squares": (
        3,
        (
            Part(1, _in(3, [0], segment)),
            Part(2, _in(3, [0, 1], partial(cube, dimension=2), [0.0, 0.0, 1.0])),
            Part(2, _in(3, [0, 1], partial(cube, dimension=2), [0.0, 0.0, -1.0])),
        ),
    ),
    "circle, roll and cube": (
        8,
        (
            Part(1, _in(8, [0, 7], partial(sphere, dimension=1))),
            Part(2, _in(8, [4, 5, 6], roll, [0.0, 3.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])),
            Part(
                4,
                _in(8, [0, 1, 2, 3], partial(cube, dimension=4), [0.0, -3.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]),
                _nearest_of_the_cube,
            ),
        ),
    ),
}
"""By name: D, and the manifolds. Whatever was chosen for them, the pieces and their read-out, was chosen on others."""


def union(name: str, seed: int, folders: Folders) -> DataSet:
    """Points of all manifolds of a set, 2 000 each, in random order; their coordinates are the numbers of the parts."""
    generator = torch.Generator().manual_seed(seed)
    train, held_out = (_points(name, rows, generator) for rows in (_ROWS, _HELD_OUT))

    def distance(x: Tensor) -> Tensor:
        found = nearest_neighbours(x, _reference(name), 1).distances.squeeze(1)
        for part in SETS[name][1]:
            if part.nearest is not None:
                found = torch.minimum(found, (x - part.nearest(x)).double().norm(dim=1))
        return found

    return DataSet(train=train, held_out=held_out, intrinsic_dimension=None, distance=distance)


@cache
def _reference(name: str) -> Tensor:
    return _points(name, _REFERENCE, torch.Generator().manual_seed(2**31)).x


def _points(name: str, rows: int, generator: torch.Generator) -> Points:
    _, parts = SETS[name]
    x = torch.cat([part.draw(rows, generator) for part in parts])
    labels = torch.arange(len(parts)).repeat_interleave(rows)
    order = torch.randperm(len(x), generator=generator)
    return Points(x[order], labels[order].unsqueeze(1))


def read_out(name: str, result: Result) -> dict[str, object]:
    """What samples and dimensions say of the parts.

    ``far`` is the share of samples farther than 4 σ_x from the set: of whole samples without their noise, or of one
    Gaussian of samples at its dimension. Of a prior in pieces ``far_by_atlas`` is that of the atlas's samples,
    ``components`` the true dimension, that by the atlas, and the share of rows of the right part for each component,
    the heaviest first, and ``right`` whether there is one component for each part, all of the right dimension.
    """
    noise, (_, parts) = result.trained.data_noise, SETS[name]
    numbers: dict[str, object] = {"far": _far(result, result.samples)}
    if not isinstance(base_of(result.trained.flow), DegenerateGaussianMixture):
        return numbers
    x, labels = result.data.train.x, result.data.train.coordinates.squeeze(1)
    generator = result.generator()
    atlas = atlas_of(result.trained.flow, x, data_noise=noise, generator=generator)
    numbers["far_by_atlas"] = _far(result, atlas.sample(result.settings.samples, generator=generator))
    component, found = atlas.component_of_pieces[atlas.assign(x)], []
    for number, each in enumerate(atlas.components):
        own = labels[component == number]
        part = int(own.mode().values) if len(own) else -1
        pure = float((own == part).double().mean()) if len(own) else 0.0
        found.append((part, parts[part].dimension, int(each.dimension), pure))
    numbers["components"] = [list(each[1:]) for each in found]
    one_each = sorted(each[0] for each in found) == list(range(len(parts)))
    return numbers | {"right": one_each and all(each[1] == each[2] for each in found)}


def by_set(figure: Figure, place: SubplotSpec, results: Sequence[Result]) -> None:
    """The share of samples that are far from each set, by each way to draw them."""
    axes = figure.add_subplot(place)
    places = {name: number for number, name in enumerate(SETS)}
    kinds: dict[str, list[tuple[float, int]]] = {}
    for result in results:
        name, _, kind = result.name.rpartition(", ")
        kinds.setdefault(kind, []).append((100.0 * float(result.numbers["far"]), places[name]))  # type: ignore[arg-type]
        if (by_atlas := result.numbers.get("far_by_atlas")) is not None:
            kinds.setdefault("its atlas", []).append((100.0 * float(by_atlas), places[name]))  # type: ignore[arg-type]
    for (kind, points), marker in zip(kinds.items(), "oD^"):
        axes.plot(*zip(*points), marker, ms=5, label=kind)
    axes.axvline(0.5, color="k", ls=":", lw=1.0)
    axes.set_xscale("symlog", linthresh=0.1)
    axes.set_xlim(-0.02, 100.0)
    axes.set_xticks(_TICKS, [f"{tick:g}" for tick in _TICKS])
    axes.minorticks_off()
    axes.set_yticks(list(places.values()), list(places), fontsize=7)
    axes.set_xlabel("samples farther than 4 σ_x, %")
    axes.legend(
        fontsize=6, ncols=3, loc="lower center", bbox_to_anchor=(0.4, 1.0), handletextpad=0.1, columnspacing=0.8
    )


def _far(result: Result, samples: Tensor) -> float:
    distances = result.data.distance(samples.detach())
    return float((distances > _FAR * result.trained.data_noise).double().mean())
