"""Methods of the chart benchmark on a plane in space, and what they are called with."""

from __future__ import annotations

import sys
import warnings
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
import torch

from charts import methods
from charts.data_set import Array, DataSet, Split
from charts.measures import CONTINUITY, ERROR, LIKELIHOOD, NEAREST, TRUST, measure
from charts.methods import FLODR, METHODS, MIXTURE, OURS, PCA
from charts.mixture import mixture_by_bic
from charts.model import MixtureOfCoordinates, NoAnswerError
from nflows_spread.estimator import Recipe, SpreadFlowEstimator

pytest.importorskip("sklearn")
WITH_DENSITY = DataSet("made", lambda seed: np.zeros((0, 3)), "made", density=True)


@pytest.fixture(scope="module")
def plane() -> Split:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(150, 2)) @ np.array([[2.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
    x += 0.01 * generator.normal(size=x.shape)
    return Split(x[:120] - x[:120].mean(axis=0), x[120:] - x[:120].mean(axis=0))


@pytest.mark.parametrize("name", [name for name in METHODS if name not in (OURS, FLODR)])
def test_a_method_has_coordinates_points_samples_or_a_density(name: str, plane: Split):
    method = METHODS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            method.load()
        except ModuleNotFoundError as error:
            pytest.skip(f"needs {error.name}: pip install 'nflows-spread[charts]'")
        found = measure(method.fit(plane.train, 2, 0), WITH_DENSITY, plane)
    offered = {
        PCA: {ERROR, TRUST, NEAREST, LIKELIHOOD},
        "Isomap": {TRUST},
        "UMAP": {TRUST, ERROR},
        "autoencoder": {ERROR, TRUST, NEAREST},
        MIXTURE: {NEAREST, LIKELIHOOD},
    }[name]
    assert offered <= set(found.values)
    if TRUST in offered:
        assert found.values[TRUST] > 0.95
        assert found.values[CONTINUITY] > 0.9
    if NEAREST in offered:
        assert 0.3 < found.values[NEAREST] < 3.0


def test_ours_is_asked_by_its_public_methods_alone(plane: Split, monkeypatch: pytest.MonkeyPatch):
    short = Recipe(steps=20, chart_steps=20)
    monkeypatch.setattr(methods, "SpreadFlowEstimator", lambda **given: SpreadFlowEstimator(recipe=short, **given))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = METHODS[OURS].fit(plane.train, 99, 0)
        found = measure(model, WITH_DENSITY, plane)
    assert 1 <= model.rank <= 3
    assert not found.missing
    assert set(model.notes) == {"chart", "own_error", "unreconstructed"}


class FakeFloDR:
    """Its interface, and what it leaves behind in torch."""

    calls: ClassVar[list[dict]] = []
    n_iter_, roundtrip_ = 6400, 1e-6

    def __init__(self, **given: object) -> None:
        self.calls.append(given)

    def fit(self, x: Array) -> FakeFloDR:
        assert x.dtype == np.float32
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.manual_seed(99)
        return self

    def transform(self, x: Array) -> Array:
        return x[:, :2]

    def inverse_transform(self, coordinates: Array) -> Array:
        return np.concatenate([coordinates, coordinates[:, :1]], axis=1)


def test_flodr_runs_its_default_steps_on_one_core_and_leaves_torch_as_it_was(
    plane: Split, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "flodr", SimpleNamespace(FloDR=FakeFloDR))
    state = torch.get_rng_state()
    model = METHODS[FLODR].fit(plane.train, 2, 5)
    (given,) = FakeFloDR.calls
    assert given["advanced"] == {"threads": 1, "bf16": False}
    assert (given["n_components"], given["random_state"], given["device"]) == (2, 5, "cpu")
    assert "max_iter" not in given
    assert not torch.are_deterministic_algorithms_enabled()
    torch.testing.assert_close(torch.get_rng_state(), state)
    found = measure(model, WITH_DENSITY, plane)
    assert set(found.missing) == {LIKELIHOOD}
    with pytest.raises(NoAnswerError, match="at least 2 coordinates"):
        METHODS[FLODR].fit(plane.train, 1, 0)


def test_bic_finds_three_clusters_and_takes_the_least_of_all():
    from sklearn.mixture import GaussianMixture

    generator = np.random.default_rng(0)
    x = np.concatenate([generator.normal(size=(60, 2)) + centre for centre in ([0, 0], [9, 0], [0, 9])])
    chosen = mixture_by_bic(x, 0, most=5)
    assert chosen.n_components == 3
    assert chosen.bic(x) == min(GaussianMixture(count, random_state=0).fit(x).bic(x) for count in range(1, 6))


def test_samples_of_a_method_without_a_sampler_come_from_a_mixture_of_its_coordinates():
    coordinates = np.random.default_rng(0).normal(size=(400, 1)) * 3.0 + 1.0
    sample = MixtureOfCoordinates(coordinates, lambda c: np.concatenate([c, 2.0 * c], axis=1), 0)
    drawn = sample(3000)
    np.testing.assert_allclose(drawn[:, 1], 2.0 * drawn[:, 0])
    assert drawn[:, 0].mean() == pytest.approx(coordinates.mean(), abs=0.3)
    assert drawn[:, 0].std() == pytest.approx(coordinates.std(), rel=0.1)
