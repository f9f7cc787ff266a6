"""Two processes (gloo, CPU) against one with the doubled batch. This file is also the program that starts them."""

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from nflows.transforms import ActNorm
from torch import nn
from torch.optim.lr_scheduler import ExponentialLR
from torch.utils.data import DataLoader, TensorDataset

from nflows_spread import DegenerateGaussian, SpreadKLLoss, initialize
from nflows_spread.models import TABLE_1, coupling_flow
from nflows_spread.training import Checkpoints, GeometricNoise, NotFiniteError, fit, read_checkpoint
from nflows_spread.training.batches import for_process
from nflows_spread.training.engine import Fabric, launch
from nflows_spread.transforms import VolumePreservingActNorm

ROOT = Path(__file__).parents[2]
X = torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
STEPS = 6
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
ENVIRONMENT["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
PROGRAMS = {
    "torchrun": ["-m", "torch.distributed.run"],
    "fabric run": ["-c", "from lightning_fabric.cli import _main; _main()"],
}


class Deterministic(nn.Module):
    """The negative log-likelihood of a flow under its spread prior, without any noise. It writes down what it saw."""

    def __init__(self, folder):
        super().__init__()
        torch.manual_seed(0)
        self.flow = coupling_flow(**TABLE_1)
        self.folder, self.calls = Path(folder), 0

    def forward(self, x):
        self.calls += 1
        loss = -self.flow.log_prob(x).mean()
        rank = os.environ.get("LOCAL_RANK", "0")
        torch.save({"x": x, "parameters": vector(self)}, self.folder / f"rank{rank}-call{self.calls}.pt")
        return loss


class BreaksOnOneRank(nn.Module):
    """Not finite in the second process, from the third call on."""

    def __init__(self):
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(2))
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        bad = self.calls >= 3 and os.environ.get("LOCAL_RANK") == "1"
        return (x - self.mean).square().mean() * (float("nan") if bad else 1.0)


def of_normflows():
    """An objective whose ``ActNorm`` takes its statistics from the first batch, another one in each process."""
    import normflows as nf

    return SpreadKLLoss(nf.NormalizingFlow(DegenerateGaussian([2]), [nf.flows.ActNorm(2)]), data_noise=0.1)


def vector(module):
    return nn.utils.parameters_to_vector(module.parameters()).detach().clone()


def without_noise(folder, processes):
    """Plain gradient descent, so that parameters compare as gradients do."""
    folder.mkdir()
    objective = Deterministic(folder)
    result = fit(
        objective,
        X,
        steps=STEPS,
        batch_size=16 // processes,
        optimizer=torch.optim.SGD(objective.parameters(), lr=0.05),
        learning_rate_schedule=None,
        accumulate=2,
        generator=torch.Generator().manual_seed(1),
        processes=processes,
        device="cpu",
    )
    return {"losses": result.losses, "parameters": vector(objective).tolist()}


def with_noise(fabric, folder):
    """Everything at once in two processes, whole and in two parts; actnorm is set before."""
    ends = []
    for parts in ([9], [4, 9]):
        for steps in parts:
            torch.manual_seed(0)
            flow = coupling_flow(**TABLE_1)
            flow._transform._transforms.insert(0, VolumePreservingActNorm(2))
            initialize(flow, 3.0 * X)
            objective = SpreadKLLoss(flow, generator=torch.Generator().manual_seed(3))
            result = fit(
                objective,
                3.0 * X,
                steps=steps,
                batch_size=8,
                noise_schedule=GeometricNoise(objective, start=0.3, end=0.1, steps=8),
                learning_rate_schedule=partial(ExponentialLR, gamma=0.9),
                gradient_clip=5.0,
                average=0.9,
                held_out=X,
                evaluate_every=3,
                checkpoints=Checkpoints(folder / f"run{len(parts)}", every=3),
                resume=True,
                generator=torch.Generator().manual_seed(1),
                engine=fabric,
            )
        ends.append({"losses": result.losses, "parameters": vector(objective).tolist(), "noise": objective.data_noise})
        ends[-1]["average"] = [value.tolist() for value in result.average.state_dict().values()]
    first, second = read_checkpoint(folder / "run1" / "step-0000000009.pt")["processes"]
    generators = [share["randomness"]["generators"] for share in (first, second)]
    same_noise = bool(torch.equal(generators[0][-1], generators[1][-1]))
    return {"ends": ends, "same_order": first["batches"] == second["batches"], "same_noise": same_noise}


def refusal(fabric, objective, **options):
    """The error of a run."""
    try:
        fit(objective, X, batch_size=8, engine=fabric, **options)
    except (NotFiniteError, ValueError) as error:
        return str(error)
    return "no error"


def in_each_process(fabric, folder):
    """What is tried in processes that are there already. The first one writes down what came of it."""
    actnorm, started = Deterministic(folder / "start"), Deterministic(folder / "start")
    for objective in (actnorm, started):
        objective.flow._transform._transforms.insert(0, ActNorm(2))
    initialize(started.flow, X)
    values = {
        "noisy": with_noise(fabric, folder),
        "waiting": refusal(fabric, actnorm, steps=1),
        "started": refusal(fabric, started, steps=1),
        "waiting in normflows": refusal(fabric, of_normflows(), steps=1),
        "late": fit(
            Deterministic(folder / "start"), X, steps=10**6, batch_size=8, engine=fabric, max_minutes=0.01
        ).stopped,
        "broken": refusal(fabric, BreaksOnOneRank(), steps=50),
    }
    if fabric.global_rank == 0:
        (folder / "in-each-process.json").write_text(json.dumps(values))


