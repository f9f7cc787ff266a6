"""Groups of columns that are independent of each other: found, added, and not where they only look independent."""

import itertools
import math

import pytest
import torch
from torch import Tensor

from nflows_spread import dimension_of
from nflows_spread.dimension.independent_columns import Group, IndependentColumns, independent_columns
from nflows_spread.estimator import Recipe, SpreadFlowEstimator

SHORT = Recipe(steps=15, layers=2, hidden_features=16, bins=8, chart_width=32)


def curves(count: int, n: int = 600, *, seed: int = 0) -> Tensor:
    """Arcs in planes of their own, most of whose points are near one end, (n, 2 count)."""
    angles = 5.0 * torch.rand(n, count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) ** 0.2
    return torch.stack([angles.cos(), angles.sin()], dim=2).flatten(1)


def told(rows: Tensor, columns: tuple[int, ...]) -> Group:
    """A stand-in for what tells dimensions: half as many as columns where these are an even number, or all."""
    dimension = len(columns) if len(columns) % 2 else len(columns) // 2
    nats = tuple(0.0 if k == dimension else -5.0 for k in range(1, len(columns) + 1))
    return Group(columns, dimension, (dimension, dimension), nats)


def test_columns_that_depend_on_each_other_are_one_group() -> None:
    order = torch.randperm(8, generator=torch.Generator().manual_seed(3))
    found = independent_columns(curves(4)[:, order], told)
    assert found is not None
    assert found.dimension == 4
    pairs = sorted(sorted(int(order[column]) for column in group.columns) for group in found.groups)
    assert pairs == [[0, 1], [2, 3], [4, 5], [6, 7]]


def test_columns_by_themselves_are_one_group_and_constant_ones_none() -> None:
    generator = torch.Generator().manual_seed(1)
    filled = torch.rand(600, 3, generator=generator, dtype=torch.float64)
    found = independent_columns(torch.cat([curves(2), torch.ones(600, 2), filled], 1), told)
    assert found is not None
    assert [(group.columns, group.dimension) for group in found.groups] == [
        ((0, 1), 1),
        ((2, 3), 1),
        ((6, 7, 8), 3),
    ]


