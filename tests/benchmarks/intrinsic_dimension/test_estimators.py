"""Estimators of the benchmark on a plane, and against what is published of them."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from intrinsic_dimension import estimators
from intrinsic_dimension.estimators import CLASSICAL, OURS, RANK_RULES, WITHOUT_FLOW, Answer, estimate

pytest.importorskip("skdim")
pytest.importorskip("pandas")


@pytest.fixture(scope="module")
def plane() -> np.ndarray:
    """A plane in five dimensions."""
    generator = np.random.default_rng(0)
    return generator.uniform(-1, 1, (200, 2)) @ np.linalg.qr(generator.normal(size=(5, 2)))[0].T


@pytest.mark.parametrize("name", ["lPCA", "local lPCA"])
def test_principal_components_find_a_plane_exactly(name: str, plane: np.ndarray):
    assert estimate(name, plane, seed=0) == Answer(2.0)


@pytest.mark.parametrize("name", [name for name in CLASSICAL if name not in ("lPCA", "local lPCA", "KNN")])
def test_a_competitor_finds_a_plane(name: str, plane: np.ndarray, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(estimators, "_ESS_POINTS", 3)
    assert estimate(name, plane, seed=0).estimate == pytest.approx(2.0, abs=0.5)


def test_ours_is_asked_for_its_dimension_and_for_all_its_estimates(monkeypatch: pytest.MonkeyPatch, plane: np.ndarray):
    class Estimator:
        def __init__(self, *, random_state: int) -> None:
            self.intrinsic_dimension_ = random_state

        def fit(self, x: np.ndarray) -> SimpleNamespace:
            estimates = SimpleNamespace(by_name={"rank": float(x.shape[1])})
            spectrum = SimpleNamespace(signal_to_noise=torch.tensor([2.0, 1.0, 1e-4, 1e-4, 1e-4], dtype=torch.float64))
            return SimpleNamespace(
                intrinsic_dimension_=self.intrinsic_dimension_, estimates_=estimates, spectrum_=spectrum
            )

    monkeypatch.setitem(sys.modules, "nflows_spread.estimator", SimpleNamespace(SpreadFlowEstimator=Estimator))
    found = estimate(OURS, plane, seed=7)
    assert found.estimate == 7.0
    assert found.others["rank"] == 5.0
    assert found.others["lPCA maxgap"] == found.others["lPCA FO"] == 2.0
    assert set(found.others) == {"rank", *(f"lPCA {rule}" for rule in RANK_RULES)}


def test_the_estimate_without_a_flow_has_its_interval(plane: np.ndarray):
    found = estimate(WITHOUT_FLOW, plane, seed=0)
    assert found.estimate == 2.0
    assert found.others == {"neighbours": pytest.approx(2.0, rel=0.1), "lowest": 2.0, "highest": 2.0}


def test_two_nearest_neighbours_are_its_published_regression(plane: np.ndarray):
    """Facco et al. 2017: −log(1 − F(μ)) = d log μ through the origin, without the largest tenth."""
    distances = np.sort(np.linalg.norm(plane[:, None] - plane[None], axis=2), axis=1)
    ratios = np.sort(distances[:, 2] / distances[:, 1])
    kept = int(0.9 * len(ratios))
    x, y = np.log(ratios[:kept]), -np.log1p(-np.arange(1, kept + 1) / len(ratios))
    assert estimate("TwoNN", plane, seed=0).estimate == pytest.approx(x @ y / (x @ x), rel=1e-6)


def test_calibration_changes_nothing_but_time(plane: np.ndarray, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(estimators, "_CALIBRATIONS", {})
    first = estimate("DANCo", plane, seed=0)
    assert estimate("DANCo", plane, seed=0) == first
