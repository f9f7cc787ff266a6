"""Estimators of the benchmark on a plane, and against what is published of them."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from intrinsic_dimension import classical
from intrinsic_dimension.answer import Answer
from intrinsic_dimension.classical import CLASSICAL, NEWER
from intrinsic_dimension.estimators import ESTIMATORS, OURS, RANK_RULES, WITHOUT_FLOW, estimate, judged_again
from intrinsic_dimension.kept_estimates import from_plain
from nflows_spread.dimension.consensus import Estimates
from nflows_spread.dimension.neighbours import NeighbourDimension
from nflows_spread.dimension.rules import IntrinsicDimension, Spectrum

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


@pytest.mark.parametrize(
    "name", [name for name in (*CLASSICAL, *NEWER, "CA-PCA") if name not in ("lPCA", "local lPCA", "KNN")]
)
def test_a_competitor_finds_a_plane(name: str, plane: np.ndarray, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(classical, "_ESS_POINTS", 3)
    assert estimate(name, plane, seed=0).estimate == pytest.approx(2.0, abs=0.5)


def test_ours_is_asked_for_its_dimension_and_for_all_its_estimates(monkeypatch: pytest.MonkeyPatch, plane: np.ndarray):
    spectrum = Spectrum(torch.ones(5).double(), torch.tensor([2.0, 1.0, 1e-4, 1e-4, 1e-4]).double(), 1e-4, 0.01)
    neighbours = NeighbourDimension(2.1, 0.1, 0.1, 0.05, (3, 5), {"cube": (2.0, 2.2)})

    class Estimator:
        def __init__(self, *, random_state: int) -> None:
            self.seed = random_state

        def fit(self, x: np.ndarray) -> SimpleNamespace:
            dimension = IntrinsicDimension(self.seed, "consensus", 1.0, spectrum, (2, self.seed))
            return SimpleNamespace(intrinsic_dimension_=dimension, estimates_=Estimates(spectrum, neighbours))

    monkeypatch.setitem(sys.modules, "nflows_spread.estimator", SimpleNamespace(SpreadFlowEstimator=Estimator))
    found = estimate(OURS, plane, seed=7)
    assert (found.estimate, found.interval) == (7.0, (2, 7))
    assert found.others["rank"] == 5.0
    assert found.others["lPCA maxgap"] == found.others["lPCA FO"] == 2.0
    assert set(found.others) >= {"neighbours", *(f"lPCA {rule}" for rule in RANK_RULES)}
    again = judged_again(from_plain(found.kept), len(plane))
    assert again.estimate == 2.0
    assert again.others == pytest.approx(found.others)


def test_the_estimate_without_a_flow_has_its_interval(plane: np.ndarray):
    found = estimate(WITHOUT_FLOW, plane, seed=0)
    assert (found.estimate, found.interval) == (2.0, (2, 2))
    assert found.others == {"neighbours": pytest.approx(2.0, rel=0.1), "tangent_spaces": 2.0}


def test_two_nearest_neighbours_are_its_published_regression(plane: np.ndarray):
    """Facco et al. 2017: −log(1 − F(μ)) = d log μ through the origin, without the largest tenth."""
    distances = np.sort(np.linalg.norm(plane[:, None] - plane[None], axis=2), axis=1)
    ratios = np.sort(distances[:, 2] / distances[:, 1])
    kept = int(0.9 * len(ratios))
    x, y = np.log(ratios[:kept]), -np.log1p(-np.arange(1, kept + 1) / len(ratios))
    assert estimate("TwoNN", plane, seed=0).estimate == pytest.approx(x @ y / (x @ x), rel=1e-6)


def test_the_likelihood_of_two_neighbours_is_pareto_with_its_tail_cut(plane: np.ndarray):
    """Facco et al.'s law, Denti et al.'s likelihood: k − 1 over the sum of log μ, the largest tenth at the k-th."""
    distances = np.sort(np.linalg.norm(plane[:, None] - plane[None], axis=2), axis=1)
    logs = np.sort(np.log(distances[:, 2] / distances[:, 1]))
    kept = int(0.9 * len(logs))
    expected = (kept - 1) / (logs[:kept].sum() + (len(logs) - kept) * logs[kept - 1])
    assert estimate("TwoNN by likelihood", plane, seed=0).estimate == pytest.approx(expected, rel=1e-6)


def test_the_ratios_of_farther_neighbours_follow_dentis_density(plane: np.ndarray):
    """The estimate at each scale is where its log-likelihood is largest, by a grid."""
    found = estimate("GRIDE", plane, seed=0)
    distances = np.sort(np.linalg.norm(plane[:, None] - plane[None], axis=2), axis=1)
    logs = np.log(distances[:, 8] / distances[:, 4])
    grid = np.linspace(1.0, 4.0, 3001)[:, None]
    likelihood = ((len(logs) - 1) * np.log(grid[:, 0])) + (
        3 * np.log(np.expm1(grid * logs)) - (7 * grid + 1) * logs
    ).sum(1)
    assert found.others["neighbours 4 and 8"] == pytest.approx(grid[likelihood.argmax(), 0], abs=2e-3)


def test_minimum_neighbour_distance_goes_up_to_d():
    """Rozza et al. 2012; scikit-dimension stops at ten where nothing is said."""
    x = np.random.default_rng(0).uniform(size=(600, 14))
    assert 10.5 < estimate("MiND_ML", x, seed=0).estimate < 14.0


def test_the_adaptive_binomial_estimate_finds_a_plane():
    pytest.importorskip("dadapy", reason="ABIDE is DADApy's, which needs NumPy 1: pip install dadapy")
    x = np.random.default_rng(0).uniform(size=(1000, 2)) @ np.random.default_rng(1).normal(size=(2, 5))
    assert estimate("ABIDE", x, seed=0).estimate == pytest.approx(2.0, abs=0.2)


def test_every_estimator_has_one_name():
    assert len(ESTIMATORS) == 2 + len(CLASSICAL) + len(NEWER) + 5


def test_calibration_changes_nothing_but_time(plane: np.ndarray, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(classical, "_CALIBRATIONS", {})
    first = estimate("DANCo", plane, seed=0)
    assert estimate("DANCo", plane, seed=0) == first
