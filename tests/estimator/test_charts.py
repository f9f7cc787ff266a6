"""The estimator's chart at K: never below principal components, nested, of a chosen size, the same for one seed."""

import pickle
import warnings

import numpy as np
import pytest
import torch

from nflows_spread.estimator import Recipe, SpreadFlowEstimator
from support import refused

SHORT = Recipe(steps=40, layers=2, hidden_features=16, bins=8, chart_steps=300, chart_width=64)


def s_curve(rows, seed, turned=3):
    """An S in three dimensions, turned into more."""
    generator = np.random.default_rng(seed)
    t = 3.0 * np.pi * (generator.random(rows) - 0.5)
    x = np.stack([np.sin(t), 2.0 * generator.random(rows), np.sign(t) * (np.cos(t) - 1.0)], axis=1)
    return x @ np.linalg.qr(np.random.default_rng(0).normal(size=(turned, turned)))[0][:3]


def roll(rows, seed):
    """A swiss roll in ten dimensions."""
    generator = np.random.default_rng(seed)
    t = 1.5 * np.pi * (1.0 + 2.0 * generator.random(rows))
    x = np.stack([t * np.cos(t), 21.0 * generator.random(rows), t * np.sin(t)], axis=1)
    return x @ np.linalg.qr(np.random.default_rng(0).normal(size=(10, 10)))[0][:3]


def smooth(rows, seed):
    """A smooth random map of five normal coordinates into 20 dimensions, the same for all seeds."""
    fixed = np.random.default_rng(0)
    first, bias, last = fixed.normal(size=(5, 40)), fixed.uniform(-1, 1, 40), fixed.normal(size=(40, 20))
    return np.tanh(np.random.default_rng(seed).normal(size=(rows, 5)) @ first / 5**0.5 + bias) @ last / 40**0.5


def linear(rows, seed):
    """Two directions of five, and noise."""
    generator = np.random.default_rng(seed)
    axes = np.random.default_rng(0).normal(size=(2, 5))
    return generator.normal(size=(rows, 2)) @ axes + 0.05 * generator.normal(size=(rows, 5))


def wine(rows, seed):
    """Scikit-learn's, standardized."""
    x = pytest.importorskip("sklearn.datasets").load_wine().data
    x = (x - x.mean(0)) / x.std(0)
    return x[np.random.default_rng(seed).permutation(len(x))][:rows]


def scores(x, coordinates, points):
    """Share of the standard deviation that is left, and trustworthiness."""
    manifold = pytest.importorskip("sklearn.manifold")
    left = np.sqrt(np.square(points - x).sum(1).mean() / np.square(x - x.mean(0)).sum(1).mean())
    return left, manifold.trustworthiness(x, coordinates, n_neighbors=10)


def beside_principal_components(estimator, train, test):
    """(error, trustworthiness) of the chart and of principal components, on rows that none has seen."""
    coordinates = estimator.transform(test)
    ours = scores(test, coordinates, estimator.inverse_transform(coordinates))
    center = train.mean(0)
    axes = np.linalg.svd(train - center, full_matrices=False)[2][: coordinates.shape[1]].T
    projected = (test - center) @ axes
    return ours, scores(test, projected, center + projected @ axes.T)