def run_program(*arguments, module=(), timeout=300):
    done = subprocess.run(
        [sys.executable, *module, *map(str, arguments)],
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("processes")
    run_program(__file__, folder)
    names = ("found.json", "in-each-process.json")
    return folder, {key: value for name in names for key, value in json.loads((folder / name).read_text()).items()}


def test_two_processes_have_the_losses_and_gradients_of_one_with_the_doubled_batch(found):
    _, values = found
    assert values["two"]["losses"] == pytest.approx(values["one"]["losses"], rel=1e-5)
    two, one, start = (torch.tensor(values[name]["parameters"]) for name in ("two", "one", "start"))
    assert float((two - one).norm() / (one - start).norm()) < 1e-5


def test_each_row_goes_to_one_process_and_all_together_are_the_doubled_batch(found):
    folder, _ = found
    for call in range(1, 2 * STEPS + 1):
        seen = [torch.load(folder / "two" / f"rank{rank}-call{call}.pt") for rank in (0, 1)]
        whole = torch.load(folder / "one" / f"rank0-call{call}.pt")
        assert torch.equal(torch.cat([part["x"] for part in seen]), whole["x"])
        assert torch.equal(seen[0]["parameters"], seen[1]["parameters"]), "the processes have drifted apart"


def test_a_resumed_run_of_two_processes_has_the_bits_of_a_whole_one(found):
    whole, parts = found[1]["noisy"]["ends"]
    assert parts == whole
    assert whole["noise"] == pytest.approx(0.1)


def test_the_processes_share_the_order_of_the_data_and_not_the_noise(found):
    assert found[1]["noisy"]["same_order"] is True
    assert found[1]["noisy"]["same_noise"] is False


def test_a_loss_that_is_not_finite_in_one_process_ends_all_with_the_cause(found):
    assert "got a loss of nan at step 3" in found[1]["broken"]


def test_processes_agree_that_the_time_is_up(found):
    assert found[1]["late"] == "max_minutes"


def test_a_layer_that_waits_for_its_first_batch_is_refused_in_several_processes(found):
    assert "flow._transform._transforms.0 (ActNorm) that waits for its first batch" in found[1]["waiting"]
    assert "flow.flows.0 (ActNorm) that waits for its first batch" in found[1]["waiting in normflows"]
    assert found[1]["started"] == "no error"  # after the remedy that the message names


def test_a_loader_is_shared_out_between_processes():
    loader = DataLoader(TensorDataset(torch.arange(20.0).unsqueeze(1)), batch_size=5, shuffle=True)
    shares = [torch.cat([batch for (batch,) in for_process(loader, rank, 2)]) for rank in (0, 1)]
    assert all(len(share) == 10 for share in shares)
    assert torch.cat(shares).flatten().sort().values.tolist() == list(range(20))
    assert for_process(loader, 0, 1) is loader


def test_a_loader_with_a_sampler_of_its_own_is_refused_in_several_processes():
    weighted = torch.utils.data.WeightedRandomSampler([1.0] * 20, 20)
    loader = DataLoader(TensorDataset(torch.zeros(20, 1)), batch_size=5, sampler=weighted)
    with pytest.raises(TypeError, match="DistributedSampler, got a WeightedRandomSampler; give it"):
        for_process(loader, 0, 2)


def test_arguments_that_cannot_be_pickled_are_refused_before_a_process_starts():
    objective = SpreadKLLoss(coupling_flow(2, layers=2))
    with pytest.raises(TypeError, match=r"must be picklable, got one that is not .*; use functions of a module"):
        fit(objective, X, steps=1, batch_size=4, processes=2, device="cpu", callbacks=[lambda state: None])


COMMANDS = {
    "torchrun": "--nnodes 2 --nproc-per-node 2 --master-addr 127.0.0.1 --master-port 29471",
    "fabric run": "run --accelerator cpu --strategy ddp --devices 2 --num-nodes 2 --main-port 29473",
}


@pytest.mark.slow
@pytest.mark.parametrize("launcher", COMMANDS)
def test_two_nodes_of_two_processes_train_with_the_commands_of_the_documentation(launcher, tmp_path):
    if launcher == "fabric run":
        pytest.importorskip("click", reason="the command fabric needs click")
    script = [str(ROOT / "examples" / "train_distributed.py"), "--steps", "20", "--folder", str(tmp_path)]
    nodes = [
        subprocess.Popen(
            [sys.executable, *PROGRAMS[launcher], *COMMANDS[launcher].split(), "--node-rank", str(node), *script],
            cwd=ROOT,
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for node in (0, 1)
    ]
    shown = [node.communicate(timeout=300)[0] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], shown
    assert sum(output.count("20 steps in 4 processes") for output in shown) == 1
    assert read_checkpoint(tmp_path / "step-0000000020.pt")["settings"]["processes"] == "4"


if __name__ == "__main__":
    where = Path(sys.argv[1])
    torch.set_num_threads(1)
    (where / "start").mkdir()
    # forks, which load torch no second time; before this process computes, as threads do not live on in a fork
    launch(Fabric(accelerator="cpu", devices=2, strategy="ddp_fork"), in_each_process, where)
    values = {
        "start": {"parameters": vector(Deterministic(where / "start")).tolist()},
        "one": without_noise(where / "one", 1),
        "two": without_noise(where / "two", 2),
    }
    (where / "found.json").write_text(json.dumps(values))
