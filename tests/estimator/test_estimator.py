"""The estimator: from an array to a dimension, a representation, a density and samples."""

import copy
import math
import warnings

import numpy as np
import pytest
import torch

from nflows_spread.estimator import Recipe, SpreadFlowEstimator

SHORT = Recipe(steps=15, layers=2, hidden_features=16, bins=8, chart_width=32)
WELL = Recipe(steps=400, layers=4, hidden_features=32, chart_steps=400, chart_width=64)
ROWS = 400


def arc(rows=ROWS, seed=0):
    """A circle's arc in three dimensions, far from the origin and large."""
    t = np.random.default_rng(seed).uniform(0.0, 3.0, rows)
    return 100.0 + 20.0 * np.stack([np.cos(t), np.sin(t), 0.3 * t], axis=1)


@pytest.fixture(scope="module")
def fitted():
    return SpreadFlowEstimator(random_state=0, recipe=SHORT).fit(arc())


@pytest.fixture(scope="module")
def fitted_well():
    return SpreadFlowEstimator(random_state=0, recipe=WELL).fit(arc(1000))


def test_the_attributes_of_scikit_learn_are_there(fitted):
    assert fitted.n_features_in_ == 3
    assert fitted.intrinsic_dimension_ == 1
    assert fitted.intrinsic_dimension_.rule == "consensus"
    assert fitted.spectrum_.signal_to_noise.shape == (3,)
    assert set(fitted.estimates_.by_name) >= {"signal_to_noise", "rank", "neighbours", "denoising"}


def test_those_that_disagree_are_named(fitted):
    said = {name: fitted.estimates_.by_name[name] for name in ("signal_to_noise", "neighbours", "denoising")}
    assert fitted.disagreement_ == {name: value for name, value in said.items() if round(value) != 1}
    assert "denoising" in fitted.disagreement_  # of a flow that was hardly trained


def test_the_same_seed_gives_the_same_result():
    first, second = (SpreadFlowEstimator(random_state=3, recipe=SHORT).fit(arc()) for _ in range(2))
    np.testing.assert_array_equal(first.transform(arc(5)), second.transform(arc(5)))
    np.testing.assert_array_equal(first.sample(4), second.sample(4))


def test_the_global_generator_is_left_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    SpreadFlowEstimator(random_state=3, recipe=SHORT).fit(arc())
    torch.testing.assert_close(torch.rand(3), expected)


def test_results_are_arrays_of_the_kind_that_came_in(fitted):
    x = arc(7)
    for points in (x, x.astype(np.float32), torch.as_tensor(x)):
        transformed, scores = fitted.transform(points), fitted.score_samples(points)
        assert type(transformed) is type(points)
        assert transformed.dtype == points.dtype
        assert tuple(transformed.shape) == (7, 1)
        assert tuple(scores.shape) == (7,)
    assert isinstance(fitted.sample(2), np.ndarray)
    assert isinstance(
        SpreadFlowEstimator(recipe=SHORT).fit(torch.as_tensor(x).repeat(40, 1) + torch.randn(280, 3)).sample(),
        torch.Tensor,
    )


def test_the_spectrum_and_the_noise_are_in_units_of_the_data(fitted):
    small, large = fitted, SpreadFlowEstimator(random_state=0, recipe=SHORT).fit(1000.0 * arc())
    assert large.data_noise_ == pytest.approx(1000.0 * small.data_noise_, rel=1e-3)
    torch.testing.assert_close(
        large.spectrum_.signal_to_noise, 1e6 * small.spectrum_.signal_to_noise, rtol=0.05, atol=0.0
    )


def test_samples_lie_on_the_curve_and_cover_it(fitted_well):
    samples = (fitted_well.sample(500) - 100.0) / 20.0
    off_cylinder = np.abs(np.linalg.norm(samples[:, :2], axis=1) - 1.0)
    assert np.median(off_cylinder) < 0.03
    heights = samples[:, 2] / 0.3
    assert np.quantile(heights, 0.05) < 0.4
    assert np.quantile(heights, 0.95) > 2.6


def test_the_representation_keeps_the_order_along_the_curve(fitted_well):
    t = np.linspace(0.1, 2.9, 50)
    curve = 100.0 + 20.0 * np.stack([np.cos(t), np.sin(t), 0.3 * t], axis=1)
    ranks = np.argsort(np.argsort(fitted_well.transform(curve)[:, 0]))
    assert abs(np.corrcoef(ranks, np.arange(50))[0, 1]) > 0.98


def test_the_density_integrates_to_one():
    square = np.random.default_rng(0).uniform(-3.0, 3.0, (1000, 2))
    estimator = SpreadFlowEstimator(random_state=0, recipe=SHORT).fit(square)
    axis = np.linspace(-6.0, 6.0, 241)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    assert np.exp(estimator.score_samples(grid)).sum() * 0.05**2 == pytest.approx(1.0, abs=0.02)


