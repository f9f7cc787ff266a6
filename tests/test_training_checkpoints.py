"""Checkpoints: exact resume, what stays in the folder, and files that are whole or refused."""

import errno
import os
import pickle
import random
import zipfile
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR
from torch.utils.data import DataLoader, Dataset, TensorDataset

from nflows_spread import SpreadKLLoss
from nflows_spread.models import TABLE_1, coupling_flow
from nflows_spread.training import (
    Checkpoints,
    CosineNoise,
    Geometric,
    GeometricNoise,
    SpreadVarianceSchedule,
    StopOnHeldOutLoss,
    fit,
    read_checkpoint,
    restore_objective,
)
from nflows_spread.training import files as files_module

STEPS = 23
ROWS = torch.randn(70, 2, generator=torch.Generator().manual_seed(0))


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


def objective_of(seed, *, own_generator=False):
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed) if own_generator else None
    return SpreadKLLoss(coupling_flow(**TABLE_1), generator=generator)


def train(objective, data, steps, *, seed=1, folder=None, **options):
    """One run with everything in it that has a state."""
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)
    defaults = {
        "batch_size": 10,
        "learning_rate": 1e-2,
        "weight_decay": 0.01,
        "learning_rate_schedule": partial(CosineAnnealingLR, T_max=40),
        "noise_schedule": GeometricNoise(objective, start=0.3, end=0.05, steps=20),
        "spread_variance_schedule": SpreadVarianceSchedule(objective.base, Geometric(1e-2, 1e-4, 30)),
        "gradient_clip": 1.0,
        "accumulate": 2,
        "average": 0.9,
        "held_out": ROWS[:20],
        "evaluate_every": 4,
        "early_stop": StopOnHeldOutLoss(patience=100),
        "checkpoints": None if folder is None else Checkpoints(folder, every=5),
        "generator": torch.Generator().manual_seed(seed),
    }
    return fit(objective, data, steps=steps, **{**defaults, **options})


def tensors_of(objective):
    return {name: value for name, value in objective.state_dict().items() if isinstance(value, torch.Tensor)}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


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


