"""What people pass to ``fit``: tables, optimizers, schedules; and what it says about why training failed."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from nflows.flows import Flow
from nflows.transforms import ActNorm, CompositeTransform, Logit
from torch import nn
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.utils.data import DataLoader, TensorDataset

from nflows_spread import DegenerateGaussian, SpreadKLLoss, initialize
from nflows_spread.models import coupling_flow
from nflows_spread.training import Checkpoints, NotFiniteError, fit
from nflows_spread.training.tables import as_tensors
from support import refused
from training_toys import MeanSquare, rows, sgd, sine_objective

X = rows()


def frame(x=X, **columns):
    pandas = pytest.importorskip("pandas")
    return pandas.DataFrame(x.numpy(), columns=["a", "b"]).assign(**columns)


class Recorder(MeanSquare):
    """Remembers what it was given."""

    def __init__(self):
        super().__init__()
        self.batches = []

    def forward(self, x, context=None):
        self.batches.append((x, context))
        return super().forward(x)


TABLES = {
    "a data frame": frame,
    "a list of lists": lambda: X.tolist(),
    "a list of tuples": lambda: [tuple(row) for row in X.tolist()],
    "a tuple of lists": lambda: tuple(X.tolist()),
    "a list of tensors": lambda: list(X),
    "a list of series": lambda: [row for _, row in frame().iterrows()],
    "a list of arrays": lambda: list(X.numpy()),
    "reversed rows": lambda: X.flip(0).numpy()[::-1],
    "the other byte order": lambda: X.numpy().astype(">f8"),
    "a read-only array": lambda: np.broadcast_to(X.numpy(), (60, 2)),
    "long doubles": lambda: X.numpy().astype(np.longdouble),
}


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_tables_of_all_kinds_are_the_tensor_of_their_rows(table):
    (found,) = as_tensors("data", table())
    assert torch.equal(found, X)
    objective = Recorder()
    result = fit(objective, table(), steps=6, batch_size=10, optimizer=sgd(objective), held_out=table())
    assert torch.equal(torch.cat([x for x, _ in objective.batches[:6]]).sort(0).values, X.sort(0).values)
    assert result.steps == 6


PAIRS = {
    "arrays": lambda: (X.numpy(), 2.0 * X.numpy()),
    "a list of two arrays": lambda: [X.numpy(), 2.0 * X.numpy()],
    "an array and a tensor": lambda: (X.numpy(), 2.0 * X),
    "data frames": lambda: (frame(), 2.0 * frame()),
    "lists": lambda: (X.tolist(), (2.0 * X).tolist()),
}


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
def test_pairs_of_tables_are_rows_and_their_context(pair):
    objective = Recorder()
    fit(objective, pair(), steps=6, batch_size=10, optimizer=sgd(objective), held_out=pair())
    assert all(torch.equal(context, 2.0 * x) for x, context in objective.batches)


def test_columns_of_a_frame_may_be_booleans_integers_and_nullable_numbers():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"a": [True, False], "b": [1, 2], "c": pandas.array([0.5, 1.5], dtype="Float64")})
    (found,) = as_tensors("data", table)
    assert torch.equal(found, torch.tensor([[1.0, 1.0, 0.5], [0.0, 2.0, 1.5]], dtype=torch.float64))


class Sparse:
    """As SciPy's matrices are."""

    def toarray(self):
        return X.numpy()


BAD_TABLES = {
    "texts": (
        lambda: frame(c="text"),
        TypeError,
        r"data must hold real numbers, got dtype \w+ in 'c'; .* encode categories",
    ),
    "dates": (
        lambda: frame().assign(a="2020-01-01", b="2020-01-02").astype("datetime64[ns]"),
        TypeError,
        "real numbers, got dtype datetime64.* in 'a', 'b'; take the time since some moment",
    ),
    "a frame of complex numbers": (lambda: frame(c=1j), TypeError, "real numbers, got dtype complex128 in 'c'"),
    "a list of complex numbers": (lambda: [[1.0, 1j]], TypeError, "real numbers, got dtype complex128"),
    "rows of two lengths": (
        lambda: [[0.0, 1.0], [0.0]],
        ValueError,
        r"of one length, got \[1, 2\]",
    ),
    "masked entries": (
        lambda: np.ma.masked_array(X.numpy(), X.numpy() > 0),
        TypeError,
        r"no masked entries, got \d+; fill them or drop",
    ),
    "a sparse matrix": (Sparse, TypeError, r"dense, got a sparse Sparse; pass data.toarray\(\)"),
    "a column": (lambda: frame()["a"], ValueError, r"at least one row, \(n, ...\), got shape \(60,\)"),
    "integers": (
        lambda: X.numpy().astype(int),
        TypeError,
        r"floating dtype, got int64; convert it with .astype\(float\)",
    ),
    "rows with their contexts": (
        lambda: [((0.0, 1.0), (0.5,))] * 4,
        ValueError,
        "pass rows and their context as two tables",
    ),
    "columns by name": (lambda: {"a": X}, TypeError, "data must be a tensor, .*, got dict"),
    "missing values": (lambda: frame(c=math.nan), ValueError, "infinity in 60 of 60 rows"),
    "complex numbers": (lambda: X.numpy() * 1j, TypeError, "real numbers, got dtype complex128"),
}