@pytest.fixture(scope="module")
def fitted():
    return SpreadFlowEstimator(random_state=0, recipe=SHORT, n_components=2).fit(s_curve(600, 0))


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("draw", [linear, s_curve, wine])
def test_it_is_below_principal_components_in_neither_number(draw, seed):
    x = draw(600, seed)
    train, test = np.split(x, [4 * len(x) // 5])
    estimator = SpreadFlowEstimator(random_state=seed, recipe=SHORT, n_components=2).fit(train)
    (error, trust), (its_error, its_trust) = beside_principal_components(estimator, train, test)
    assert error <= its_error * (1.0 + 1e-5)
    assert trust >= its_trust - 1e-4  # equal but for the rounding of near ties
    if draw is s_curve:
        assert estimator.chart_kind_ == "lifted flow"
        assert error < 0.5 * its_error
    if draw is linear:
        assert estimator.chart_kind_ == "PCA"


def test_what_it_says_of_its_error_is_what_new_rows_show(fitted):
    test = s_curve(500, 1)
    error, _ = scores(test, fitted.transform(test), fitted.inverse_transform(fitted.transform(test)))
    assert fitted.reconstruction_error_ == pytest.approx(error, rel=0.5)
    assert fitted.reconstruction_errors_.shape == (2,)
    assert fitted.reconstruction_error_ == fitted.reconstruction_errors_[-1]
    assert fitted.reconstruction_errors_[0] > fitted.reconstruction_errors_[1]
    assert 0.0 <= fitted.unreconstructed_ <= 1.0


@pytest.mark.parametrize("standardize", [False, True])
def test_principal_components_are_those_of_the_data_in_its_units(standardize):
    x = 100.0 + 20.0 * linear(300, 0) * [1.0, 2.0, 1.0, 3.0, 1.0]
    estimator = SpreadFlowEstimator(random_state=0, recipe=SHORT, n_components=3, standardize=standardize).fit(x)
    assert estimator.chart_kind_ == "PCA"
    unit = (x - x.mean(0)) / (x.std(0) if standardize else 1.0)
    expected = unit @ np.linalg.svd(unit, full_matrices=False)[2][:3].T
    np.testing.assert_allclose(np.abs(estimator.transform(x)), np.abs(expected), rtol=1e-3, atol=1e-3)
    assert estimator.inverse_transform(estimator.transform(x)).mean(0) == pytest.approx(x.mean(0), rel=1e-3)


def test_coordinates_are_nested_and_vary_in_descending_order(fitted):
    x = s_curve(200, 1)
    coordinates = fitted.transform(x)
    assert coordinates[:, 0].std() > coordinates[:, 1].std()
    covariance = np.cov(fitted.transform(s_curve(600, 0)).T)
    assert abs(covariance[0, 1]) < 1e-3 * covariance[0, 0]
    unit = torch.as_tensor((x - fitted.center_.numpy()) / float(fitted.scale_))
    first = fitted.chart_.first(1).coordinates(unit)
    np.testing.assert_allclose(first.numpy() * float(fitted.scale_), coordinates[:, :1], rtol=1e-4, atol=1e-4)
    assert fitted.inverse_transform(coordinates[:, :1]).shape == x.shape


def test_as_many_components_as_columns_lose_nothing():
    x = s_curve(300, 0)
    estimator = SpreadFlowEstimator(random_state=0, recipe=SHORT, n_components=3).fit(x)
    np.testing.assert_allclose(estimator.inverse_transform(estimator.transform(x)), x, atol=1e-12)
    assert estimator.reconstruction_error_ < 1e-12
    assert estimator.unreconstructed_ == 0.0


def test_distances_that_are_equal_in_the_data_are_equal_in_as_many_coordinates():
    grid = np.stack(np.meshgrid(np.arange(9.0), np.arange(9.0)), axis=-1).reshape(-1, 2)
    c = SpreadFlowEstimator(random_state=0, recipe=SHORT, n_components=2).fit(grid).transform(grid)
    np.testing.assert_allclose(np.linalg.norm(c[:, None] - c, axis=-1)[0, [1, 9]], 1.0, rtol=1e-12)


def test_without_a_number_there_are_as_many_as_the_data_has_dimensions():
    t = np.random.default_rng(0).uniform(0.0, 3.0, 400)
    x = np.stack([np.cos(t), np.sin(t), 0.3 * t], axis=1)
    estimator = SpreadFlowEstimator(random_state=0, recipe=SHORT).fit(x)
    assert estimator.transform(x).shape == (400, int(estimator.intrinsic_dimension_)) == (400, 1)


def test_the_dimension_and_samples_are_the_same_whatever_the_number_of_components(fitted):
    other = SpreadFlowEstimator(random_state=0, recipe=SHORT, n_components=1).fit(s_curve(600, 0))
    assert other.intrinsic_dimension_ == fitted.intrinsic_dimension_
    assert torch.equal(other.spectrum_.signal_to_noise, fitted.spectrum_.signal_to_noise)
    again = SpreadFlowEstimator(random_state=0, recipe=SHORT, n_components=2).fit(s_curve(600, 0))
    np.testing.assert_array_equal(other.sample(3), again.sample(3))
    np.testing.assert_array_equal(again.transform(s_curve(9, 1)), fitted.transform(s_curve(9, 1)))


@pytest.mark.parametrize(
    ("count", "error", "message"),
    [
        (0, ValueError, "n_components must be at least 1, got 0"),
        (4, ValueError, "n_components must be at most 3 for 100 rows and 3 columns, got 4"),
        (1.5, TypeError, "n_components must be an integer, got 1.5"),
    ],
)
def test_a_number_of_components_that_cannot_be_is_refused_before_anything_is_trained(count, error, message):
    estimator = SpreadFlowEstimator(n_components=count)
    with refused(error, message):
        estimator.fit(s_curve(100, 0))
    assert not hasattr(estimator, "chart_")


def test_more_components_than_rows_are_refused():
    with refused(ValueError, "n_components must be at most 50 for 50 rows and 60 columns, got 51"):
        SpreadFlowEstimator(n_components=51).fit(np.random.default_rng(0).normal(size=(50, 60)))


def test_coordinates_beyond_those_of_the_chart_are_refused(fitted):
    with refused(ValueError, "coordinates must have 1 to 2 columns, got 3; n_components sets how many"):
        fitted.inverse_transform(np.zeros((4, 3)))


def test_scikit_learn_clones_the_number_of_components():
    base = pytest.importorskip("sklearn.base")
    estimator = base.clone(SpreadFlowEstimator(n_components=2))
    assert estimator.get_params()["n_components"] == 2
    assert estimator.set_params(n_components=3).n_components == 3


def test_estimators_are_pickled_and_those_of_older_versions_transform_by_the_chart_of_their_flow(fitted):
    x = s_curve(20, 1)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(fitted)).transform(x), fitted.transform(x))
    new = {"chart_", "chart_kind_", "n_components", "reconstruction_error_", "reconstruction_errors_"}
    state = {name: value for name, value in vars(fitted).items() if name not in {*new, "unreconstructed_"}}
    old = SpreadFlowEstimator.__new__(SpreadFlowEstimator)
    old.__setstate__(state)
    unit = torch.as_tensor((x - fitted.center_.numpy()) / float(fitted.scale_)).float()
    with torch.no_grad():
        expected = fitted._chart.coordinates(unit)[:, : int(old.intrinsic_dimension_)] * float(fitted.scale_)
    np.testing.assert_allclose(old.transform(x), expected.numpy(), rtol=1e-5, atol=1e-5)
    assert (old.chart_kind_, old.n_components) == ("flow", None)
    assert old.inverse_transform(old.transform(x)).shape == x.shape