@pytest.mark.parametrize("share", [0.01, 0.05])
def test_narrow_columns_that_fill_their_group_may_be_noise(share: float) -> None:
    noise = share * torch.randn(600, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    rows = torch.cat([curves(3), noise], 1)
    assert independent_columns(rows, told) is None
    wide = independent_columns(torch.cat([curves(3), noise / share], 1), told)
    assert wide is not None
    assert wide.dimension == 8


def test_a_column_by_itself_is_of_one_dimension() -> None:
    column = torch.rand(600, 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = independent_columns(torch.cat([curves(2), column], 1), told)
    assert found is not None
    assert found.groups[-1] == Group((4,), 1, (1, 1), (0.0,))
    assert found.dimension == 3


@pytest.mark.parametrize(
    "rows",
    [
        curves(4, 199),
        curves(1),
        torch.rand(600, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64),
        torch.cat([curves(2), torch.randint(0, 5, (600, 1), generator=torch.Generator().manual_seed(0))], 1),
        curves(2) @ torch.linalg.qr(torch.randn(4, 4, generator=torch.Generator().manual_seed(0)).double())[0],
        curves(51),
    ],
    ids=["few rows", "one group", "all filled", "levels", "rotated", "many columns"],
)
def test_what_tells_nothing(rows: Tensor) -> None:
    assert independent_columns(rows, told) is None


@pytest.mark.parametrize("count", [3, 5, 8])
def test_columns_that_satisfy_an_equation_all_together_are_not_independent(count: int) -> None:
    """Angles of circles that add up to a full turn: any count − 1 of them are independent."""
    angles = 2.0 * math.pi * torch.rand(2000, count, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    free = torch.stack([angles.cos(), angles.sin()], dim=2).flatten(1)
    angles[:, -1] = -angles[:, :-1].sum(1)
    bound = torch.stack([angles.cos(), angles.sin()], dim=2).flatten(1)
    found = independent_columns(free, told)
    assert found is not None
    assert found.dimension == count
    assert independent_columns(bound, told) is None


def test_a_sum_fits_as_well_as_the_best_way_to_make_it() -> None:
    evidence = ((-1.0, 0.0, -2.0), (0.0, -0.5), (-3.0, -1.0, 0.0))
    best = tuple(1 + nats.index(max(nats)) for nats in evidence)
    groups = tuple(Group((0,), k, (k, k), nats) for k, nats in zip(best, evidence, strict=True))
    found = IndependentColumns(groups, 0.0)
    expected = [-8.0] * 10
    for chosen in itertools.product(*(range(1, len(nats) + 1) for nats in evidence)):
        nats = sum(each[k - 1] for each, k in zip(evidence, chosen, strict=True))
        expected[sum(chosen) - 1] = max(expected[sum(chosen) - 1], nats)
    assert found.log_plausibilities(10) == pytest.approx(expected)
    assert found.log_plausibilities(4) == pytest.approx(expected[:4])
    assert [found.log_plausibility(k) for k in range(1, 11)] == pytest.approx(expected)


def test_intervals_add_as_independent_errors_do() -> None:
    ends = ((2, 1, 5), (3, 3, 3), (7, 5, 11))
    groups = tuple(Group((0,), k, (low, high), (0.0,)) for k, low, high in ends)
    assert IndependentColumns(groups, 0.0).interval == (12 - 3, 12 + 5)
    sure = Group((0,), 2, (2, 2), (0.0, 0.0))
    assert IndependentColumns(4 * (sure,), 0.0).interval == (8, 8)
    assert IndependentColumns(5 * (sure,), 0.0).interval == (9, 10)


def test_a_group_whose_answer_is_not_its_evidence_is_plausible_in_its_interval() -> None:
    group = Group((0, 1, 2), 2, (1, 2), (0.0, -5.0, -1.0))
    assert group.log_plausibilities == [0.0, 0.0, -8.0]


@pytest.mark.parametrize("count", [6, 12])
def test_dimension_of_adds_them(count: int) -> None:
    """Two curves by themselves are easy, and many together are not."""
    x = curves(count, 1000)
    found = dimension_of(x)
    assert found == count
    assert found.interval == (count - 1, count)
    assert found.estimates.independent is not None
    assert len(found.estimates.independent.groups) == count
    standardized = dimension_of(x * torch.logspace(0, 1, 2 * count), standardize=True)
    assert standardized == count


@pytest.mark.parametrize("scale", [1e-200, 1e-30, 1e30])
def test_no_scale_of_a_group_matters(scale: float) -> None:
    x = curves(3)
    x[:, :2] *= scale
    found = dimension_of(x)
    assert found.estimates.independent is not None
    assert found.estimates.independent.dimension == 3


@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_noise_that_fills_groups_by_themselves_changes_nothing(noise: float) -> None:
    """Of curves along which rows are much closer than the noise is wide."""
    generator = torch.Generator().manual_seed(11)
    along = torch.randn(2000, 3, 1, generator=generator, dtype=torch.float64)
    slopes = torch.randn(2, 3, 4, generator=generator, dtype=torch.float64)
    rows = (torch.tanh(along * slopes[0]) + 0.2 * (along * slopes[1]).square()).flatten(1)
    noisy = rows + noise * torch.randn(rows.shape, generator=generator, dtype=torch.float64)
    found = dimension_of(noisy)
    assert found == 3
    assert (found.estimates.independent is None) == (noise > 0.0)


def test_an_equation_between_groups_of_other_widths_is_seen() -> None:
    angles = 2.0 * math.pi * torch.rand(2000, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    angles[:, 2] = -angles[:, :2].sum(1)
    circles = torch.stack([angles.cos(), angles.sin()], dim=2) * torch.tensor([1.0, 1.0, 0.01]).unsqueeze(1)
    found = dimension_of(circles.flatten(1))
    assert found == 2
    assert found.interval == (2, 2)
    assert found.estimates.independent is None


def test_it_says_that_columns_are_in_groups() -> None:
    assert "of 3 independent groups of columns" in repr(dimension_of(curves(3)))


def test_dependent_rows_are_not_asked() -> None:
    assert dimension_of(curves(4), groups=torch.arange(600) // 3).estimates.independent is None


def test_the_estimator_asks_them_too() -> None:
    with pytest.warns(UserWarning, match="does not reconstruct"):
        found = SpreadFlowEstimator(random_state=0, recipe=SHORT).fit(curves(4, 400).numpy())
    assert found.intrinsic_dimension_ == 4
    assert found.estimates_.independent.dimension == 4
    assert found.estimates_.in_units_of(2.0).independent == found.estimates_.independent
