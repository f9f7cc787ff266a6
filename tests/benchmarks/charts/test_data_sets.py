"""Data sets of the chart benchmark: drawn by the seed alone, split, in units of the training rows, and as declared."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from charts.data_set import DataSet, split
from charts.data_sets import DATA_SETS, FIRST, QUICK
from charts.manifolds import moved_photograph, robot_arm, swiss_roll, swiss_roll_in_ten
from charts.real_tables import DISTINCT, TIED, continuous_columns, log_returns

pytest.importorskip("sklearn")
pytest.importorskip("matplotlib")
pytest.importorskip("PIL")
LEAST_EIGENVALUE = 1e-7
"""Of a correlation matrix: below, a column is a linear function of others, and a density has no bound."""

COMPARED = [data for data in DATA_SETS.values() if data.density]

every_set = pytest.mark.parametrize("data", DATA_SETS.values(), ids=lambda data: data.name)


def loaded(data: DataSet, seed: int = 0):
    try:
        return split(data, seed)
    except ModuleNotFoundError as error:
        pytest.skip(f"needs {error.name}: pip install 'nflows-spread[charts]'")
    except FileNotFoundError as error:
        pytest.skip(str(error))


@every_set
def test_rows_are_split_and_in_units_of_the_training(data: DataSet):
    rows = loaded(data)
    n = len(rows.all)
    assert n <= data.rows
    assert len(rows.held_out) == round(0.2 * n)
    assert np.isfinite(rows.all).all()
    np.testing.assert_allclose(rows.train.mean(axis=0), 0.0, atol=1e-9)
    variances = rows.train.var(axis=0)
    if data.standardize:
        np.testing.assert_allclose(variances[variances > 0.0], 1.0)
    else:
        assert variances.mean() == pytest.approx(1.0)
    np.testing.assert_array_equal(loaded(data).train, rows.train)
    assert not np.array_equal(loaded(data, 1).train, rows.train)


@pytest.mark.parametrize(
    ("name", "loader"),
    [("iris, standardized", "load_iris"), ("wine", "load_wine"), ("breast cancer", "load_breast_cancer")],
)
def test_labels_go_with_the_training_rows(name: str, loader: str):
    from sklearn import datasets

    rows, table = split(DATA_SETS[name], 3), getattr(datasets, loader)()
    found = rows.train * rows.scale + rows.center
    places = [int(np.abs(table.data - row).sum(axis=1).argmin()) for row in found]
    np.testing.assert_allclose(table.data[places], found)
    np.testing.assert_array_equal(rows.labels, table.target[places])


def test_labels_of_digits_are_those_of_the_images_and_what_has_none_says_so():
    assert loaded(DATA_SETS["S-curve"]).labels is None
    rows = loaded(DATA_SETS["MNIST, pooled"])
    assert rows.labels.shape == (len(rows.train),)
    means = np.stack([rows.train[rows.labels == digit].mean(axis=0) for digit in range(10)])
    nearest = np.square(rows.train[:, None] - means).sum(axis=2).argmin(axis=1)
    assert (nearest == rows.labels).mean() > 0.7  # a tenth, were they of other rows


@pytest.mark.parametrize("data", COMPARED, ids=lambda data: data.name)
def test_what_has_a_density_has_no_tied_or_dependent_columns(data: DataSet):
    x = loaded(data).all
    assert np.linalg.eigvalsh(np.corrcoef(x.T))[0] > LEAST_EIGENVALUE
    if not data.name.startswith("breast cancer"):  # 13 of its rows have 0 in six columns
        assert max(np.unique(column, return_counts=True)[1].max() for column in x.T) <= TIED * len(x) + 1


def test_there_are_the_sets_of_the_issue_and_ten_real_ones_for_likelihoods():
    assert set(FIRST) | set(QUICK) <= set(DATA_SETS)
    assert all(data.real and data.standardize for data in COMPARED)
    assert len(COMPARED) >= 10
    raw = [name.removesuffix(", standardized") for name in DATA_SETS if name.endswith(", standardized")]
    assert set(raw) <= set(DATA_SETS)
    assert all(DATA_SETS[name].dimension is not None for name in DATA_SETS if not DATA_SETS[name].real)


def test_a_column_that_does_not_vary_stays_as_it_is():
    x = np.stack([np.arange(10.0), np.full(10, 3.0)], axis=1)
    rows = split(DataSet("made", lambda seed: x, "made", standardize=True), 0)
    np.testing.assert_array_equal(rows.all[:, 1], 0.0)


def test_the_roll_in_ten_dimensions_is_the_roll():
    x, y = swiss_roll(3), swiss_roll_in_ten(3)
    np.testing.assert_allclose(y @ y.T, x @ x.T, atol=1e-9)


def test_the_arm_is_of_links_of_length_one_and_turns_in_three_ways():
    arm = robot_arm()
    parameters = arm.parameters(50, torch.Generator().manual_seed(0))
    across, along = arm.embed(parameters).chunk(2, dim=1)
    steps = torch.stack([across, along], 2).diff(dim=1, prepend=torch.zeros(50, 1, 2, dtype=torch.float64))
    torch.testing.assert_close(steps.norm(dim=2), torch.ones(50, 3, dtype=torch.float64))
    assert float(arm.singular_values(parameters)[:, 2].min()) > 0.1


def test_windows_of_the_photograph_move_over_it():
    """A window moved by the width of a grey value has all but one column of the other's."""
    windows = moved_photograph(0).reshape(-1, 12, 12)
    offsets = np.random.default_rng(0).permutation(48**2)[: len(windows)]
    place = dict(zip(offsets.tolist(), windows))
    pairs = [(place[offset], place[offset + 8]) for offset in place if offset % 48 < 40 and offset + 8 in place]
    assert len(pairs) > 100
    for one, other in pairs:
        np.testing.assert_allclose(one[:, 1:], other[:, :-1])


def test_discrete_and_tied_columns_are_left_out():
    generator = np.random.default_rng(0)
    free, whole = generator.normal(size=1000), generator.integers(0, 50, size=1000)
    tied = np.where(generator.uniform(size=1000) < 2 * TIED, 0.0, generator.normal(size=1000))
    kept = continuous_columns(np.stack([free, whole, tied, free.round(2), 2.0 * free], axis=1))
    assert len(np.unique(free.round(2))) < DISTINCT * 1000
    np.testing.assert_array_equal(kept, np.stack([free, 2.0 * free], axis=1))


def test_returns_are_of_days_on_which_all_prices_moved():
    prices = np.array([[1.0, 2.0], [2.0, 2.0], [4.0, 1.0]])
    np.testing.assert_allclose(log_returns(prices), [[np.log(2.0), -np.log(2.0)]])
