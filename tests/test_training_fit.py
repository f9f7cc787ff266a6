"""The loop: what it computes, which data it takes, when it stops, and what it refuses."""

import math
import subprocess
import sys
import time
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from nflows_spread import SpreadKLLoss, intrinsic_dimension
from nflows_spread.models import TABLE_1, coupling_flow
from nflows_spread.training import (
    Checkpoints,
    GeometricNoise,
    NotFiniteError,
    StopOnHeldOutLoss,
    StopOnStableDimension,
    current_dimension,
    default_optimizer,
    fit,
    parameter_groups,
)


class MeanSquare(nn.Module):
    """½ E|x − m|², whose gradient is m − E x: nothing in it is random."""

    def __init__(self, features=2):
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(features, dtype=torch.float64))

    def forward(self, x, context=None):
        return 0.5 * (x - self.mean).square().sum(1).mean()


class Recorder(MeanSquare):
    """Remembers what it was given."""

    def __init__(self, features=2):
        super().__init__(features)
        self.batches, self.contexts = [], []

    def forward(self, x, context=None):
        self.batches.append(x.clone())
        self.contexts.append(context)
        return super().forward(x)


class _InfiniteGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient * math.inf


class Broken(MeanSquare):
    """Not finite at the given calls."""

    def __init__(self, bad_calls=(), bad_gradient=False):
        super().__init__()
        self.bad_calls, self.bad_gradient, self.calls = bad_calls, bad_gradient, 0

    def forward(self, x, context=None):
        self.calls += 1
        loss = super().forward(x)
        if self.calls in self.bad_calls:
            return _InfiniteGradient.apply(loss) if self.bad_gradient else loss * math.nan
        return loss


def rows(n=60, seed=0):
    return torch.randn(n, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def sgd(objective, rate=0.1):
    return torch.optim.SGD(objective.parameters(), lr=rate)


def sine_objective():
    torch.manual_seed(0)
    return SpreadKLLoss(coupling_flow(**TABLE_1), data_noise=0.1)


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


@pytest.mark.parametrize("as_dataset", [False, True])
def test_the_context_arrives_with_its_rows(as_dataset):
    x, objective = rows(), Recorder()
    data = TensorDataset(x, 2.0 * x) if as_dataset else (x, 2.0 * x)
    fit(objective, data, steps=4, batch_size=10, optimizer=sgd(objective))
    assert all(torch.equal(context, 2.0 * batch) for batch, context in zip(objective.batches, objective.contexts))


def test_the_steps_are_those_of_the_plain_loop():
    x, objective, twin = rows(), sine_objective(), sine_objective()
    objective.generator, twin.generator = (torch.Generator().manual_seed(5) for _ in range(2))
    seen = []
    result = fit(
        objective,
        x,
        steps=9,
        batch_size=20,
        gradient_clip=1.0,
        optimizer=torch.optim.Adam(objective.parameters(), lr=1e-2),
        callbacks=[lambda state: seen.append(state.batch[0])],
    )
    optimizer, losses = torch.optim.Adam(twin.parameters(), lr=1e-2), []
    for batch in seen:
        optimizer.zero_grad()
        loss = twin(batch)
        loss.backward()
        nn.utils.clip_grad_norm_(twin.parameters(), 1.0)
        optimizer.step()
        losses.append(float(loss.detach()))
    assert result.losses == losses
    assert all(torch.equal(a, b) for a, b in zip(objective.parameters(), twin.parameters()))


def test_accumulated_batches_are_one_large_batch():
    x, small, large = rows(), MeanSquare(), MeanSquare()
    generators = [torch.Generator().manual_seed(4) for _ in range(2)]
    a = fit(small, x, steps=6, batch_size=10, accumulate=3, optimizer=sgd(small), generator=generators[0])
    b = fit(large, x, steps=6, batch_size=30, optimizer=sgd(large), generator=generators[1])
    assert a.losses == pytest.approx(b.losses, rel=1e-12)
    assert torch.allclose(small.mean, large.mean, rtol=1e-12)


def test_the_gradient_is_clipped_and_its_norm_before_that_is_shown():
    x, objective = rows() + 100.0, MeanSquare()
    norms = []
    fit(
        objective,
        x,
        steps=1,
        batch_size=60,
        gradient_clip=0.5,
        optimizer=sgd(objective, 1.0),
        callbacks=[lambda state: norms.append(state.gradient_norm)],
    )
    assert norms[0] == pytest.approx(float(x.mean(0).norm()))
    assert float(objective.mean.detach().norm()) == pytest.approx(0.5)


def test_a_moving_average_is_the_recursion_that_defines_it():
    objective, seen = MeanSquare(), []
    result = fit(
        objective,
        rows(),
        steps=5,
        batch_size=10,
        average=0.7,
        optimizer=sgd(objective),
        callbacks=[lambda state: seen.append(state.objective.mean.detach().clone())],
    )
    expected = torch.zeros(2, dtype=torch.float64)
    for mean in seen:
        expected = 0.7 * expected + 0.3 * mean
    last = objective.mean.detach().clone()
    with result.average.in_place():
        assert torch.allclose(objective.mean, expected, rtol=1e-12)
    assert torch.equal(objective.mean, last)


def test_a_learning_rate_schedule_moves_at_every_step():
    objective, rates = MeanSquare(), []
    optimizer = sgd(objective, 0.8)
    fit(
        objective,
        rows(),
        steps=3,
        batch_size=10,
        optimizer=optimizer,
        learning_rate_schedule=torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5),
        callbacks=[lambda state: rates.append(state.learning_rate)],
    )
    assert rates == pytest.approx([0.4, 0.2, 0.1])


