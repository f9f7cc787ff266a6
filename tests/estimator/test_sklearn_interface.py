"""scikit-learn's contract: the checks of ``check_estimator``, pipelines, searches, frames out, metadata, pickles."""

import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch

from nflows_spread.estimator import Recipe, SpreadFlowEstimator
from support import refused

base = pytest.importorskip("sklearn.base")
sklearn = pytest.importorskip("sklearn")
estimator_checks = pytest.importorskip("sklearn.utils.estimator_checks")
selection = pytest.importorskip("sklearn.model_selection")
pipelines = pytest.importorskip("sklearn.pipeline")
preprocessing = pytest.importorskip("sklearn.preprocessing")

SHORT = Recipe(steps=5, layers=2, hidden_features=8, bins=4)
NAMES = ["length", "width", "height"]


def cloud(rows=80):
    return np.random.default_rng(0).normal(size=(rows, 3)) * [1.0, 10.0, 100.0]


def short(**settings):
    return SpreadFlowEstimator(recipe=SHORT, **{"random_state": 0} | settings)


CHECKS = [check for _, check in estimator_checks.estimator_checks_generator(short())]
every_check = pytest.mark.parametrize("check", CHECKS, ids=[check.func.__name__ for check in CHECKS])


@pytest.mark.filterwarnings("ignore")
@every_check
def test_a_check_of_scikit_learn_passes(check):
    check(short())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@every_check
def test_a_check_of_scikit_learn_passes_by_the_default_recipe(check):
    check(SpreadFlowEstimator())


def test_warnings_point_at_the_line_that_called_it_through_scikit_learn():
    steps = pipelines.make_pipeline(preprocessing.StandardScaler(), short())
    with pytest.warns(UserWarning, match="told from 50 distinct rows or more, got fewer among 20") as caught:
        steps.fit(cloud(20))
    assert {warning.filename for warning in caught} == {__file__}


def test_settings_are_read_changed_and_shown():
    estimator = SpreadFlowEstimator(random_state=3)
    assert estimator.get_params() == {
        "random_state": 3,
        "recipe": None,
        "max_minutes": None,
        "progress": False,
        "standardize": False,
        "n_components": None,
        "checkpoints": None,
        "device": None,
    }
    assert estimator.set_params(standardize=True, random_state=4) is estimator
    assert repr(estimator) == "SpreadFlowEstimator(random_state=4, standardize=True)"
    assert "SpreadFlowEstimator" in estimator._repr_html_()


def test_a_setting_of_an_unknown_name_is_refused_and_changes_none():
    estimator = SpreadFlowEstimator(random_state=3)
    with refused(ValueError, "settings must be of ", "random_state", "got seed"):
        estimator.set_params(random_state=4, seed=5)
    assert estimator.random_state == 3


def test_it_is_cloned_without_what_was_fitted():
    estimator = short(random_state=3).fit(cloud())
    counterpart = base.clone(estimator)
    assert counterpart.get_params() == estimator.get_params()
    assert not hasattr(counterpart, "flow_")


def test_it_is_the_last_step_of_a_pipeline():
    x = cloud()
    scaled = (x - x.mean(0)) / x.std(0)
    steps = pipelines.make_pipeline(preprocessing.StandardScaler(), short()).fit(x)
    expected = short().fit(scaled)
    np.testing.assert_allclose(steps.transform(x), expected.transform(scaled), rtol=1e-4)
    np.testing.assert_allclose(steps.score_samples(x), expected.score_samples(scaled), rtol=1e-4)
    assert steps.score(x) == pytest.approx(expected.score_samples(scaled).mean())
    back = expected.inverse_transform(expected.transform(scaled)) * x.std(0) + x.mean(0)
    np.testing.assert_allclose(steps.inverse_transform(steps.transform(x)), back, rtol=1e-4)
    assert steps.set_params(spreadflowestimator__random_state=1)[-1].random_state == 1


def test_the_score_is_the_mean_log_density_and_serves_cross_validation():
    x = np.random.default_rng(0).normal(size=(200, 3))
    estimator = short().fit(x[:100])
    assert estimator.score(x[100:]) == pytest.approx(estimator.score_samples(x[100:]).mean())
    scores = selection.cross_val_score(short(), x, cv=2)
    assert scores[0] == pytest.approx(short().fit(x[100:]).score(x[:100]))


