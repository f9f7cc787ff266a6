"""How rows reach the loop, whatever holds them, and the data and options that are refused before a step is taken."""

import math

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from nflows_spread.training import StopOnHeldOutLoss, fit
from nflows_spread.training.batches import batches_of
from nflows_spread.training.sources import Shard
from training_toys import MeanSquare, rows, sgd, sine_objective


class Recorder(MeanSquare):
    """Remembers what it was given."""

    def __init__(self, features=2):
        super().__init__(features)
        self.batches, self.contexts = [], []

    def forward(self, x, context=None):
        self.batches.append(x.clone())
        self.contexts.append(context)
        return super().forward(x)


class Rows(Dataset):
    def __init__(self, x):
        self.x = x

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return self.x[i]


class Stream(IterableDataset):
    def __init__(self, x):
        self.x = x

    def __iter__(self):
        return iter(self.x)


def as_file(x, folder):
    np.save(folder / "rows.npy", x.numpy())
    return folder / "rows.npy"


KINDS = {
    "tensor": lambda x, _: x,
    "array": lambda x, _: x.numpy(),
    "dataset": lambda x, _: Rows(x),
    "loader": lambda x, _: DataLoader(TensorDataset(x), batch_size=10, shuffle=True),
    "stream": lambda x, _: Stream(x),
    "file": as_file,
    "mapped file": lambda x, folder: np.load(as_file(x, folder), mmap_mode="r"),
}
every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


@every_kind
def test_an_epoch_visits_every_row_once(kind, tmp_path):
    x, objective = rows(), Recorder()
    fit(objective, kind(x, tmp_path), steps=12, batch_size=10, optimizer=sgd(objective))
    for epoch in (objective.batches[:6], objective.batches[6:]):
        seen = torch.cat(epoch)
        assert torch.equal(seen[seen[:, 0].argsort()], x[x[:, 0].argsort()])


@pytest.mark.parametrize("kind", ["tensor", "array", "dataset", "file"])
def test_the_order_of_rows_is_the_generators(kind, tmp_path):
    orders = []
    for seed in (1, 1, 2):
        objective = Recorder()
        generator = torch.Generator().manual_seed(seed)
        data = KINDS[kind](rows(), tmp_path)
        fit(objective, data, steps=8, batch_size=10, optimizer=sgd(objective), generator=generator)
        orders.append(torch.cat(objective.batches))
    assert torch.equal(orders[0], orders[1])
    assert not torch.equal(orders[0], orders[2])


def test_a_sampler_gets_the_number_of_rows_and_the_generator():
    objective, generator = Recorder(), torch.Generator().manual_seed(3)

    def sampler(n, generator):
        return torch.randn(n, 2, generator=generator, dtype=torch.float64)

    fit(objective, sampler, steps=3, batch_size=7, optimizer=sgd(objective), generator=generator)
    oracle = torch.Generator().manual_seed(3)
    assert all(torch.equal(batch, sampler(7, oracle)) for batch in objective.batches)


class Normal:
    """A sampler that is no function."""

    def __call__(self, n, generator):
        return torch.randn(n, 2, generator=generator)


DESCRIBED = {
    "60 rows of shape (2,)": lambda: rows(60),
    "Rows of 60 rows": lambda: Rows(rows(60)),
    "sampler Normal": Normal,
    "sampler Normal.__call__": lambda: Normal().__call__,
    "DataLoader over Stream in batches of 10": lambda: Stream(rows(60)),
    "DataLoader over TensorDataset in batches of 10": lambda: DataLoader(TensorDataset(rows(60)), batch_size=10),
}


@pytest.mark.parametrize(("words", "data"), DESCRIBED.items())
def test_a_run_says_in_few_words_what_it_was_trained_on(words, data):
    shard = Shard(10, 0, 1, torch.device("cpu"), torch.float32)
    assert batches_of(data(), shard, torch.Generator()).describe() == words


@pytest.mark.parametrize("as_dataset", [False, True])
def test_the_context_arrives_with_its_rows(as_dataset):
    x, objective = rows(), Recorder()
    data = TensorDataset(x, 2.0 * x) if as_dataset else (x, 2.0 * x)
    fit(objective, data, steps=4, batch_size=10, optimizer=sgd(objective))
    assert all(torch.equal(context, 2.0 * batch) for batch, context in zip(objective.batches, objective.contexts))


