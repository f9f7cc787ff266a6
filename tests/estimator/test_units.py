"""Units: columns to be standardized; the estimator names those that its noise hides, and can scale each by itself."""

import copy
import warnings

import numpy as np
import pytest

from nflows_spread.estimator import Recipe, SpreadFlowEstimator
from support import refused

SHORT = Recipe(steps=15, layers=2, hidden_features=16, bins=8, chart_width=32)
UNITS = np.array([1.0, 2.0**12, 2.0**-10])
"""Powers of two, which cost no digits."""


def surface(rows=300):
    t = np.random.default_rng(0).uniform(0.0, 3.0, (rows, 2))
    return np.stack([np.cos(t[:, 0]), np.sin(t[:, 0]), t[:, 1]], axis=1)


def fit(x, **options):
    return SpreadFlowEstimator(random_state=0, recipe=SHORT, **options).fit(x)


def warnings_of(x, **options):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        estimator = fit(x, **options)
    return estimator, [warning for warning in caught if "columns of X must vary" in str(warning.message)]


@pytest.fixture(scope="module")
def plain():
    return fit(surface())


@pytest.fixture(scope="module")
def standardized():
    return fit(surface(), standardize=True)


def test_standardized_columns_have_no_units(standardized):
    here, there = copy.deepcopy(standardized), fit(UNITS * surface(), standardize=True)  # a sample moves its source
    x, coordinates = surface(5), here.transform(surface(5))
    np.testing.assert_array_equal(there.transform(UNITS * x), coordinates)
    np.testing.assert_array_equal(there.inverse_transform(coordinates), UNITS * here.inverse_transform(coordinates))
    np.testing.assert_array_equal(there.sample(5), UNITS * here.sample(5))
    np.testing.assert_allclose(there.score_samples(UNITS * x), here.score_samples(x) - np.log(UNITS).sum(), rtol=1e-12)
    np.testing.assert_array_equal(there.spectrum_.signal_to_noise, here.spectrum_.signal_to_noise)
    np.testing.assert_array_equal(there.pointwise_dimension(UNITS * surface()), here.pointwise_dimension(surface()))
    assert there.data_noise_ == here.data_noise_
    assert there.estimates_.by_name == here.estimates_.by_name
    assert there.intrinsic_dimension_ == here.intrinsic_dimension_


def test_the_scales_are_standard_deviations_or_their_root_mean_square(plain, standardized):
    np.testing.assert_allclose(standardized.scale_, surface().std(axis=0), rtol=1e-12)
    assert plain.scale_ == pytest.approx(np.sqrt(surface().var(axis=0).mean()), rel=1e-12)


def test_lengths_are_in_standard_deviations_and_with_one_scale_in_units_of_the_data(standardized):
    # the recipe ends at a hundredth of the flow's unit, or at the nearest neighbour where that is smaller
    assert standardized.data_noise_ == standardized.spectrum_.data_noise == pytest.approx(SHORT.last_noise)
    one = fit(2.0**10 * surface())
    assert one.data_noise_ == one.spectrum_.data_noise == pytest.approx(SHORT.last_noise * one.scale_)


def test_the_density_of_standardized_columns_integrates_to_one_in_units_of_the_data():
    widths = np.array([1.0, 1000.0])
    square = widths * np.random.default_rng(0).uniform(-3.0, 3.0, (1000, 2))
    estimator = fit(square, standardize=True)
    axis = np.linspace(-6.0, 6.0, 241)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    total = np.exp(estimator.score_samples(widths * grid)).sum() * np.prod(0.05 * widths)
    assert total == pytest.approx(1.0, abs=0.02)


def test_samples_of_a_table_in_many_units_are_as_wide_as_the_data():
    datasets = pytest.importorskip("sklearn.datasets")
    table = datasets.load_breast_cancer().data
    found = (
        SpreadFlowEstimator(random_state=0, recipe=Recipe(steps=100, layers=4), standardize=True).fit(table).sample(500)
    )
    ratios = found.std(axis=0) / table.std(axis=0)
    assert ratios.min() > 0.5
    assert ratios.max() < 2.0


