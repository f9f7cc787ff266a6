"""Duplicates: rows repeated exactly, up to rounding or up to a small difference."""

import contextlib

import pytest
import torch

from nflows_spread.dimension import neighbour_dimension
from nflows_spread.dimension.distinct_points import check_range, distinct_points, without_near_repeats, without_repeats
from support import refused

pytestmark = pytest.mark.usefixtures("float64")

PLANE = torch.tensor([[1.0, 0.3, 0.2], [0.0, 1.0, 0.5]], dtype=torch.float64)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def square(n, seed=0):
    return torch.rand(n, 2, generator=seeded(seed)) @ PLANE


def test_distinct_points_are_told_with_the_rows_that_they_are():
    x = square(60).float()
    rows = torch.cat([x, x[:7]])
    points, which = distinct_points(rows)
    assert points.shape == (60, 3)
    assert points.dtype == torch.float64
    torch.testing.assert_close(points[which], rows.double(), rtol=0.0, atol=0.0)


def test_exact_and_near_repeats_go_together():
    x = square(300)
    rows = torch.cat([x, x[:20], x[20:40] + 1e-9])
    kept, which = without_repeats(rows)
    assert len(kept) == 300
    torch.testing.assert_close(kept[which], rows, rtol=0.0, atol=2e-9)


def test_too_few_are_refused_by_the_name_that_the_caller_has_for_them():
    with refused(ValueError, "data must have at least 50 distinct points, got 49 among 98; give more"):
        distinct_points(square(49).repeat(2, 1), name="data", remedy="; give more")


@pytest.mark.parametrize("distance", [1e-12, 1e-9, 1e-7, 1e-5])
@pytest.mark.parametrize("share", [0.005, 0.05, 0.4, 1.0])
def test_rows_repeated_up_to_a_small_difference_count_once(distance, share):
    x = square(1000)
    repeated = x[: int(share * len(x))]
    both = torch.cat([x, repeated + distance * torch.randn(repeated.shape, generator=seeded(1))])
    alone, found = (neighbour_dimension(part, generator=seeded()) for part in (x, both))
    few = share < 0.1 and distance > 1e-6  # so few and so far that they are not told from neighbours by chance
    assert found.value == pytest.approx(alone.value, rel=0.12 if few else 0.05)
    assert found.nearest == pytest.approx(alone.nearest, rel=0.1)


def test_the_last_bit_of_five_rows_changes_nothing():
    x = square(60).float()
    counterpart = x[:5].clone()
    counterpart[:, 0] = torch.nextafter(counterpart[:, 0], torch.tensor(9.0, dtype=torch.float32))
    alone, found = (neighbour_dimension(part, generator=seeded()) for part in (x, torch.cat([x, counterpart])))
    assert found.value == pytest.approx(alone.value, rel=0.1)


def test_near_repeats_are_grouped_with_the_first_of_them():
    x = square(300)
    twice, thrice = x[:20] + 1e-9, x[20:40] - 1e-9
    rows = torch.cat([x, twice, thrice, thrice + 3e-9])
    kept, which = without_near_repeats(rows)
    assert torch.equal(kept, x)
    assert torch.equal(which, torch.cat([torch.arange(300), torch.arange(20), *[torch.arange(20, 40)] * 2]))


def test_a_dense_curve_is_no_group_of_near_repeats():
    lines = torch.cartesian_prod(torch.linspace(0.0, 1.0, 400), torch.tensor([0.0, 5.0, 9.0]))
    assert len(without_near_repeats(lines)[0]) == len(lines)


@pytest.mark.parametrize(
    ("distance", "share"),
    [(1e-5, 0.02), (1e-5, 0.1), (1e-4, 0.05), (1e-4, 0.1), (1e-4, 0.4), (3e-4, 0.05)],
)
def test_a_share_of_rows_that_are_too_near_to_each_other_changes_little(distance, share):
    """Beside a median distance of 0.015 to the nearest."""
    x = square(1000)
    repeated = x[: int(share * len(x))]
    both = torch.cat([x, repeated + distance * torch.randn(repeated.shape, generator=seeded(1))])
    found = neighbour_dimension(both, generator=seeded())
    assert found.value == pytest.approx(2.0, rel=0.2)
    assert found.log_plausibility(2) > max(found.log_plausibility(1), found.log_plausibility(3))


@pytest.mark.parametrize(
    ("width", "fits"), [(0.0, True), (1.5e-140, True), (0.5e-140, False), (0.5e140, True), (1.5e140, False)]
)
def test_what_overflows_or_vanishes_when_squared_is_refused(width, fits):
    rows = torch.tensor([[3.0, 1.0], [3.0, 1.0]]) * torch.tensor([1.0, 0.0])
    rows[1, 1] = width
    message = "x must vary by less than 1e+140 and more than 1e-140"
    with contextlib.nullcontext() if fits else refused(ValueError, message):
        check_range(rows)