class Integers(Dataset):
    def __len__(self):
        return 20

    def __getitem__(self, i):
        return torch.zeros(2, dtype=torch.uint8)


def spoiled(n, *bad):
    x = rows(n)
    x[list(bad), 0] = math.nan
    return x


REFUSED = {
    "no rows": ({"data": torch.zeros(0, 2)}, ValueError, r"at least one row.*\(0, 2\)"),
    "an empty data set": ({"data": Rows(torch.zeros(0, 2))}, ValueError, "at least one row, got an empty"),
    "an empty loader": ({"data": DataLoader([])}, ValueError, "at least one batch"),
    "a batch larger than the data": ({"batch_size": 61}, ValueError, "at most the number of rows, 60, got 61"),
    "NaN": ({"data": spoiled(60, 7, 11)}, ValueError, r"infinity in 2 of 60 rows, the first at index 7"),
    "NaN in an array": ({"data": spoiled(60, 3).numpy()}, ValueError, r"infinity in 1 of 60 rows.*index 3"),
    "NaN in a data set": (
        {"data": Rows(spoiled(60, 59)), "batch_size": 60},
        ValueError,
        r"infinity in 1 of 60 rows.*index 59",
    ),
    "NaN in a loader": (
        {"data": DataLoader(Rows(spoiled(60, 1)), batch_size=4)},
        ValueError,
        r"infinity in 1 of 4 rows of batch 1 of epoch 1, the first at index 1",
    ),
    "integers": ({"data": torch.zeros(10, 2, dtype=torch.long)}, TypeError, "floating dtype, got torch.int64"),
    "a data set of integers": ({"data": Integers()}, TypeError, "floating dtype, got torch.uint8"),
    "no data": ({"data": 3}, TypeError, "data must be a tensor, .* got int"),
    "context of another length": ({"data": (rows(), rows(3))}, ValueError, r"as many rows, got \[60, 3\]"),
    "no steps": ({"steps": 0}, ValueError, "steps must be at least 1, got 0"),
    "half a step": ({"steps": 0.5}, TypeError, "steps must be an integer, got 0.5"),
    "no batch": ({"batch_size": 0}, ValueError, "batch_size must be at least 1, got 0"),
    "a negative learning rate": ({"learning_rate": -1.0}, ValueError, "learning_rate must be .* got -1"),
    "a negative decay": ({"weight_decay": -1.0}, ValueError, "weight_decay must be .* got -1"),
    "no clipping": ({"gradient_clip": 0.0}, ValueError, "gradient_clip must be .* got 0"),
    "an average that never moves": ({"average": 1.0}, ValueError, "below 1, got 1.0"),
    "no time": ({"max_minutes": 0}, ValueError, "max_minutes must be .* got 0"),
    "an unknown precision": ({"precision": "fp8"}, ValueError, "'32-true' or 'bf16-mixed', got 'fp8'"),
    "no processes": ({"processes": 0}, ValueError, "processes must be at least 1, got 0"),
    "to resume nothing": ({"resume": True}, ValueError, "resume needs a folder"),
    "a stop rule without its data": (
        {"early_stop": StopOnHeldOutLoss()},
        ValueError,
        "needs held-out data, got none; pass held_out",
    ),
}


@pytest.mark.parametrize(("arguments", "error", "message"), REFUSED.values(), ids=REFUSED)
def test_bad_input_is_refused_and_changes_nothing(arguments, error, message):
    objective = sine_objective()
    before = [p.detach().clone() for p in objective.parameters()]
    given = {"data": rows(), "steps": 1, "batch_size": 4, **arguments}
    with pytest.raises(error, match=message):
        fit(objective, given.pop("data"), **given)
    assert all(torch.equal(a, b) for a, b in zip(before, objective.parameters()))


def test_a_mapped_file_is_never_read_whole(tmp_path, monkeypatch):
    taken = []
    original = np.memmap.__getitem__

    def record(self, index):
        part = original(self, index)
        taken.append(np.asarray(part).shape[0])
        return part

    path = as_file(rows(1000), tmp_path)
    monkeypatch.setattr(np.memmap, "__getitem__", record)
    objective = MeanSquare()
    fit(objective, path, steps=5, batch_size=10, optimizer=sgd(objective))
    assert taken == [10] * 5
