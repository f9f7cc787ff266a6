"""Outliers: rows or values far out, such as fill values, that set the scale of the data alone."""

import warnings

import pytest
import torch

from nflows_spread.estimator.outliers import check_outliers, warn_of_hidden_columns
from support import refused

pytestmark = pytest.mark.usefixtures("float64")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def unit(x):
    centred = x - x.mean(0)
    return centred / centred.square().mean().sqrt()


def filled(value, rows=(7,), n=1000, features=3):
    x = torch.randn(n, features, generator=seeded())
    x[list(rows), 1] = value
    return unit(x)


@pytest.mark.parametrize("value", [1e5, -1e6, 1e9, 1e30])
@pytest.mark.parametrize("features", [2, 30])
def test_a_fill_value_that_hides_all_other_rows_is_refused_with_its_row(value, features):
    with refused(ValueError, "no rows so far out", "got 1, by their index, the farthest first: 7;", "Drop them"):
        check_outliers(filled(value, features=features), data_noise=0.003)


@pytest.mark.parametrize(("value", "rows"), [(1e3, (7,)), (-999.0, (3, 8)), (500.0, tuple(range(40)))])
def test_a_fill_value_that_the_noise_does_not_reach_is_a_warning(value, rows):
    with pytest.warns(UserWarning, match=f"set its scale, got {len(rows)}, by their index"):
        check_outliers(filled(value, rows), data_noise=0.003)


@pytest.mark.parametrize(
    "x",
    [
        torch.randn(1000, 3, generator=seeded()),
        torch.rand(60, 40, generator=seeded()),
        torch.randn(2000, 6, generator=seeded()) ** 3,
        torch.cat([torch.randn(950, 2, generator=seeded()), 20.0 + torch.randn(50, 2, generator=seeded(1))]),
        torch.randn(500, 1, generator=seeded()) * torch.tensor([1.0, 1e-6]),
        torch.eye(3)[torch.randint(3, (300,), generator=seeded())],
    ],
    ids=["Gaussian", "uniform", "heavy tails", "a small cluster", "one wide column", "one-hot"],
)
def test_data_without_outliers_passes_in_silence(x):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_outliers(unit(x), data_noise=0.003)


def test_a_fill_value_in_a_fifth_of_the_rows_is_refused_with_them():
    x = torch.randn(1000, 3, generator=seeded())
    x[100:300] = 1e6
    with refused(ValueError, "got 200, by their index, the farthest first: 100, 101", "Drop them"):
        check_outliers(unit(x), data_noise=0.003)


@pytest.mark.parametrize("value", [-999.0, 1e6, 1e30])
@pytest.mark.parametrize("rows", [1, 50, 300])
def test_a_fill_value_that_hides_a_standardized_column_names_the_column(value, rows):
    x = torch.randn(1000, 3, generator=seeded())
    x[7 : 7 + rows, 1] = value
    with pytest.warns(UserWarning, match=r"got 1 of 3 columns in which .*: 'b' \(.*drop rows"):
        warn_of_hidden_columns(x, x.std(0), ["a", "b", "c"])


def test_of_many_hidden_columns_a_few_are_named():
    x = torch.randn(1000, 30, generator=seeded())
    x[7] = 1e6
    with pytest.warns(
        UserWarning, match=r"got 30 of 30 columns in which .* and 25 more; .* leave standardize=True out"
    ):
        warn_of_hidden_columns(x, x.std(0), None)


def test_columns_with_nothing_to_hide_pass_in_silence():
    few = torch.randn(1000, 1, generator=seeded())
    rare = (torch.rand(1000, 1, generator=seeded(1)) < 0.01).double()
    counts = torch.poisson(torch.full((1000, 1), 3.0), generator=seeded(2))
    amounts = rare * (2.0 * few).exp() * 1e4  # of the few that have any
    heavy = (1.5 * few).exp()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for x in (few, rare, counts, amounts, heavy):
            warn_of_hidden_columns(x, x.std(0), None)
