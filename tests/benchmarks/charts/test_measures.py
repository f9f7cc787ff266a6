"""Measures of the chart benchmark against scikit-learn's, scipy's, and numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import multivariate_normal

from charts import measures
from charts.data_set import Array, DataSet, Split
from charts.measures import (
    BEYOND,
    CONTINUITY,
    ERROR,
    LIKELIHOOD,
    MEASURES,
    NEAREST,
    OVERSHOOT,
    SPREAD,
    TRUST,
    measure,
    neighbourhoods,
    reconstruction_error,
    samples_beside,
)
from charts.methods import gaussian_mixture, principal_components
from charts.model import Model, NoAnswerError

pytest.importorskip("sklearn")
WITH_DENSITY = DataSet("made", lambda seed: np.zeros((0, 3)), "made", density=True)


def rows(train: int = 60, held_out: int = 40, features: int = 4) -> Split:
    x = np.random.default_rng(0).normal(size=(train + held_out, features)) * [3.0, 2.0, 1.0, 0.5][:features]
    return Split(x[:train], x[train:])


def projection(x: Array) -> Array:
    """Coordinates that fold the data, so that neighbours are lost in both directions."""
    return np.stack([x[:, 0], np.abs(x[:, 1])], axis=1)


def test_where_all_rows_are_held_out_trustworthiness_and_continuity_are_scikit_learns():
    from sklearn.manifold import trustworthiness

    split = rows(train=0, held_out=80)
    found = neighbourhoods(Model(2, encode=projection), split)
    x, coordinates = split.held_out, projection(split.held_out)
    assert found[TRUST] == pytest.approx(trustworthiness(x, coordinates, n_neighbors=10), abs=1e-12)
    assert found[CONTINUITY] == pytest.approx(trustworthiness(coordinates, x, n_neighbors=10), abs=1e-12)
    assert 0.5 < found[CONTINUITY] < 1.0
    assert found[TRUST] != found[CONTINUITY]


def test_neighbours_of_held_out_rows_are_sought_among_all_rows():
    """By the definition, row by row."""
    split = rows()
    x, n, k = split.all, len(split.all), 10
    coordinates = projection(x)
    there, here = cdist(x, x), cdist(coordinates, coordinates)
    lost = 0.0
    for row in range(len(split.held_out)):
        rank = {other: place for place, other in enumerate(np.argsort(there[row], kind="stable"))}
        nearest = [other for other in np.argsort(here[row], kind="stable") if other != row][:k]
        lost += sum(max(0, rank[other] - k) for other in nearest)
    expected = 1.0 - 2.0 * lost / (len(split.held_out) * k * (2 * n - 3 * k - 1))
    assert neighbourhoods(Model(2, encode=projection), split)[TRUST] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_the_error_of_principal_components_is_what_their_eigenvalues_leave(rank: int):
    x = rows(train=200, held_out=0).train
    x = x - x.mean(axis=0)
    eigenvalues = np.linalg.eigvalsh(np.cov(x.T, ddof=0))[::-1]
    # fitted to all rows, and measured on all of them
    error = reconstruction_error(principal_components(x, rank, 0), Split(x[:0], x))
    assert error == pytest.approx(np.sqrt(eigenvalues[rank:].sum() / eigenvalues.sum()), rel=1e-10)


def test_the_mean_has_an_error_of_one():
    split = rows(train=0, held_out=50)
    mean = split.held_out.mean(axis=0)
    guess = Model(1, encode=lambda x: x[:, :1], decode=lambda c: np.tile(mean, (len(c), 1)))
    assert reconstruction_error(guess, split) == pytest.approx(1.0)


def test_samples_are_measured_as_by_hand():
    train = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 2.0], [10.0, 2.0]])
    held_out = np.array([[1.0, 0.0], [9.0, 2.0], [0.0, 1.0]])  # each at a distance of 1 to the nearest
    drawn = np.array([[0.0, 0.5], [10.0, 0.5], [0.0, 2.5], [11.5, 2.0]])  # 0.5, 0.5, 0.5, 1.5 off
    found = samples_beside(Model(1, sample=lambda count: drawn), Split(train, held_out))
    assert found[NEAREST] == pytest.approx(0.5)
    # beyond the ranges 10 and 2 by 0.5 / 2 in the third and 1.5 / 10 in the fourth
    assert found[BEYOND] == pytest.approx(0.5)
    assert found[OVERSHOOT] == pytest.approx(0.25)
    both = np.concatenate([held_out, train])
    ratios = drawn.std(axis=0) / both.std(axis=0)
    assert found[SPREAD] == pytest.approx(max(ratios, key=lambda ratio: abs(np.log(ratio))))


def test_distances_to_the_nearest_are_scipys():
    split = rows()
    drawn = np.random.default_rng(1).normal(size=(30, 4))
    found = samples_beside(Model(1, sample=lambda count: drawn), split)
    to_train = np.median(cdist(drawn, split.train).min(axis=1))
    assert found[NEAREST] == pytest.approx(to_train / np.median(cdist(split.held_out, split.train).min(axis=1)))


def test_copies_of_the_training_rows_are_told_and_a_collapsed_column_too():
    split = rows()
    found = samples_beside(Model(1, sample=lambda count: split.train), split)
    assert found[NEAREST] == 0.0
    flat = split.train * [1.0, 1.0, 1.0, 0.0]
    assert samples_beside(Model(1, sample=lambda count: flat), split)[SPREAD] == 0.0


def test_columns_that_do_not_vary_are_left_out():
    split = rows()
    constant = Split(*(np.insert(part, 0, 1.0, axis=1) for part in (split.train, split.held_out)))
    drawn = np.insert(split.held_out, 0, 7.0, axis=1)
    found = samples_beside(Model(1, sample=lambda count: drawn), constant)
    assert found[BEYOND] == found[OVERSHOOT] == 0.0


def test_likelihoods_are_scipys():
    split = rows(train=300, held_out=50)
    mixture = gaussian_mixture(split.train, 2, 0)
    assert mixture.notes["components"] == 1
    covariance = np.cov(split.train.T, ddof=0) + 1e-6 * np.eye(4)
    normal = multivariate_normal(split.train.mean(axis=0), covariance)
    found = measure(mixture, WITH_DENSITY, split).values
    assert found[LIKELIHOOD] == pytest.approx(normal.logpdf(split.held_out).mean(), rel=1e-6)

    values, vectors = np.linalg.eigh(np.cov(split.train.T))
    values[:2] = values[:2].mean()  # of 2 of 4 components: the noise of the probabilistic model
    probabilistic = multivariate_normal(split.train.mean(axis=0), vectors * values @ vectors.T)
    found = measure(principal_components(split.train, 2, 0), WITH_DENSITY, split).values
    assert found[LIKELIHOOD] == pytest.approx(probabilistic.logpdf(split.held_out).mean(), rel=1e-6)


def test_what_a_model_does_not_offer_is_missing_with_a_reason():
    found = measure(Model(2), WITH_DENSITY, rows())
    assert not found.values
    assert set(found.missing) == set(MEASURES)
    no_density = DataSet("made", lambda seed: np.zeros((0, 3)), "made")
    split = rows()
    said = measure(gaussian_mixture(split.train, 2, 0), no_density, split).missing
    assert said[LIKELIHOOD] == "the data has no bounded density in D dimensions"
    assert NEAREST not in said


def test_what_fails_or_is_not_finite_does_not_stop_the_rest():
    def fails(coordinates: Array) -> Array:
        raise RuntimeError("no way back\nsecond line")

    model = Model(2, encode=projection, decode=fails, sample=lambda count: np.full((count, 4), np.nan))
    found = measure(model, WITH_DENSITY, rows())
    assert set(found.values) == {TRUST, CONTINUITY}
    assert found.missing[ERROR] == "RuntimeError: no way back"
    assert found.missing[SPREAD] == "samples are not finite"


def test_coordinates_must_be_as_many_as_the_rank():
    with pytest.raises(NoAnswerError, match="2 coordinates for 3"):
        neighbourhoods(Model(3, encode=projection), rows())


def test_records_are_short():
    assert measures.rounded({"a": 0.123456789, "b": 12345.678}) == {"a": 0.12346, "b": 12346.0}
