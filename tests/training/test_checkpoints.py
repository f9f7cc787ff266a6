"""Checkpoints: what they hold, for an exact resume, what stays in the folder, and models that are not the one in it."""

import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from nflows_spread import SpreadKLLoss
from nflows_spread.models import coupling_flow
from nflows_spread.training import (
    Checkpoints,
    fit,
    read_checkpoint,
    restore_objective,
)
from resumed_runs import ROWS, objective_of, same, tensors_of, train
from support import refused

STEPS = 23


class Augmented(Dataset):
    """Rows with random changes from all three global generators, as augmentations have them."""

    def __len__(self):
        return len(ROWS)

    def __getitem__(self, i):
        return ROWS[i] + 0.01 * (torch.rand(()) + random.random() + float(np.random.rand()))


def sampler(n, generator):
    return torch.randn(n, 2, generator=generator)


def as_file(folder):
    np.save(folder / "rows.npy", ROWS.numpy())
    return folder / "rows.npy"


KINDS = {
    "tensor": lambda _: ROWS,
    "file": as_file,
    "dataset": lambda _: Augmented(),
    "sampler": lambda _: sampler,
    "loader": lambda _: DataLoader(TensorDataset(ROWS), batch_size=10, shuffle=True),
    "loader with a generator": lambda _: DataLoader(
        TensorDataset(ROWS), batch_size=10, shuffle=True, generator=torch.Generator().manual_seed(8)
    ),
    "loader with augmentation": lambda _: DataLoader(Augmented(), batch_size=10, shuffle=True),
}


@pytest.mark.parametrize("own_generator", [False, True])
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_run_in_three_parts_ends_with_the_bits_of_a_run_in_one(kind, own_generator, tmp_path):
    whole = objective_of(0, own_generator=own_generator)
    expected = train(whole, kind(tmp_path), STEPS)
    for seed, steps in enumerate([6, 13, STEPS]):  # the later parts start from other seeds, which must not matter
        objective = objective_of(seed, own_generator=own_generator)
        result = train(objective, kind(tmp_path), steps, seed=seed + 1, folder=tmp_path / "run", resume=True)
    assert same(tensors_of(objective), tensors_of(whole))
    assert same(result.average.state_dict(), expected.average.state_dict())
    assert (result.losses, result.evaluations) == (expected.losses, expected.evaluations)
    assert objective.data_noise == whole.data_noise


def test_the_last_ones_and_the_best_are_kept(tmp_path):
    result = train(objective_of(0), ROWS, 22, checkpoints=Checkpoints(tmp_path, every=4, keep=2))
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["best.pt", "step-0000000020.pt", "step-0000000022.pt"]
    assert result.checkpoint == tmp_path / "step-0000000022.pt"
    losses = {evaluation.step: evaluation.loss for evaluation in result.evaluations}
    assert read_checkpoint(tmp_path / "best.pt")["step"] == min(losses, key=losses.get)


def test_without_held_out_rows_the_best_has_the_smallest_mean_loss(tmp_path):
    objective = objective_of(0)
    plain = {"held_out": None, "early_stop": None, "noise_schedule": None, "spread_variance_schedule": None}
    result = train(objective, ROWS, 20, checkpoints=Checkpoints(tmp_path, every=4, keep=9), **plain)
    means = {step: np.mean(result.losses[step - 4 : step]) for step in (4, 8, 12, 16, 20)}
    assert read_checkpoint(tmp_path / "best.pt")["step"] == min(means, key=means.get)


def test_parameters_and_their_average_come_back_from_a_checkpoint(tmp_path):
    objective = objective_of(0)
    result = train(objective, ROWS, 10, folder=tmp_path)
    again = objective_of(1)
    assert restore_objective(tmp_path / "step-0000000010.pt", again) == 10
    assert same(tensors_of(again), tensors_of(objective))
    assert again.data_noise == objective.data_noise
    restore_objective(tmp_path / "step-0000000010.pt", again, averaged=True)
    assert same({n: p.detach() for n, p in again.named_parameters()}, result.average.state_dict())


def test_a_finished_run_is_resumed_without_another_step(tmp_path):
    first = train(objective_of(0), ROWS, 10, folder=tmp_path)
    again = train(objective_of(1), ROWS, 10, folder=tmp_path, resume=True)
    assert again.losses == first.losses


def test_a_folder_with_a_run_in_it_is_not_written_to_unasked(tmp_path):
    train(objective_of(0), ROWS, 5, folder=tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(FileExistsError, match=r"got step-0000000005.pt; pass resume=True"):
        train(objective_of(0), ROWS, 10, folder=tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_run_of_another_model_is_refused_by_its_tensors(tmp_path):
    train(objective_of(0), ROWS, 5, folder=tmp_path)
    other = SpreadKLLoss(coupling_flow(2, layers=3))
    with pytest.raises(ValueError, match=r"same model, got \d+ tensors that differ: .* is absent and not"):
        train(other, ROWS, 10, folder=tmp_path, resume=True)


@pytest.mark.parametrize("arguments", [{"every": 0}, {"keep": 0}])
def test_numbers_of_checkpoints_below_one_are_refused(arguments, tmp_path):
    with pytest.raises(ValueError, match="must be at least 1, got 0"):
        Checkpoints(tmp_path, **arguments)


def test_an_objective_without_noise_or_base_can_be_resumed(tmp_path):
    class MeanSquare(nn.Module):
        def __init__(self):
            super().__init__()
            self.mean = nn.Parameter(torch.zeros(2))

        def forward(self, x):
            return (x - self.mean).square().mean()

    whole, objective = MeanSquare(), MeanSquare()
    generators = [torch.Generator().manual_seed(0) for _ in range(3)]
    fit(whole, ROWS, steps=9, batch_size=10, generator=generators[0])
    fit(objective, ROWS, steps=4, batch_size=10, generator=generators[1], checkpoints=Checkpoints(tmp_path))
    again = MeanSquare()
    fit(again, ROWS, steps=9, batch_size=10, generator=generators[2], checkpoints=Checkpoints(tmp_path), resume=True)
    assert torch.equal(again.mean, whole.mean)


def test_a_checkpoint_of_an_older_version_does_not_say_what_its_parts_are(tmp_path):
    model, other = nn.Linear(2, 1), nn.Linear(2, 1)
    content = {"objective": model.state_dict(), "average": None, "step": 3}
    path = Checkpoints(tmp_path).write(3, content, is_best=False)
    assert restore_objective(path, other) == 3
    assert same(tensors_of(other), tensors_of(model))
    with refused(ValueError, "must hold a moving average, got none; pass average to fit", unchanged=other):
        restore_objective(path, other, averaged=True)


def test_the_average_alone_is_asked_for_and_what_is_no_parameter_comes_from_the_model(tmp_path):
    model, other = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
    model.running_mean += 1.0
    averages = {"weight": torch.tensor([3.0, 4.0]), "bias": torch.tensor([5.0, 6.0])}
    content = {"objective": model.state_dict(), "average": averages, "step": 4, "parts": {}}
    path = Checkpoints(tmp_path).write(4, content, is_best=False)
    assert restore_objective(path, other, averaged=True) == 4
    assert same(tensors_of(other), tensors_of(model) | averages)
    assert not Checkpoints(tmp_path).best.exists()
