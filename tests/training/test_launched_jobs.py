"""Training in a job of several processes: alone unless somebody asks for more. This file is also such a job."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from nflows_spread import DegenerateGaussian, SpreadKLLoss
from nflows_spread.estimator import Recipe, SpreadFlowEstimator
from nflows_spread.factors import RunningAverageFactor, running_average
from nflows_spread.models import coupling_flow
from nflows_spread.training import fit
from nflows_spread.training.engine import engine_for
from training_toys import MeanSquare, rows, sgd

ROOT = Path(__file__).parents[2]
SLURM = {
    "SLURM_NTASKS": "2",
    "SLURM_JOB_ID": "4711",
    "SLURM_JOB_NAME": "fit",
    "SLURM_PROCID": "1",
    "SLURM_LOCALID": "1",
    "SLURM_NODEID": "0",
}
LAUNCHED_BY_FABRIC = {"LT_CLI_USED": "1", "LT_DEVICES": "2", "LT_STRATEGY": "ddp", "LT_ACCELERATOR": "cpu"}
TINY = Recipe(steps=4, layers=2, hidden_features=8, bins=4)
CPU = torch.device("cpu")


def array(seed):
    return np.random.default_rng(seed).normal(size=(80, 2))


def trained_mean(x, **options):
    """The mean after ten steps, and by how many processes."""
    objective = MeanSquare()
    generator = torch.Generator().manual_seed(0)
    result = fit(objective, x, steps=10, batch_size=20, optimizer=sgd(objective), generator=generator, **options)
    return objective.mean.tolist(), result.processes


@pytest.mark.parametrize("processes", [None, 1])
def test_a_task_of_a_scheduler_trains_on_its_own(processes, monkeypatch):
    expected = trained_mean(rows())
    for name, value in SLURM.items():
        monkeypatch.setenv(name, value)
    assert trained_mean(rows(), processes=processes) == expected


def test_the_estimator_fits_in_a_task_of_a_scheduler(monkeypatch):
    expected = SpreadFlowEstimator(random_state=0, recipe=TINY).fit(array(0)).score_samples(array(1))
    for name, value in SLURM.items():
        monkeypatch.setenv(name, value)
    found = SpreadFlowEstimator(random_state=0, recipe=TINY).fit(array(0)).score_samples(array(1))
    np.testing.assert_array_equal(found, expected)


def test_processes_that_fit_starts_know_nothing_of_a_scheduler(monkeypatch):
    for name, value in SLURM.items():
        monkeypatch.setenv(name, value)
    environment = engine_for(CPU, 2).strategy.cluster_environment
    assert environment.creates_processes_externally is False
    assert environment.global_rank() == 0  # SLURM's would be 1


def test_one_process_is_one_under_fabric_run_too_and_its_settings_stay(monkeypatch):
    expected = trained_mean(rows())
    for name, value in LAUNCHED_BY_FABRIC.items():
        monkeypatch.setenv(name, value)
    assert trained_mean(rows(), processes=1) == expected
    assert {name: os.environ[name] for name in LAUNCHED_BY_FABRIC} == LAUNCHED_BY_FABRIC


def test_a_training_alone_averages_over_no_other_process(monkeypatch):
    """Within a process group of the user's own, whose other processes take no part."""
    ends = []
    for processes in (1, 2):
        for name, value in (("is_initialized", lambda: processes == 2), ("get_world_size", lambda: processes)):  # noqa: B023
            monkeypatch.setattr(running_average.distributed, name, value)
        monkeypatch.setattr(running_average.distributed, "all_reduce", None)  # the others would never come
        torch.manual_seed(0)
        base = DegenerateGaussian([2], factor=RunningAverageFactor)
        objective = SpreadKLLoss(coupling_flow(2, layers=2, base=base), data_noise=0.1)
        fit(objective, rows().float(), steps=3, batch_size=20, generator=torch.Generator().manual_seed(0), processes=1)
        ends.append(base.covariance)
        assert torch.isfinite(base.covariance).all()
    assert torch.equal(*ends)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What the two processes of ``torchrun`` wrote down."""
    folder = tmp_path_factory.mktemp("launched")
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "helpers"), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = ["torch.distributed.run", "--nproc-per-node", "2", "--master-port", "29477", __file__, str(folder)]
    done = subprocess.run(
        [sys.executable, "-m", *command],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1)]


def test_under_torchrun_each_estimator_fits_its_own_array(found):
    for rank in (0, 1):
        alone = SpreadFlowEstimator(random_state=0, recipe=TINY).fit(array(rank)).score_samples(array(9))
        np.testing.assert_allclose(found[rank]["estimator"], alone, rtol=1e-4)
    assert found[0]["estimator"] != found[1]["estimator"]


def test_under_torchrun_the_first_process_may_fit_while_the_others_do_not(found):
    mean, processes = found[0]["first"]
    assert processes == 1
    assert mean == pytest.approx(trained_mean(rows())[0], rel=1e-12)


def test_under_torchrun_a_plain_fit_is_one_training_of_all_processes(found):
    assert [values["together"][1] for values in found] == [2, 2]
    assert found[0]["together"] == found[1]["together"]


if __name__ == "__main__":
    rank = int(os.environ["RANK"])
    torch.set_num_threads(1)
    values = {"estimator": SpreadFlowEstimator(random_state=0, recipe=TINY).fit(array(rank)).score_samples(array(9))}
    values["estimator"] = values["estimator"].tolist()
    if rank == 0:
        values["first"] = trained_mean(rows(), processes=1)
    values["together"] = trained_mean(rows(), device="cpu")
    (Path(sys.argv[1]) / f"{rank}.json").write_text(json.dumps(values))
