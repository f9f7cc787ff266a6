"""Evenly spaced points, no independent draws: meshes, even times, rounded values."""

import math

import pytest
import torch

from intrinsic_dimension.manifold_sets import problems
from nflows_spread.dimension import neighbour_dimension
from nflows_spread.dimension.distinct_points import without_near_repeats
from nflows_spread.dimension.even_spacing import jittered
from nflows_spread.dimension.time_order import along_a_path
from nflows_spread.dimension.variation import parts_of

pytestmark = pytest.mark.usefixtures("float64")

PLANE = torch.tensor([[1.0, 0.3, 0.2], [0.0, 1.0, 0.5]], dtype=torch.float64)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def mesh(*sides):
    return torch.cartesian_prod(*(torch.linspace(0.0, 1.0, side) for side in sides)).view(math.prod(sides), -1)


def wave(t):
    return torch.stack([t.sin(), (1.7 * t).cos(), (2.3 * t).sin()], dim=1)


def helix(t):
    return torch.stack([t.cos(), t.sin(), t], dim=1)


def fibonacci_sphere(n):
    height = 1.0 - (2.0 * torch.arange(n) + 1.0) / n
    angle = math.pi * (1.0 + 5.0**0.5) * torch.arange(n)
    radius = (1.0 - height.square()).sqrt()
    return torch.stack([radius * angle.cos(), radius * angle.sin(), height], dim=1)


EVEN = {
    "a segment": (lambda: torch.linspace(0.0, 1.0, 1000)[:, None] * torch.tensor([1.0, 2.0, 3.0]), 1),
    "a short segment": (lambda: torch.linspace(-3.0, 2.0, 73)[:, None] * torch.tensor([0.1, -1.0]), 1),
    "a wave at even times": (lambda: wave(torch.linspace(0.0, 20.0, 1000)), 1),
    "half a helix": (lambda: helix(torch.linspace(0.0, math.pi, 500)), 1),
    "a circle": (lambda: helix(torch.linspace(0.0, 2.0 * math.pi, 201)[:-1])[:, :2], 1),
    "a mesh": (lambda: mesh(32, 32) @ PLANE, 2),
    "a mesh of triangles": (lambda: (mesh(30, 30) @ torch.tensor([[1.0, 0.0], [0.5, 0.75**0.5]])) @ PLANE, 2),
    "a Fibonacci sphere": (lambda: fibonacci_sphere(900), 2),
    "a mesh in space": (lambda: mesh(10, 10, 10), 3),
    "a mesh in four dimensions": (lambda: mesh(6, 6, 6, 6), 4),
    "a rounded line": (
        lambda: (1000.0 * torch.rand(1000, 1, generator=seeded())).round() * torch.tensor([1.0, 2.0, 3.0]),
        1,
    ),
    "rounded coordinates": (lambda: (25.0 * torch.rand(2000, 2, generator=seeded())).round() @ PLANE, 2),
    "a rounded Gaussian": (lambda: (10.0 * torch.randn(2000, 3, generator=seeded())).round(), 3),
}


@pytest.mark.parametrize(("draw", "dimension"), EVEN.values(), ids=EVEN)
def test_evenly_spaced_points_have_the_dimension_of_their_manifold(draw, dimension):
    found = neighbour_dimension(draw(), generator=seeded())
    assert found.even
    assert found.value == pytest.approx(dimension, rel=0.15)
    assert found.log_plausibility(dimension) > max(
        found.log_plausibility(k) for k in (dimension - 1, dimension + 1) if k
    )


@pytest.mark.parametrize("digits", [0, 1])
def test_a_plane_rounded_in_all_columns_keeps_its_dimension_open(digits):
    x = torch.randn(2000, 2, generator=seeded(2)) @ torch.randn(2, 4, generator=seeded(9))
    found = neighbour_dimension((x * 10**digits).round() / 10**digits, generator=seeded())
    assert found.even
    assert found.log_plausibility(2) > -2.0
    assert found.log_plausibility(1) < -4.0


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e5])
def test_an_even_spacing_is_found_at_every_scale_and_in_float32(scale):
    x = (scale * mesh(32, 32) @ PLANE).float()
    assert neighbour_dimension(x, generator=seeded()).value == pytest.approx(2.0, rel=0.12)


def test_a_mesh_that_is_finer_along_one_axis_leaves_the_dimension_open():
    found = neighbour_dimension(mesh(20, 80) @ PLANE, generator=seeded())
    assert found.log_plausibility(1) > -1.0
    assert found.log_plausibility(2) > -2.0
    assert found.log_plausibility(4) < -2.0


@pytest.mark.parametrize("dimension", [1, 2, 3, 6, 15])
@pytest.mark.parametrize("n", [100, 1500])
def test_independent_draws_are_not_taken_for_evenly_spaced(dimension, n):
    x = torch.rand(n, dimension, generator=seeded(dimension)) @ torch.randn(dimension, 15, generator=seeded(1))
    found = neighbour_dimension(x, generator=seeded())
    assert not found.even
    assert len(without_near_repeats(x)[0]) == n


@pytest.mark.slow
@pytest.mark.parametrize("noise", [0.0, 0.05])
@pytest.mark.parametrize("n", [500, 2000])
@pytest.mark.parametrize("which", ["random", "benchmark", "held-out"])
def test_no_manifold_of_the_benchmark_is_taken_for_evenly_spaced_repeated_along_a_path_or_in_parts(which, n, noise):
    found = {}
    for name, problem in problems(which).items():
        x = torch.as_tensor(problem.sample(n, seed=0, noise=noise))
        found[name] = (
            neighbour_dimension(x, generator=seeded()).even,
            len(without_near_repeats(x)[0]) == len(x),
            along_a_path(x),
            parts_of(x),
        )
    assert found == dict.fromkeys(found, (False, True, False, ()))


def test_points_are_moved_and_ordered_by_the_generator_alone():
    x, found = mesh(12, 12) @ PLANE, []
    for seed in range(2):
        torch.manual_seed(seed)
        found.append(jittered(x, 2, seeded(5)))
    assert torch.equal(*found)
    assert not torch.equal(found[0], jittered(x, 2, seeded(6)))