def test_a_learning_rate_schedule_may_be_made_from_the_default_optimizer():
    rates = []
    fit(
        sine_objective(),
        rows(),
        steps=2,
        batch_size=10,
        learning_rate=1e-2,
        learning_rate_schedule=partial(torch.optim.lr_scheduler.StepLR, step_size=1, gamma=0.1),
        callbacks=[lambda state: rates.append(state.learning_rate)],
    )
    assert rates == pytest.approx([1e-3, 1e-4])


def test_weight_decay_leaves_out_the_prior_scales_and_biases():
    objective = sine_objective()
    decaying, free = parameter_groups(objective, 0.1)
    names = {id(parameter): name for name, parameter in objective.named_parameters()}
    assert {names[id(p)].rpartition(".weights")[1] for p in decaying["params"]} == {".weights"}
    assert any("factor" in names[id(p)] for p in free["params"])
    assert all("weights" not in names[id(p)] for p in free["params"])
    assert len(decaying["params"]) + len(free["params"]) == len(names)
    optimizer = default_optimizer(objective, weight_decay=0.1)
    before = {name: p.detach().clone() for name, p in objective.named_parameters()}
    for parameter in objective.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    moved = {name for name, p in objective.named_parameters() if not torch.equal(p, before[name])}
    assert moved == {names[id(p)] for p in decaying["params"]}


def test_training_finds_the_dimension_of_the_sine():
    objective = sine_objective()
    fit(
        objective,
        sine_rows,
        steps=600,
        learning_rate=2e-3,
        noise_schedule=GeometricNoise(objective, start=0.3, end=0.05, steps=500),
        generator=torch.Generator().manual_seed(0),
    )
    assert intrinsic_dimension(objective.flow, sine_rows(500, torch.Generator().manual_seed(1))) == 1


def sine_rows(n, generator):
    t = torch.randn(n, 1, generator=generator)
    return torch.cat([t, torch.sin(t)], dim=1)


def test_it_stops_after_max_minutes():
    start = time.perf_counter()
    objective = MeanSquare()
    result = fit(objective, rows(), steps=10**7, batch_size=10, optimizer=sgd(objective), max_minutes=0.2 / 60)
    assert result.stopped == "max_minutes"
    assert 0.2 <= time.perf_counter() - start < 2.0
    assert result.steps == len(result.losses) > 0


def test_a_callback_can_end_the_run():
    def stop(state):
        if state.step == 3:
            state.stop_reason = "enough"

    objective = MeanSquare()
    result = fit(objective, rows(), steps=10, batch_size=10, optimizer=sgd(objective), callbacks=[stop])
    assert (result.stopped, result.steps) == ("enough", 3)


def test_it_stops_when_the_held_out_loss_no_longer_falls():
    objective = MeanSquare()
    result = fit(
        objective,
        rows(),
        steps=1000,
        batch_size=60,
        optimizer=sgd(objective, 0.5),
        held_out=rows(),
        evaluate_every=5,
        early_stop=StopOnHeldOutLoss(patience=2, min_improvement=1e-6),
    )
    assert result.stopped == "the held-out loss has not improved in 2 evaluations"
    losses = [evaluation.loss for evaluation in result.evaluations]
    exact = float(0.5 * (rows() - rows().mean(0)).square().sum(1).mean())
    assert losses[-1] == pytest.approx(exact, rel=1e-9)
    assert result.steps == 5 * len(losses) < 1000