@pytest.mark.parametrize(("table", "error", "message"), BAD_TABLES.values(), ids=BAD_TABLES)
def test_tables_that_are_none_are_refused(table, error, message):
    with pytest.raises(error, match=message):
        fit(MeanSquare(), table(), steps=1, batch_size=2)


def test_a_flow_in_the_place_of_its_loss_is_refused():
    flow = coupling_flow(2, layers=2)
    with refused(TypeError, "must be a loss, got Flow, which is a flow", "SpreadKLLoss", unchanged=flow):
        fit(flow, X.float(), steps=1, batch_size=10)


def test_held_out_data_that_is_no_table_or_of_two_lengths_is_refused():
    with pytest.raises(TypeError, match=r"held_out must be a tensor, .* got function"):
        fit(MeanSquare(), X, steps=1, batch_size=2, held_out=lambda: None)
    with pytest.raises(ValueError, match=r"held_out and its context must have as many rows, got \[60, 3\]"):
        fit(MeanSquare(), X, steps=1, batch_size=2, held_out=(X, X[:3]))


LABELLED = {
    "a data set": lambda x, y: TensorDataset(x, y),
    "a loader": lambda x, y: DataLoader(TensorDataset(x, y), batch_size=10),
    "a pair": lambda x, y: (x, y),
    "a pair of arrays": lambda x, y: (x.numpy(), y.numpy()),
    "rows and a list": lambda x, y: (x, y.tolist()),
    "a list of pairs": lambda x, y: list(zip(x, y)),
}


@pytest.mark.parametrize("labelled", LABELLED.values(), ids=LABELLED)
def test_labels_for_a_flow_without_context_are_refused_by_what_they_are(labelled):
    objective = sine_objective()
    x, y = X.float(), torch.arange(60) % 3
    with refused(
        ValueError, "second part of data is a context", "torch.int64", "(10,)", "pass these alone", unchanged=objective
    ):
        fit(objective, labelled(x, y), steps=1, batch_size=10)


def test_labels_that_an_objective_takes_are_given_to_it():
    class Classes(MeanSquare):
        def forward(self, x, y):
            return super().forward(x) + y.double().mean()

    objective = Classes()
    result = fit(objective, TensorDataset(X, torch.ones(60, dtype=torch.long)), steps=1, batch_size=60)
    assert result.losses[0] == pytest.approx(1.0 + 0.5 * float(X.square().sum(1).mean()))


def test_a_context_of_the_wrong_width_keeps_the_error_of_its_net():
    objective = SpreadKLLoss(coupling_flow(2, layers=2, context_features=3), data_noise=0.1)
    with pytest.raises(RuntimeError, match=r"^(?!the second part)"):
        fit(objective, (X.float(), X.float()), steps=1, batch_size=10)


# objectives


class Vector(MeanSquare):
    def forward(self, x):
        return super().forward(x).expand(len(x))


NO_LOSSES = {
    "a flow": (
        coupling_flow(2, layers=2),
        TypeError,
        r"must be a loss, got Flow, which is a flow; pass SpreadKLLoss",
    ),
    "a loss for each row": (Vector(), TypeError, r"one number, the loss, got a tensor of shape \(10,\); take the mean"),
    "a net that is frozen": (MeanSquare().requires_grad_(False), ValueError, "got none among the 1 of this MeanSquare"),
    "no parameters": (nn.Identity(), ValueError, "got none among the 0 of this Identity"),
}


