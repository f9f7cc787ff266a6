"""Rows that set the scale of the data alone."""

import warnings

import pytest
import torch

from nflows_spread.outliers import check_outliers
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