def test_coordinates_lead_back_to_their_points(fitted_well):
    x = arc(200, seed=1)
    back = fitted_well.inverse_transform(fitted_well.transform(x))
    assert np.median(np.linalg.norm(back - x, axis=1)) < 2.0  # a tenth of the radius


def test_a_fit_that_ran_out_of_time_says_so():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        SpreadFlowEstimator(random_state=0, recipe=SHORT, max_minutes=1e-6).fit(arc())
    (warning,) = [each for each in caught if "σ_x" in str(each.message)]  # and nothing of thin columns
    assert str(warning.message).startswith("training stopped after max_minutes=1e-06, at σ_x")
    assert warning.filename == __file__


def test_an_interrupted_fit_leaves_the_last_one_whole(fitted, monkeypatch):
    estimator = copy.copy(fitted)
    before = dict(vars(estimator))

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("nflows_spread.estimator.fitting.chart_of", interrupted)
    with pytest.raises(KeyboardInterrupt):
        estimator.fit(np.random.default_rng(0).normal(size=(100, 5)))
    assert vars(estimator) == before


@pytest.mark.parametrize(
    "as_given",
    [
        lambda x: x[::-1][::-1][:, ::-1][:, ::-1],
        lambda x: x.astype(">f8"),
        lambda x: x.astype(np.longdouble),
        lambda x: np.ma.MaskedArray(x),
        lambda x: x.tolist(),
        torch.as_tensor,
    ],
)
def test_points_come_in_any_layout(fitted, as_given):
    expected = fitted.transform(arc(5))
    np.testing.assert_array_equal(np.asarray(fitted.transform(as_given(arc(5))), dtype=float), expected)


def test_a_large_offset_is_no_constant():
    moved = SpreadFlowEstimator(random_state=0, recipe=SHORT).fit(arc() + 1e7)
    assert moved.intrinsic_dimension_ == 1


def test_estimates_are_in_units_of_the_data(fitted):
    larger = SpreadFlowEstimator(random_state=0, recipe=SHORT).fit(1024.0 * arc())
    for name in ("nearest", "ambient_noise"):
        there, here = getattr(larger.estimates_.neighbours, name), getattr(fitted.estimates_.neighbours, name)
        assert there == pytest.approx(1024.0 * here, rel=1e-3)
    assert larger.estimates_.density.data_noise == pytest.approx(larger.data_noise_)


def test_points_that_are_all_equally_far_apart_span_their_simplex():
    found = SpreadFlowEstimator(random_state=0, recipe=SHORT).fit(np.eye(60))
    assert found.estimates_.neighbours.nearest == pytest.approx(math.sqrt(2.0))
    assert found.intrinsic_dimension_ in (59, 60)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_it_works_where_gradients_are_off(fitted, mode):
    with mode():
        found = SpreadFlowEstimator(random_state=0, recipe=SHORT).fit(arc())
        assert found.sample(3).shape == (3, 3)
        assert np.isfinite(found.manifold_score_samples(arc(3))).all()
    np.testing.assert_array_equal(found.transform(arc(5)), fitted.transform(arc(5)))


def test_it_is_copied_though_the_tensor_that_it_was_fitted_to_asks_for_gradients():
    x = torch.as_tensor(arc()).requires_grad_()
    found = copy.deepcopy(SpreadFlowEstimator(random_state=0, recipe=SHORT).fit(x))
    assert isinstance(found.sample(2), torch.Tensor)


@pytest.mark.usefixtures("float64")
def test_the_default_dtype_is_no_part_of_it():
    found = SpreadFlowEstimator(random_state=0, recipe=SHORT).fit(arc())
    assert found.sample(5).shape == (5, 3)
    assert found.inverse_transform(found.transform(arc(5))).shape == (5, 3)


@pytest.mark.parametrize("rows", [6, 20, 49])
def test_few_rows_are_fitted_with_a_warning_and_a_wide_interval(rows):
    t = np.random.default_rng(rows).uniform(0.0, 1.0, (rows, 2))
    x = np.concatenate([t, t[:, :1] ** 2, t[:, 1:] * t[:, :1], 0.0 * t], axis=1)  # 2-D, in six columns
    with pytest.warns(UserWarning, match=f"told from 50 distinct rows or more, got fewer among {rows}"):
        found = SpreadFlowEstimator(random_state=0, recipe=SHORT).fit(x)
    lowest, highest = found.intrinsic_dimension_.interval
    assert lowest <= 2 <= highest
    assert highest - lowest >= 1
    assert found.estimates_.tangents is None
    coordinates = found.transform(x)
    assert found.inverse_transform(coordinates).shape == x.shape
    assert np.isfinite(found.score_samples(x)).all()
    assert np.isfinite(found.sample(5)).all()


def test_fifty_rows_of_which_many_are_repeated_are_few():
    x = np.repeat(arc(20), 5, axis=0)
    with pytest.warns(UserWarning, match="got fewer among 100"):
        found = SpreadFlowEstimator(random_state=0, recipe=SHORT).fit(x)
    assert found.intrinsic_dimension_.interval[0] == 1