@pytest.mark.parametrize(("objective", "error", "message"), NO_LOSSES.values(), ids=NO_LOSSES)
def test_what_is_no_loss_that_can_be_trained_is_refused(objective, error, message):
    with pytest.raises(error, match=message):
        fit(objective, X.to(next(objective.parameters(), X).dtype), steps=1, batch_size=10)


@pytest.mark.parametrize("without", [torch.no_grad, torch.inference_mode])
def test_training_without_gradients_is_refused(without):
    with without(), pytest.raises(RuntimeError, match=r"fit needs gradients, .*; call it outside"):
        fit(MeanSquare(), X, steps=1, batch_size=10)


# optimizers and schedules


def test_an_optimizer_that_needs_a_closure_is_refused_by_name():
    objective = MeanSquare()
    optimizer = torch.optim.LBFGS(objective.parameters())
    with refused(TypeError, "without a closure, got LBFGS", "pass Adam", unchanged=objective):
        fit(objective, X, steps=1, batch_size=10, optimizer=optimizer)
    with refused(TypeError, "without a closure, got LBFGS", unchanged=objective):
        schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1)
        fit(objective, X, steps=1, batch_size=10, optimizer=optimizer, learning_rate_schedule=schedule)


def test_subclasses_that_take_no_argument_of_their_own_are_known_too():
    class Quiet(torch.optim.LBFGS):
        def step(self, *args):
            return super().step(*args)

    class Follower(ReduceLROnPlateau):
        def step(self, metrics=None, epoch=None):
            super().step(metrics)

    objective = MeanSquare()
    with refused(TypeError, "without a closure, got Quiet", unchanged=objective):
        fit(objective, X, steps=1, batch_size=10, optimizer=Quiet(objective.parameters()))
    with refused(ValueError, "a Follower follows the loss of held-out data", unchanged=objective):
        fit(objective, X, steps=1, batch_size=10, learning_rate_schedule=Follower)


def test_an_optimizer_may_be_used_again_with_another_schedule():
    objective = MeanSquare()
    optimizer = torch.optim.AdamW(objective.parameters(), lr=0.1)
    for _ in range(3):  # each schedule wraps the optimizer's step once more
        schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
        fit(objective, X, steps=1, batch_size=10, optimizer=optimizer, learning_rate_schedule=schedule)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.1 * 0.5**3)


def test_an_optimizer_must_be_one_and_of_this_objective():
    with pytest.raises(TypeError, match=r"must be a torch.optim.Optimizer .*, got <class .*Adam'>; build it first"):
        fit(MeanSquare(), X, steps=1, batch_size=10, optimizer=torch.optim.Adam)
    with pytest.raises(ValueError, match="one of the objective's parameters, got SGD of others"):
        fit(MeanSquare(), X, steps=1, batch_size=10, optimizer=sgd(MeanSquare()))


def test_a_schedule_that_follows_the_loss_moves_at_each_evaluation():
    """Against torch's own, given the losses of the evaluations one after another."""
    objective, rates = MeanSquare(), []
    optimizer = sgd(objective, 0.5)
    plateau = partial(ReduceLROnPlateau, factor=0.5, patience=1, threshold=1e-3)
    result = fit(
        objective,
        X,
        steps=40,
        batch_size=20,
        optimizer=optimizer,
        learning_rate_schedule=plateau(optimizer),
        held_out=X,
        evaluate_every=2,
        callbacks=[lambda state: rates.append(state.learning_rate)],
    )
    twin = sgd(MeanSquare(), 0.5)
    oracle, expected = plateau(twin), []
    for evaluation in result.evaluations:
        oracle.step(evaluation.loss)
        expected.append(twin.param_groups[0]["lr"])
    assert rates[1::2] == expected
    assert rates[-1] < 0.5


def test_a_run_whose_schedule_follows_the_loss_is_resumed_exactly(tmp_path):
    ends = []
    for parts in ([24], [10, 24]):
        for steps in parts:
            objective = MeanSquare()
            result = fit(
                objective,
                X,
                steps=steps,
                batch_size=20,
                optimizer=sgd(objective, 0.5),
                learning_rate_schedule=partial(ReduceLROnPlateau, factor=0.5, patience=1, threshold=1e-3),
                held_out=X,
                evaluate_every=2,
                checkpoints=Checkpoints(tmp_path / str(len(parts))),
                resume=True,
                generator=torch.Generator().manual_seed(1),
            )
        ends.append((result.losses, objective.mean.tolist()))
    assert ends[0] == ends[1]