def test_a_column_that_does_not_vary_keeps_its_value_and_has_a_density():
    x = np.insert(surface(), 1, 1e-9, axis=1)
    estimator, heard = warnings_of(x, standardize=True)
    assert not heard
    assert estimator.scale_[1] == 1.0
    for points in (estimator.sample(5), estimator.inverse_transform(estimator.transform(x[:5]))):
        np.testing.assert_allclose(points[:, 1], 1e-9, rtol=1e-12)
    assert np.isfinite(estimator.score_samples(x[:5])).all()
    assert estimator.intrinsic_dimension_ == 2


def test_data_in_which_no_column_varies_is_refused():
    with refused(ValueError, "X must vary, got 100 rows that are the same to the precision of torch.float64"):
        fit(np.tile([1.0, 1e6, 0.1], (100, 1)), standardize=True)


def test_columns_of_little_variance_beside_large_values_are_no_constants_of_their_own():
    estimator = fit(surface() * [1.0, 1e-6, 1.0] + [0.0, 0.0, 1e9], standardize=True)
    np.testing.assert_allclose(estimator.scale_, surface().std(axis=0) * [1.0, 1e-6, 1.0], rtol=1e-6)


@pytest.mark.parametrize("factor", [1e2, 1e4, 1e8])
def test_columns_that_the_noise_hides_are_named(factor):
    estimator, heard = warnings_of(surface() * [1.0, 1.0, factor])
    hidden = [k for k in range(3) if (surface() * [1.0, 1.0, factor]).std(axis=0)[k] <= 3.0 * estimator.data_noise_]
    assert len(hidden) == 2
    assert len(heard) == 1
    message = str(heard[0].message)
    assert "got 2 of 3 whose standard deviation is no larger: 0 (0.68), 1 (0.28)" in message
    assert "give each its own scale by standardize=True" in message
    assert heard[0].filename == __file__


def test_hidden_columns_of_a_frame_have_their_names():
    pandas = pytest.importorskip("pandas")
    _, heard = warnings_of(pandas.DataFrame(surface() * [1e4, 1.0, 1e4], columns=["area", "smoothness", "width"]))
    assert "got 1 of 3 whose standard deviation is no larger: 'smoothness' (0.28)" in str(heard[0].message)


def test_of_many_hidden_columns_a_few_are_named_and_the_others_counted():
    edge = 1e-4 * np.random.default_rng(1).normal(size=(len(surface()), 10))
    _, heard = warnings_of(np.concatenate([surface(), edge], axis=1))
    (message,) = [str(each.message) for each in heard if "columns of X must vary" in str(each.message)]
    assert "got 10 of 13 whose standard deviation is no larger: 3 (" in message
    assert " and 5 more; " in message
    assert "where all are in one, as pixels are, leave it as it is" in message


@pytest.mark.parametrize("x", [surface(), surface() * [10.0, 1.0, 1.0], np.insert(surface(), 1, 7.0, axis=1)])
def test_columns_that_vary_enough_or_not_at_all_are_not_mentioned(x):
    assert not warnings_of(x)[1]


@pytest.mark.parametrize("factor", [1e2, 1e4])
def test_standardize_is_the_remedy(factor):
    estimator, heard = warnings_of(surface() * [1.0, 1.0, factor], standardize=True)
    assert not heard
    assert estimator.intrinsic_dimension_ == 2


def test_a_warning_that_is_an_error_leaves_the_last_fit_whole(plain):
    estimator = copy.copy(plain)
    before = dict(vars(estimator))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match="standardize=True"):
            estimator.fit(surface() * [1.0, 1.0, 1e4])
    assert vars(estimator) == before


@pytest.mark.parametrize("value", [1, None, "yes"])
def test_standardize_is_true_or_false(value):
    with refused(TypeError, f"standardize must be True or False, got {value!r}"):
        fit(surface(), standardize=value)


@pytest.mark.parametrize("value", [np.True_, np.False_])
def test_truth_values_of_numpy_are_some(value):
    assert np.ndim(fit(surface(), standardize=value).scale_) == int(value)