def test_a_run_with_other_settings_is_refused_by_their_names(tmp_path):
    train(objective_of(0), ROWS, 5, folder=tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    objective = objective_of(0)
    other = {
        "batch_size": 5,
        "learning_rate": 1e-3,
        "noise_schedule": CosineNoise(objective, start=0.3, end=0.05, steps=20),
        "learning_rate_schedule": partial(CosineAnnealingLR, T_max=41),
        "average": None,
    }
    with pytest.raises(ValueError, match="settings of its start") as caught:
        train(objective, ROWS[:60], 10, folder=tmp_path, resume=True, **other)
    message = str(caught.value)
    for shown in (
        "batch_size was 10 and is 5",
        "average was 0.9 and is None",
        "data was 70 rows",
        "noise_schedule was GeometricNoise",
        "'T_max': 40",
        "'lr': 0.01",
    ):
        assert shown in message
    assert "gradient_clip" not in message
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("name", ["data_noise", "spread_variance"])
def test_a_run_with_another_constant_noise_is_refused(name, tmp_path):
    fit(objective_of(0), ROWS, steps=5, checkpoints=Checkpoints(tmp_path), batch_size=10)
    objective = objective_of(0)
    setattr(objective if name == "data_noise" else objective.base, name, 0.5)
    with pytest.raises(ValueError, match=rf"{name} was .* and is 0.5"):
        fit(objective, ROWS, steps=10, checkpoints=Checkpoints(tmp_path), batch_size=10, resume=True)


def test_a_run_of_another_model_is_refused_by_its_tensors(tmp_path):
    train(objective_of(0), ROWS, 5, folder=tmp_path)
    other = SpreadKLLoss(coupling_flow(2, layers=3))
    with pytest.raises(ValueError, match=r"same model, got \d+ tensors that differ: .* is absent and not"):
        train(other, ROWS, 10, folder=tmp_path, resume=True)


def test_a_damaged_last_checkpoint_gives_way_to_the_one_before(tmp_path):
    whole = objective_of(0)
    train(whole, ROWS, 15, folder=tmp_path)
    last = tmp_path / "step-0000000015.pt"
    last.write_bytes(last.read_bytes()[:-200])
    again = objective_of(1)
    with pytest.warns(UserWarning, match=r"step-0000000015.pt is damaged.*before it is used"):
        train(again, ROWS, 15, folder=tmp_path, resume=True)
    assert same(tensors_of(again), tensors_of(whole))


def test_a_folder_of_damaged_checkpoints_is_refused(tmp_path):
    train(objective_of(0), ROWS, 5, folder=tmp_path)
    (tmp_path / "step-0000000005.pt").write_bytes(b"")
    with (
        pytest.warns(UserWarning, match="no archive"),
        pytest.raises(ValueError, match="none of the 1 checkpoints"),
    ):
        train(objective_of(0), ROWS, 10, folder=tmp_path, resume=True)


def flip(path, position):
    content = bytearray(path.read_bytes())
    content[position] ^= 0xFF
    path.write_bytes(content)


def test_no_flipped_byte_of_a_tensor_goes_unnoticed(tmp_path):
    train(objective_of(0), ROWS, 5, folder=tmp_path)
    path = tmp_path / "step-0000000005.pt"
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        largest = sorted(archive.infolist(), key=lambda info: info.file_size)[-5:]
    for info in largest:
        path.write_bytes(whole)
        name = len(info.filename.encode())
        extra = int.from_bytes(whole[info.header_offset + 28 : info.header_offset + 30], "little")
        flip(path, info.header_offset + 30 + name + extra + info.file_size // 2)
        with pytest.raises(ValueError, match=r"damaged|refused"):
            read_checkpoint(path)


class Bomb:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("as_archive", [False, True])
def test_no_code_of_a_pickle_runs(as_archive, tmp_path):
    path, target = tmp_path / "step-0000000005.pt", tmp_path / "made"
    if as_archive:
        torch.save({"kind": "checkpoint", "version": 1, "content": Bomb(target)}, path)
    else:
        path.write_bytes(pickle.dumps(Bomb(target)))
    with pytest.raises(ValueError, match=r"could run code; it was refused|no archive \(a pickle, perhaps\)"):
        read_checkpoint(path)
    assert not target.exists()


def test_a_newer_format_is_refused(tmp_path):
    torch.save({"kind": "checkpoint", "version": 99, "content": {}}, tmp_path / "a.pt")
    with pytest.raises(ValueError, match=r"version 1 or older, got 99; update nflows-spread"):
        read_checkpoint(tmp_path / "a.pt")


@pytest.mark.parametrize("full", ["write", "sync"])
def test_without_space_the_run_stops_and_the_checkpoint_before_stays(full, tmp_path, monkeypatch):
    train(objective_of(0), ROWS, 5, folder=tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}

    def no_space(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if full == "write":
        monkeypatch.setattr(files_module.Path, "open", lambda path, mode: FullDisk(path, mode))
    else:
        monkeypatch.setattr(files_module.os, "fsync", no_space)
    with pytest.raises(OSError, match=r"cannot write .*step-0000000010.pt: No space left.*; nothing was written"):
        write_next(tmp_path)
    monkeypatch.undo()
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def write_next(folder):
    files_module.write_archive(folder / "step-0000000010.pt", "checkpoint", 1, {"x": torch.zeros(100_000)})


class FullDisk:
    """A file that takes a few bytes and no more."""

    def __init__(self, path, mode):
        self.file, self.left = open(path, mode), 1000  # noqa: SIM115

    def write(self, content):
        self.left -= len(content)
        if self.left < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self.file.write(content)

    def flush(self):
        self.file.flush()

    def fileno(self):
        return self.file.fileno()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()


def test_a_run_that_meets_a_full_disk_ends_with_the_checkpoint_before(tmp_path, monkeypatch):
    def fill_the_disk(state):
        if state.step == 7:
            monkeypatch.setattr(files_module.Path, "open", lambda path, mode: FullDisk(path, mode))

    with pytest.raises(
        OSError, match=r"cannot write .*step-0000000010.pt: No space left on device; nothing was written"
    ):
        train(objective_of(0), ROWS, 15, folder=tmp_path, callbacks=[fill_the_disk])
    monkeypatch.undo()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.pt", "step-0000000005.pt"]
    whole, again = objective_of(0), objective_of(1)
    train(whole, ROWS, 15)
    train(again, ROWS, 15, folder=tmp_path, resume=True)
    assert same(tensors_of(again), tensors_of(whole))


def test_a_file_size_limit_of_the_system_is_reported_as_no_space_is(tmp_path):
    resource = pytest.importorskip("resource")
    signal = pytest.importorskip("signal")
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(OSError, match=r"cannot write .*File too large; nothing was written"):
            files_module.write_archive(tmp_path / "a.pt", "checkpoint", 1, {"x": torch.zeros(1_000_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_refused_before_the_first_step(tmp_path):
    (tmp_path / "file").write_text("in the way")
    objective = objective_of(0)
    before = [parameter.detach().clone() for parameter in objective.parameters()]
    with pytest.raises(OSError, match=r"cannot write checkpoints to .*run: Not a directory; choose another folder"):
        train(objective, ROWS, 5, folder=tmp_path / "file" / "run")
    assert all(torch.equal(a, b) for a, b in zip(before, objective.parameters()))


def test_a_folder_without_permission_is_refused_before_the_first_step(tmp_path, monkeypatch):
    def refuse(path, _):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(files_module.Path, "write_bytes", refuse)
    with pytest.raises(PermissionError, match=r"checkpoints to .*Permission denied; choose another folder"):
        train(objective_of(0), ROWS, 5, folder=tmp_path)


def test_what_a_killed_process_left_behind_is_cleared(tmp_path):
    (tmp_path / ".step-0000000005.pt.77.unfinished").write_bytes(b"half")
    train(objective_of(0), ROWS, 5, folder=tmp_path)
    assert not list(tmp_path.glob("*.unfinished"))
    assert not list(tmp_path.glob(".*"))


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