def test_it_stops_when_the_dimension_is_stable_and_not_before_it_may():
    objective = sine_objective()
    rule = StopOnStableDimension(patience=3, after=40)
    result = fit(objective, sine_rows, steps=500, evaluate_every=10, early_stop=rule)
    assert "evaluations in a row" in result.stopped
    assert result.steps >= 60
    assert len({evaluation.dimension for evaluation in result.evaluations[-3:]}) == 1


def test_looking_on_does_not_change_what_is_trained():
    parameters = []
    for looks in (False, True):
        torch.manual_seed(3)
        objective = sine_objective()
        torch.manual_seed(3)
        extra = {"held_out": rows(), "evaluate_every": 2, "progress": True} if looks else {}
        fit(objective, rows(), steps=12, batch_size=20, generator=torch.Generator().manual_seed(0), **extra)
        parameters.append([p.detach().clone() for p in objective.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*parameters))


def test_a_loss_that_is_not_finite_stops_before_the_step_and_names_the_step():
    objective = Broken(bad_calls=(4,))
    seen = []
    with pytest.raises(NotFiniteError, match=r"nan at step 4: all parameters are finite.*lower the learning rate"):
        fit(
            objective,
            rows(),
            steps=10,
            batch_size=10,
            optimizer=sgd(objective),
            callbacks=[lambda state: seen.append(state.objective.mean.detach().clone())],
        )
    assert torch.equal(objective.mean, seen[-1])
    assert len(seen) == 3


def test_a_parameter_that_the_last_step_spoils_does_not_pass_as_success():
    objective = Broken(bad_calls=(3,), bad_gradient=True)
    with pytest.raises(NotFiniteError, match=r"at step 3: the parameter mean is not finite"):
        fit(objective, rows(), steps=3, batch_size=10, optimizer=sgd(objective))


def test_a_gradient_that_is_not_finite_is_traced_to_its_parameter_and_spares_the_checkpoint(tmp_path):
    objective = Broken(bad_calls=(5,), bad_gradient=True)
    checkpoints = Checkpoints(tmp_path, every=2)
    with pytest.raises(NotFiniteError, match=r"step [56]: the parameter mean is not finite.*step-0000000004.pt"):
        fit(objective, rows(), steps=10, batch_size=10, optimizer=sgd(objective), checkpoints=checkpoints)
    content = checkpoints.read_latest()
    assert content["step"] == 4
    assert torch.isfinite(content["objective"]["mean"]).all()


def test_the_bar_is_silent_away_from_a_terminal_and_shows_loss_dimension_and_noise_on_request(capsys):
    fit(sine_objective(), sine_rows, steps=5)
    assert capsys.readouterr() == ("", "")
    fit(sine_objective(), sine_rows, steps=5, progress=True)
    shown = capsys.readouterr().err
    assert all(word in shown for word in ("loss=", "dim=", "noise=0.1", "5/5"))


def test_the_dimension_of_many_features_costs_no_pass_through_the_flow(monkeypatch):
    objective = SpreadKLLoss(coupling_flow(80, layers=1), data_noise=0.1)
    monkeypatch.setattr(objective.flow, "_transform", None)
    assert current_dimension(objective, torch.randn(5, 80)) is not None


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


def test_a_scheduler_of_another_optimizer_is_refused():
    objective = MeanSquare()
    schedule = torch.optim.lr_scheduler.StepLR(sgd(objective), 1)
    with pytest.raises(ValueError, match="scheduler of the optimizer that is passed"):
        fit(objective, rows(), steps=1, learning_rate_schedule=schedule)


def test_a_mapped_file_is_never_read_whole(tmp_path, monkeypatch):
    taken = []
    original = np.memmap.__getitem__

    def watch(self, index):
        part = original(self, index)
        taken.append(np.asarray(part).shape[0])
        return part

    path = as_file(rows(1000), tmp_path)
    monkeypatch.setattr(np.memmap, "__getitem__", watch)
    objective = MeanSquare()
    fit(objective, path, steps=5, batch_size=10, optimizer=sgd(objective))
    assert taken == [10] * 5


def test_without_its_engine_training_names_the_extra_and_the_rest_of_the_package_works():
    program = (
        "import sys; sys.modules['lightning_fabric'] = None\n"
        "import nflows_spread\n"
        "try:\n    import nflows_spread.training\n"
        "except ImportError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert 'pip install "nflows-spread[train]"' in done.stdout
