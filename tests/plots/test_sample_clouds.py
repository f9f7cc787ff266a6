"""The plot of samples: data and samples stand where they are, and the samples are those of the model's seed."""

import numpy as np
import pytest
import torch

from nflows_spread import plots
from support import refused


def clouds(ax):
    return {drawn.get_label(): np.asarray(drawn.get_offsets()) for drawn in ax.collections}


def test_points_of_the_plane_stand_where_they_are(ax):
    x, drawn = np.random.default_rng(0).normal(size=(2, 30, 2))
    assert plots.samples(drawn[:20], x, ax=ax) is ax
    found = clouds(ax)
    np.testing.assert_array_equal(found["data"], x)
    np.testing.assert_array_equal(found["samples"], drawn[:20])
    assert ax.get_xlabel() == "column 1 (units of the data)"


def test_points_of_space_stand_in_space():
    x = np.random.default_rng(0).normal(size=(30, 3))
    axes = plots.samples(2 * x, x)
    assert axes.name == "3d"
    np.testing.assert_array_equal(np.array(axes.collections[1]._offsets3d).T, 2 * x)


def test_more_columns_are_seen_in_the_principal_plane_of_the_data(ax, space, surface):
    x = surface[0]
    plots.samples(x[::-1], x, labels=("rows", "drawn"), ax=ax)
    scores = (x - x.mean(0)) @ np.linalg.eigh(np.cov(x.T))[1][:, ::-1]
    np.testing.assert_allclose(np.abs(clouds(ax)["rows"]), np.abs(scores[:, :2]), atol=1e-10)
    np.testing.assert_allclose(clouds(ax)["drawn"], clouds(ax)["rows"][::-1], atol=1e-12)
    assert ax.get_ylabel() == "principal component 2 (units of the data)"
    plots.samples(x, x, ax=space)
    np.testing.assert_allclose(np.abs(np.array(space.collections[0]._offsets3d).T), np.abs(scores[:, :3]), atol=1e-10)


@pytest.mark.parametrize("kind", ["estimator", "chart", "atlas"])
def test_samples_are_drawn_from_a_model_by_a_seed(kind, ax, request):
    model = request.getfixturevalue(kind)
    x = request.getfixturevalue("two_clusters")[0] if kind == "atlas" else request.getfixturevalue("points_of_cylinder")
    plots.samples(model, x, n_samples=40, random_state=3, ax=ax)
    if kind == "estimator":
        drawn = model.sample(40, random_state=3)
    else:
        drawn = model.sample(40, generator=torch.Generator().manual_seed(3)).detach().numpy()
    other = ax.figure.add_subplot()
    plots.samples(drawn, x, ax=other)
    np.testing.assert_array_equal(clouds(ax)["samples"], clouds(other)["samples"])
    assert len(clouds(ax)["samples"]) == 40


def test_images_are_a_block_of_data_over_a_block_of_samples(ax):
    x, drawn = np.random.default_rng(0).random((2, 5, 4))
    plots.samples(drawn, x, shape=(2, 2), columns=5, ax=ax)
    grid = ax.images[0].get_array()
    for row, images in enumerate((x, drawn)):
        for column, image in enumerate(images):
            np.testing.assert_allclose(
                grid[1 + 3 * row : 3 + 3 * row, 1 + 3 * column : 3 + 3 * column], image.reshape(2, 2), rtol=1e-6
            )
    assert [text.get_text() for text in ax.texts] == ["data", "samples"]


def test_what_is_no_model_or_has_other_columns_is_refused(ax, space):
    x = np.zeros((4, 2))
    with refused(TypeError, "plots.samples must be given a fitted SpreadFlowEstimator, a Chart, an Atlas", "got str"):
        plots.samples("flow", x, ax=ax)
    with refused(ValueError, "samples must have the 2 columns of x, got 3"):
        plots.samples(np.zeros((4, 3)), x, ax=ax)
    with refused(ValueError, "points must have at least 3 columns for these axes, got 2; leave out projection='3d'"):
        plots.samples(x, x, ax=space)
    with refused(ValueError, "shape must be of 2 entries a row, got (2, 2)"):
        plots.samples(x, x, shape=(2, 2), ax=ax)
    assert not ax.collections


def test_the_principal_plane_of_a_standardizing_estimator_is_that_of_standardized_columns(ax, estimator, monkeypatch):
    x = np.random.default_rng(0).normal(size=(80, 4)) * [1e4, 1.0, 1e-4, 10.0]
    monkeypatch.setattr(estimator, "standardize", True)
    monkeypatch.setattr(estimator, "scale_", torch.as_tensor(x.std(0)))
    monkeypatch.setattr(estimator, "sample", lambda count, random_state: x[:count])
    plots.samples(estimator, x, ax=ax)
    standardized = (x - x.mean(0)) / x.std(0)
    expected = standardized @ np.linalg.svd(standardized)[2][:2].T
    for points in clouds(ax).values():
        np.testing.assert_allclose(points, expected, atol=1e-9)
    assert ax.get_xlabel() == "principal component 1 (standard deviations of the columns)"


def test_two_columns_of_a_standardizing_estimator_are_in_their_own_units_and_fill_the_axes(ax, estimator, monkeypatch):
    x = np.random.default_rng(0).normal(size=(80, 2)) * [1e4, 1e-4]
    monkeypatch.setattr(estimator, "standardize", True)
    monkeypatch.setattr(estimator, "scale_", torch.as_tensor(x.std(0)))
    monkeypatch.setattr(estimator, "sample", lambda count, random_state: x[:count])
    plots.samples(estimator, x, ax=ax)
    for points in clouds(ax).values():
        np.testing.assert_allclose(points, x)
    assert ax.get_aspect() == "auto"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("column 1 (units of the data)", "column 2 (units of the data)")
