"""Data whose dimension varies from place to place has parts, other data has none."""

import re

import pytest
import torch

from nflows_spread.dimension.variation import Part, covered_by, dimension_of_parts, parts_of, said_of_parts

pytestmark = pytest.mark.usefixtures("float64")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def cube(dimension, n, seed, features=12):
    x = 2.0 * torch.rand(n, dimension, generator=seeded(seed)) - 1.0
    rotation = torch.linalg.qr(torch.randn(features, features, generator=seeded(seed + 100))).Q[:dimension]
    return x @ rotation + seed * torch.randn(features, generator=seeded(seed + 200))


@pytest.mark.parametrize(
    ("lower", "upper", "share"),
    [
        (1, 4, 0.5),
        (1, 2, 0.5),
        (2, 3, 0.5),
        (2, 4, 0.8),
        (1, 3, 0.85),
        (2, 5, 0.2),
        (3, 5, 0.5),
        (2, 6, 0.5),
        (1, 3, 0.1),
    ],
)
def test_both_dimensions_and_their_shares_are_found(lower, upper, share):
    x = torch.cat([cube(lower, int(1000 * share), 1), cube(upper, int(1000 * (1.0 - share)), 2)])
    first, second = parts_of(x[torch.randperm(len(x), generator=seeded())])
    assert (first.dimension, second.dimension) == (lower, upper)
    assert first.interval[0] <= lower <= first.interval[1]
    assert second.interval[0] <= upper <= second.interval[1]
    assert first.share == pytest.approx(share, abs=0.03)
    assert first.share + second.share == pytest.approx(1.0)


def test_three_parts_are_told_and_so_is_the_sentence():
    x = torch.cat([cube(1, 700, 1), cube(2, 700, 2), cube(5, 600, 3)])
    found = parts_of(x[torch.randperm(len(x), generator=seeded())])
    assert [part.dimension for part in found] == [1, 2, 5]
    assert sum(part.share for part in found) == pytest.approx(1.0)
    assert re.search(r"about 1 at 3\d% of the points, 2 at 3\d% and 5 at 3\d%; see", said_of_parts(found))
    assert {1, 2, 5} <= set(covered_by(found))


@pytest.mark.parametrize("seed", range(3))
def test_pieces_that_touch_and_have_other_densities_are_told(seed):
    g = seeded(seed)
    ball = torch.randn(900, 3, generator=g)
    ball = ball / ball.norm(dim=1, keepdim=True) * torch.rand(900, 1, generator=g) ** (1.0 / 3.0)
    segment = torch.zeros(300, 3)
    segment[:, 0] = 1.0 + 2.0 * torch.rand(300, generator=g)
    assert [part.dimension for part in parts_of(torch.cat([ball, segment]))] == [1, 3]


@pytest.mark.parametrize("dimension", [1, 2, 4, 8])
@pytest.mark.parametrize("n", [150, 1500])
def test_a_manifold_of_one_dimension_has_no_parts(dimension, n):
    assert parts_of(cube(dimension, n, 3)) == ()


def test_a_density_that_varies_is_no_dimension_that_varies():
    uneven = torch.randn(1500, 6, generator=seeded()) ** 3
    heavy = torch.randn(1500, 3, generator=seeded(1)) / torch.randn(1500, 1, generator=seeded(2))
    clusters = torch.randn(1500, 3, generator=seeded(3)) * torch.tensor([0.1, 1.0, 4.0]).repeat(500).unsqueeze(1)
    assert parts_of(uneven) == ()
    assert parts_of(heavy) == ()
    assert parts_of(clusters + 6.0 * torch.arange(3).repeat(500).unsqueeze(1)) == ()


def test_two_parts_of_the_same_dimension_are_one():
    assert parts_of(torch.cat([cube(2, 600, 1), cube(2, 600, 2)])) == ()


def test_of_many_points_some_are_looked_at():
    x = torch.cat([cube(1, 4000, 1), cube(3, 4000, 2)])
    found = parts_of(x)
    assert [part.dimension for part in found] == [1, 3]


def test_rows_that_come_again_at_even_distances_are_looked_at_all_the_same():
    x = torch.cat([cube(1, 60, 1), cube(3, 60, 2)])
    assert parts_of(x.repeat(50, 1)) == parts_of(x)


def test_parts_are_told_without_a_draw_of_the_global_generator():
    x = torch.cat([cube(1, 500, 1), cube(4, 500, 2)])
    before = torch.get_rng_state()
    assert len(parts_of(x)) == 2
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("shares", "dimension"),
    [
        ([(1, 0.6), (2, 0.4)], 2),
        ([(1, 0.7), (2, 0.3)], 1),
        ([(1, 0.5), (2, 0.27), (5, 0.23)], 2),
        ([(1, 0.2), (7, 0.8)], 7),
        ([(2, 0.3)], 2),
    ],
)
def test_the_dimension_of_parts_together_is_the_largest_that_a_third_of_the_points_reach(shares, dimension):
    assert dimension_of_parts([Part(*each) for each in shares]) == dimension