def test_rows_that_no_chart_of_k_coordinates_reaches_are_counted_in_a_warning():
    u, v = np.random.default_rng(0).uniform(0.0, 2.0 * np.pi, (2, 500))
    x = np.stack([(1.0 + 0.4 * np.cos(v)) * np.cos(u), (1.0 + 0.4 * np.cos(v)) * np.sin(u), 0.4 * np.sin(v)], axis=1)
    with pytest.warns(UserWarning, match="farther from their reconstructions") as caught:
        estimator = SpreadFlowEstimator(random_state=0, recipe=SHORT).fit(x)
    assert int(estimator.intrinsic_dimension_) == 2
    assert estimator.unreconstructed_ > 0.5
    (message,) = [str(warning.message) for warning in caught if "reconstructions" in str(warning.message)]
    assert f"{estimator.unreconstructed_:.0%} of the held-out rows are farther" in message
    assert estimator.chart_obstruction_.share == estimator.unreconstructed_
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        SpreadFlowEstimator(random_state=0, recipe=SHORT, n_components=1).fit(x)
    assert not [warning for warning in caught if "reconstructions" in str(warning.message)]


def test_a_fit_without_time_for_a_chart_has_principal_components():
    with pytest.warns(UserWarning, match="training stopped after max_minutes"):
        found = SpreadFlowEstimator(random_state=0, recipe=SHORT, n_components=2, max_minutes=1e-6).fit(s_curve(300, 0))
    assert found.chart_kind_ == "PCA"


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(
    ("draw", "rank", "largest_error"),
    [(s_curve, 2, 0.05), (roll, 2, 0.05), (smooth, 5, 0.08)],
    ids=["S", "roll", "smooth"],
)
def test_open_manifolds_are_reconstructed_and_keep_their_neighbours(draw, rank, largest_error, seed):
    train, test = draw(1200, seed), draw(300, seed + 100)
    estimator = SpreadFlowEstimator(random_state=seed).fit(train)
    assert estimator.intrinsic_dimension_ == rank
    (error, trust), (its_error, its_trust) = beside_principal_components(estimator, train, test)
    assert error <= largest_error
    assert trust >= 0.99
    assert error <= its_error
    assert trust >= its_trust - 1e-4