def test_schedules_that_cannot_move_are_refused():
    objective = MeanSquare()
    with refused(ValueError, "ReduceLROnPlateau follows the loss of held-out data, got none", unchanged=objective):
        fit(objective, X, steps=1, batch_size=10, learning_rate_schedule=ReduceLROnPlateau)
    with refused(TypeError, "got one that made 0.5; write partial(LambdaLR", unchanged=objective):
        fit(objective, X, steps=1, batch_size=10, learning_rate_schedule=lambda step: 0.5)


# why training failed


def behind(transform, noise=0.1):
    """A flow whose first transform is defined on [0, 1] alone."""
    flow = Flow(CompositeTransform([transform, coupling_flow(2, layers=2)._transform]), DegenerateGaussian([2]))
    return SpreadKLLoss(flow, data_noise=noise, generator=torch.Generator().manual_seed(0))


class QuietLogit(nn.Module):
    """A logit that gives NaN outside of [0, 1] and infinity at its ends, as that of normflows does."""

    def forward(self, x, context=None):
        return torch.logit(x), -(x * (1.0 - x)).log().sum(1)

    def inverse(self, z, context=None):
        raise NotImplementedError


LOGITS = {"one that raises": (Logit, ValueError), "one that gives NaN": (QuietLogit, NotFiniteError)}
every_logit = pytest.mark.parametrize(("logit", "error"), LOGITS.values(), ids=LOGITS)


def inside(n=60):
    return 0.02 + 0.96 * torch.rand(n, 2, generator=torch.Generator().manual_seed(0))


@every_logit
def test_noise_that_leaves_a_domain_is_named_as_the_cause(logit, error):
    with pytest.raises(
        error, match=r"data noise of 0.1 takes rows out of a transform's domain.*lower the data noise"
    ) as e:
        fit(behind(logit()), inside(), steps=3, batch_size=60)
    assert "raise the data noise" not in str(e.value)


@pytest.mark.parametrize("noise", [0.0, 0.1])
@every_logit
def test_rows_outside_of_a_domain_are_counted(logit, error, noise):
    x = inside()
    x[7], x[9, 1] = 1.5, -0.2
    with pytest.raises(error, match=r"2 of 60 rows, the first with values from 1.5 to 1.5, are on .*scale"):
        fit(behind(logit(), noise), x, steps=3, batch_size=60, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("scale", "rate"), [(1e4, 50.0), (1e25, 1e-3)])
def test_data_without_scale_is_named_as_the_cause(scale, rate):
    objective = SpreadKLLoss(coupling_flow(2, layers=4), data_noise=0.1)
    with pytest.raises(NotFiniteError, match=r"data is not scaled, this batch has values up to .*divide"):
        fit(objective, scale * X.float(), steps=500, batch_size=60, learning_rate=rate)


@pytest.mark.filterwarnings("ignore:this flow does not preserve volume")
def test_an_actnorm_that_a_constant_channel_has_spoiled_is_named_as_the_cause():
    x = X.float().clone()
    x[:, 1] = 3.0
    flow = Flow(CompositeTransform([ActNorm(2), coupling_flow(2, layers=2)._transform]), DegenerateGaussian([2]))
    with pytest.raises(NotFiniteError, match=r"transforms.0 \(ActNorm\) has set itself from a batch in .*initialize"):
        fit(SpreadKLLoss(flow, data_noise=0.0), x, steps=1, batch_size=10)
    flow = Flow(CompositeTransform([ActNorm(2), coupling_flow(2, layers=2)._transform]), DegenerateGaussian([2]))
    initialize(flow, x)
    fit(SpreadKLLoss(flow, data_noise=0.1), x, steps=5, batch_size=10)  # after the remedy


def test_a_step_too_long_is_named_as_the_cause():
    objective = SpreadKLLoss(coupling_flow(2, layers=4), data_noise=0.1)
    with pytest.raises(NotFiniteError, match="lower the learning rate, set gradient_clip") as e:
        fit(objective, X.float(), steps=500, batch_size=60, learning_rate=50.0)
    assert "domain" not in str(e.value)
    assert "scaled" not in str(e.value)
