"""Data whose intrinsic dimension varies from place to place: unions of a curve and a surface."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from nflows_spread import validation
from nflows_spread.argument_types import typed


class PointsOfUnion(NamedTuple):
    """Points of a union.

    Attributes:
        x: (n, D), in random order.
        dimension: of the piece that each point is from, (n,), int64.
        to_joint: distance of each point to where the pieces meet, (n,).
    """

    x: Tensor
    dimension: Tensor
    to_joint: Tensor


@typed
def lollipop(num_points: int, *, generator: torch.Generator | None = None) -> PointsOfUnion:
    """A segment of length 2 joined to a disc of radius 1, in the plane; half of the points on each.

    The stick runs along the first axis from (−3, 0) to the joint at (−1, 0); the disc is about the origin.

    Raises:
        ValueError: ``num_points`` is below 2.
    """
    stick, disc = _halves(num_points)
    along = 1.0 + 2.0 * torch.rand(stick, generator=generator)
    radii, angles = torch.rand(disc, generator=generator).sqrt(), _angles(disc, generator)
    return _union(
        torch.stack([-along, torch.zeros_like(along)], dim=1),
        torch.stack([radii * angles.cos(), radii * angles.sin()], dim=1),
        torch.tensor([-1.0, 0.0]),
        generator,
    )


@typed
def curve_and_surface(num_points: int, *, generator: torch.Generator | None = None) -> PointsOfUnion:
    """A helix of one turn that leaves a hemisphere at its pole, in space; half of the points on each.

    Raises:
        ValueError: ``num_points`` is below 2.
    """
    helix, sphere = _halves(num_points)
    t = 2.0 * math.pi * torch.rand(helix, generator=generator)
    heights, angles = torch.rand(sphere, generator=generator), _angles(sphere, generator)
    radii = (1.0 - heights.square()).sqrt()
    return _union(
        torch.stack([0.5 * (t.cos() - 1.0), 0.5 * t.sin(), 1.0 + 0.4 * t], dim=1),
        torch.stack([radii * angles.cos(), radii * angles.sin(), heights], dim=1),
        torch.tensor([0.0, 0.0, 1.0]),
        generator,
    )


def _halves(num_points: int) -> tuple[int, int]:
    if validation.positive_int("num_points", num_points) < 2:
        raise ValueError(f"num_points must be at least 2, one for each piece, got {num_points}")
    return num_points // 2, num_points - num_points // 2


def _angles(count: int, generator: torch.Generator | None) -> Tensor:
    return 2.0 * math.pi * torch.rand(count, generator=generator)


def _union(curve: Tensor, surface: Tensor, joint: Tensor, generator: torch.Generator | None) -> PointsOfUnion:
    x = torch.cat([curve, surface])
    dimension = torch.tensor([1, 2]).repeat_interleave(torch.tensor([len(curve), len(surface)]))
    order = torch.randperm(len(x), generator=generator)
    return PointsOfUnion(x[order], dimension[order], (x - joint).norm(dim=1)[order])
