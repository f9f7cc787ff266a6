"""The benchmark of intrinsic dimension: its competitors, its arithmetic, its processes, and that it can be resumed."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import run
from baselines import density_training, lidl
from intrinsic_dimension import command, estimators, summary
from intrinsic_dimension.estimators import CLASSICAL, ESTIMATORS, OURS, RANK_RULES, Answer, estimate
from intrinsic_dimension.problems import problems
from intrinsic_dimension.store import Cell, Setting, Store
from intrinsic_dimension.workers import Failure, run_tasks
from worker_tasks import perform

pytest.importorskip("skdim")
pytest.importorskip("pandas")

BENCHMARK, HELD = problems("benchmark"), problems("held-out")


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


def test_the_slope_is_numpys():
    generator = torch.Generator().manual_seed(0)
    inputs, values = torch.rand(4, generator=generator), torch.randn(4, 6, generator=generator)
    expected = np.polyfit(inputs.double().numpy(), values.double().numpy(), 1)[0]
    np.testing.assert_allclose(density_training.slopes(inputs.double(), values.double()).numpy(), expected)


def test_lidl_reads_the_dimension_off_the_exact_density(monkeypatch: pytest.MonkeyPatch):
    """With the true density of a noisy Gaussian line in three dimensions in the place of the flows."""

    def exact(data: torch.Tensor, noise_levels: tuple[float, ...], **_: int) -> torch.Tensor:
        scales = [(data.var(0).double() + noise**2).sqrt() for noise in noise_levels]
        return torch.stack([torch.distributions.Normal(0.0, scale).log_prob(data.double()).sum(1) for scale in scales])

    monkeypatch.setattr(lidl, "log_densities", exact)
    x = np.zeros((400, 3))
    x[:, 1] = np.random.default_rng(0).normal(size=400)
    assert lidl.local_dimensions(x, seed=0).mean() == pytest.approx(1.0, abs=0.05)


def test_lidl_trains_a_flow_for_each_level_and_comes_out_the_same_again():
    x = np.random.default_rng(0).normal(size=(50, 3))
    first, again = (lidl.local_dimensions(x, seed=1, noise_levels=(0.1, 0.2), steps=3) for _ in range(2))
    assert first.shape == (50,)
    assert np.isfinite(first).all()
    np.testing.assert_array_equal(first, again)


def filled(tmp_path: Path) -> Store:
    """Two estimators on manifolds of dimension 2 and 10, one of them with further estimates and one failure."""
    store = Store.open(tmp_path, Setting("benchmark", 50, 0.0), BENCHMARK)
    store.begin({"command": "by hand"})
    found = {
        ("TwoNN", "M7_Roll"): [1.4, 2.2, 2.4],
        ("TwoNN", "M1_Sphere"): [8.0, 9.4, 9.6],
        (OURS, "M7_Roll"): [2.0, 2.0, 3.0],
        (OURS, "M1_Sphere"): [10.0, None, None],
    }
    for (estimator, manifold), estimates in found.items():
        for seed, value in enumerate(estimates):
            others = {"others": {"rank": 3.0}} if estimator == OURS and value else {}
            result = {"estimate": value, "seconds": 9.0, "processor_seconds": float(seed + 1), **others}
            store.put(Cell(seed, manifold, estimator), result if value else {"estimate": None, "failed": "too slow"})
    return store


def test_the_summary_is_what_one_computes_by_hand(tmp_path: Path):
    lines = summary.summarise(filled(tmp_path))
    assert list(lines) == [OURS, f"{OURS}: rank", "TwoNN"]
    # medians 2.2 of 2 and 9.4 of 10: one exact, errors 0.1 and 0.06
    assert lines["TwoNN"] == summary.Line(
        exact=1,
        answered=2,
        tried=2,
        mean_relative_error=pytest.approx(0.08),
        median_seconds=2.0,
        largest_seconds=3.0,
    )
    assert (lines[OURS].exact, lines[OURS].answered, lines[OURS].mean_relative_error) == (2, 2, 0.0)
    # the rank rule says 3 of 2 and 3 of 10: errors 0.5 and 0.7
    assert (lines[f"{OURS}: rank"].exact, lines[f"{OURS}: rank"].mean_relative_error) == (0, pytest.approx(0.6))


def test_halves_round_upwards_and_no_answer_is_no_hit(tmp_path: Path):
    assert summary.is_exact(1.5, 2)
    assert not summary.is_exact(2.5, 2)
    store = Store.open(tmp_path, Setting("benchmark", 50, 0.0), BENCHMARK)
    store.begin({})
    store.put(Cell(0, "M7_Roll", "ESS"), {"estimate": None, "failed": "not finished in 1 s"})
    line = summary.summarise(store)["ESS"]
    assert (line.exact, line.answered, line.tried, line.mean_relative_error) == (0, 0, 1, None)
    assert "–" in summary.table(store)


def test_a_store_reads_what_it_wrote(tmp_path: Path):
    store = filled(tmp_path)
    again = Store.open(tmp_path, store.setting, BENCHMARK)
    assert again.cells == store.cells
    assert again.runs == [{"command": "by hand"}]
    again.begin({"command": "later"})
    again.put(Cell(5, "M7_Roll", "MLE"), {"estimate": 2.0, "seconds": 0.1})
    assert json.loads(again.path.read_text())["results"]["MLE"]["M7_Roll"]["5"]["run"] == 1


def test_a_file_of_another_kind_is_not_overwritten(tmp_path: Path):
    setting = Setting("benchmark", 50, 0.0)
    path = tmp_path / f"{setting.stem}.json"
    path.write_text("{}")
    with pytest.raises(ValueError, match="must hold results of this benchmark"):
        Store.open(tmp_path, setting, BENCHMARK)
    assert path.read_text() == "{}"


def test_results_of_other_manifolds_are_not_mixed_in(tmp_path: Path):
    store = filled(tmp_path)
    fewer = {name: problem for name, problem in BENCHMARK.items() if name != "M7_Roll"}
    with pytest.raises(ValueError, match="must be about the manifolds as they are now"):
        Store.open(tmp_path, store.setting, fewer)


def test_the_command_leaves_a_table_a_picture_and_a_file_and_goes_on_where_it_stopped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    arguments = ["--points", "60", "--manifolds", "M7_Roll", "M13b_Spiral", "--jobs", "1", "--out", str(tmp_path)]
    assert run.main(["intrinsic-dimension", *arguments, "--estimators", "TwoNN"]) == 0
    printed = capsys.readouterr()
    assert printed.err.count("TwoNN on") == 2
    assert "1 of 2" in printed.out or "2 of 2" in printed.out
    path = tmp_path / "intrinsic-dimension-benchmark-60.json"
    written = json.loads(path.read_text())
    assert path.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert written["runs"][0]["command"].startswith("python benchmarks/run.py intrinsic-dimension --points 60")
    assert str(tmp_path) not in path.read_text()
    assert set(written["summary"]["TwoNN"]) >= {"exact", "mean_relative_error", "median_seconds"}

    assert command.main([*arguments, "--estimators", "TwoNN", "MLE"]) == 0
    printed = capsys.readouterr()
    assert "TwoNN on" not in printed.err
    assert printed.err.count("MLE on") == 2
    again = json.loads(path.read_text())
    assert again["results"]["TwoNN"] == written["results"]["TwoNN"]
    assert len(again["runs"]) == 2

    assert command.main([*arguments, "--estimators", "TwoNN", "--max-minutes", "1e-9", "--fresh"]) == 0
    assert "2 of 2 estimates are left" in capsys.readouterr().out


def test_the_points_of_a_cell_do_not_depend_on_the_run(tmp_path: Path):
    setting = Setting("held-out", 80, 0.05)
    for manifold in ("trefoil knot", "klein bottle"):
        task = command.Task(Cell(1, next(name for name in HELD if name.lower() == manifold), "TwoNN"), setting)
        assert command.solve(task)["estimate"] == command.solve(task)["estimate"]


def test_what_does_not_exist_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for arguments in (["--manifolds", "Moon"], ["--estimators", "Oracle"], ["--noise", "-1"], ["--points", "0"]):
        with pytest.raises(SystemExit):
            command.main([*arguments, "--out", str(tmp_path)])
        assert arguments[0] in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_profiles_name_what_there_is():
    for profile in command.PROFILES.values():
        assert set(profile.estimators) <= set(ESTIMATORS)
        assert set(profile.manifolds or ()) <= set(BENCHMARK)


def test_a_task_that_takes_too_long_raises_or_dies_does_not_stop_the_others():
    tasks = ["1.5", "sleep", "not a number", "die", "2.5"]
    results = dict(run_tasks(perform, tasks, jobs=2, seconds_a_task=3.0))
    assert results["1.5"] == 1.5
    assert results["2.5"] == 2.5
    assert results["sleep"] == Failure("not finished in 3 s")
    assert results["die"] == Failure("its process died")
    assert "could not convert string to float" in results["not a number"].reason


def test_all_time_is_limited_too():
    began = time.monotonic()
    assert list(run_tasks(perform, ["sleep", "1.0"], jobs=1, seconds=0.5)) == []
    assert time.monotonic() - began < 20.0
