"""What a checkpoint holds comes back piece by piece, for a run of the smallest parts that have a state."""

import math
from array import array
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from nflows_spread.training import Checkpoints, Evaluation, StopOnHeldOutLoss
from nflows_spread.training.archives import read_archive, write_archive
from nflows_spread.training.averaging import MovingAverage
from nflows_spread.training.checkpoint_content import continue_from, own_state, shared_state


class Counter:
    """A schedule, or a place in the data: one number."""

    def __init__(self, number):
        self.number = number

    def state_dict(self):
        return {"number": self.number}

    def load_state_dict(self, state):
        self.number = state["number"]


def run_of(seed, *, rank=0, average=True, early_stop=True, checkpoints=None):
    """A run in which everything is another than in that of another seed."""
    torch.manual_seed(seed)
    objective = nn.Linear(2, 2)
    optimizer = torch.optim.SGD(objective.parameters(), lr=0.1 + seed, momentum=0.9)
    objective(torch.randn(3, 2)).square().sum().backward()
    optimizer.step()
    parts = SimpleNamespace(
        objective=objective,
        optimizer=optimizer,
        schedules={"noise": Counter(10 + seed), "learning rate": Counter(20 + seed)},
        average=MovingAverage(nn.Linear(2, 2), decay=0.9) if average else None,
        early_stop=StopOnHeldOutLoss(patience=30 + seed) if early_stop else None,
        batches=Counter(40 + seed),
        generators=[torch.Generator().manual_seed(50 + seed)],
        processes=SimpleNamespace(rank=rank),
    )
    return SimpleNamespace(
        parts=parts,
        settings={"batch_size": str(seed)},
        checkpoints=checkpoints,
        state=SimpleNamespace(step=60 + seed),
        losses=array("d", [seed + 0.5, seed + 0.25]),
        evaluations=[Evaluation(step=seed, loss=seed + 0.125, dimension=None), Evaluation(7, None, seed)],
        best=70.0 + seed,
        seconds=80.0 + seed,
        seconds_before=0.0,
        losses_at_checkpoint=0,
        checkpoint=None,
    )


def through_a_file(folder, content):
    write_archive(folder / "a.pt", "checkpoint", 1, content)
    return read_archive(folder / "a.pt", "checkpoint", 1)


def content_of(run, folder, before=()):
    return through_a_file(folder, {**shared_state(run), "processes": [*before, own_state(run)]})


def tensors(part):
    return {name: value.clone() for name, value in part.state_dict().items()}


def test_every_part_of_a_run_comes_back_through_a_file(tmp_path):
    run = run_of(0)
    expected = {name: tensors(getattr(run.parts, name)) for name in ("objective", "average")}
    momentum = run.parts.optimizer.state_dict()["state"][0]["momentum_buffer"].clone()
    content = content_of(run, tmp_path, before=[own_state(run_of(8))])
    drawn = torch.randn(3, generator=run.parts.generators[0]), torch.randn(3)

    again = run_of(1, rank=1, checkpoints=Checkpoints(tmp_path))
    continue_from(again, content)
    for name, values in expected.items():
        found = getattr(again.parts, name).state_dict()
        assert all(torch.equal(found[key], value) for key, value in values.items())
    assert torch.equal(again.parts.optimizer.state_dict()["state"][0]["momentum_buffer"], momentum)
    assert again.parts.optimizer.param_groups[0]["lr"] == 0.1
    assert {name: part.number for name, part in again.parts.schedules.items()} == {"noise": 10, "learning rate": 20}
    assert (again.parts.early_stop.patience, again.parts.batches.number) == (30, 40)
    assert torch.equal(torch.randn(3, generator=again.parts.generators[0]), drawn[0])
    assert torch.equal(torch.randn(3), drawn[1])
    assert (again.state.step, list(again.losses), again.losses_at_checkpoint) == (60, [0.5, 0.25], 2)
    assert again.losses.typecode == "d"
    assert again.evaluations == run.evaluations
    assert (again.best, again.seconds_before) == (70.0, 80.0)
    assert again.checkpoint == tmp_path / "step-0000000060.pt"
    assert (content["settings"], set(content["parts"])) == ({"batch_size": "0"}, set())


def test_a_run_without_an_average_a_rule_or_a_folder_comes_back_too(tmp_path):
    content = content_of(run_of(0, average=False, early_stop=False), tmp_path)
    assert content["average"] is None
    assert content["early_stop"] is None
    again = run_of(1, average=False, early_stop=False)
    continue_from(again, content)
    assert again.state.step == 60
    assert again.checkpoint is None


def test_a_checkpoint_before_the_first_step_has_no_losses(tmp_path):
    run, again = run_of(0), run_of(1)
    run.losses, run.best = array("d"), math.inf
    content = content_of(run, tmp_path)
    assert content["losses"].shape == (0,)
    continue_from(again, content)
    assert (list(again.losses), again.losses_at_checkpoint, again.best) == ([], 0, math.inf)


def test_losses_in_a_checkpoint_are_a_copy():
    run = run_of(0)
    losses = shared_state(run)["losses"]
    run.losses[0] = 9.0
    assert losses.tolist() == pytest.approx([0.5, 0.25])