def test_a_search_takes_the_setting_of_the_best_score():
    x = cloud(160) / [1.0, 10.0, 100.0]
    search = selection.GridSearchCV(short(), {"standardize": [False, True], "recipe": [SHORT, Recipe(steps=1)]}, cv=2)
    search.fit(x)
    scores = search.cv_results_["mean_test_score"]
    assert np.isfinite(scores).all()
    assert search.best_params_ == search.cv_results_["params"][int(np.argmax(scores))]
    assert search.best_estimator_.score(x) == search.score(x)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_coordinates_come_as_a_data_frame_with_names(library):
    frames = pytest.importorskip(library)
    frame = frames.DataFrame(dict(zip(NAMES, cloud().T)))
    estimator = short(n_components=2).set_output(transform=library)
    found = estimator.fit_transform(frame)
    names = ["spreadflowestimator0", "spreadflowestimator1"]
    assert isinstance(found, frames.DataFrame)
    assert list(found.columns) == names == list(estimator.get_feature_names_out())
    np.testing.assert_array_equal(found.to_numpy(), short(n_components=2).fit(cloud()).transform(cloud()))
    if library == "pandas":
        assert found.index.equals(frame.index)


def test_names_of_columns_are_checked_after_fit_as_scikit_learn_says_it():
    pandas = pytest.importorskip("pandas")
    estimator = short().fit(pandas.DataFrame(cloud(), columns=NAMES))
    assert estimator.feature_names_in_.tolist() == NAMES
    words = "The feature names should match those that were passed during fit.\n"
    with refused(ValueError, words + "Feature names must be in the same order as they were in fit.\n", "pass X["):
        estimator.score_samples(pandas.DataFrame(cloud(), columns=NAMES[::-1]))
    unseen = "Feature names unseen at fit time:\n- depth\nFeature names seen at fit time, yet now missing:\n- height\n"
    with refused(ValueError, words + unseen, "got no 'height', but 'depth'"):
        estimator.transform(pandas.DataFrame(cloud(), columns=["length", "width", "depth"]))


def test_each_fit_draws_from_a_random_state():
    estimator = SpreadFlowEstimator(recipe=SHORT, random_state=np.random.RandomState(3))
    first, second = (estimator.fit(cloud()).score(cloud()) for _ in range(2))
    again = SpreadFlowEstimator(recipe=SHORT, random_state=np.random.RandomState(3)).fit(cloud()).score(cloud())
    assert first == again != second


def test_metadata_is_routed_past_it_and_none_is_asked_for():
    weights = np.linspace(0.0, 1.0, 80)
    with sklearn.config_context(enable_metadata_routing=True):
        scaler = preprocessing.StandardScaler().set_fit_request(sample_weight=True)
        steps = pipelines.make_pipeline(scaler, short()).fit(cloud(), sample_weight=weights)
        assert not hasattr(SpreadFlowEstimator, "set_inverse_transform_request")
        with pytest.raises(TypeError, match="sample_weight"):
            short().fit(cloud(), sample_weight=weights)
    expected = (np.average(cloud(), axis=0, weights=weights), len(NAMES))
    np.testing.assert_allclose(steps[0].mean_, expected[0])
    assert steps[1].n_features_in_ == expected[1]


def test_tags_say_what_it_is():
    tags = sklearn.utils.get_tags(short())
    assert tags.estimator_type == "density_estimator"
    assert not tags.target_tags.required
    assert not tags.input_tags.sparse
    assert tags.transformer_tags.preserves_dtype == ["float64", "float32"]


def test_a_pickle_and_a_file_of_joblib_say_the_same_in_another_process(tmp_path):
    joblib = pytest.importorskip("joblib")
    estimator = short().fit(cloud())
    (tmp_path / "pickled").write_bytes(pickle.dumps(estimator))
    joblib.dump(estimator, tmp_path / "dumped")
    np.save(tmp_path / "x.npy", cloud())
    code = f"""
import pickle, joblib, numpy
x = numpy.load({str(tmp_path / "x.npy")!r})
for found in (pickle.load(open({str(tmp_path / "pickled")!r}, "rb")), joblib.load({str(tmp_path / "dumped")!r})):
    print(float(found.score(x)), float(found.transform(x).sum()), float(found.sample(3).sum()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    assert lines[0] == lines[1]
    found = [float(number) for number in lines[0].split()]
    expected = [estimator.score(cloud()), estimator.transform(cloud()).sum(), estimator.sample(3).sum()]
    assert found == pytest.approx(expected)


def test_tensors_come_out_as_tensors_where_no_frame_is_asked_for():
    x = torch.as_tensor(cloud())
    assert isinstance(short().fit_transform(x), torch.Tensor)
