"""What ``fit`` takes as an optimizer and as a schedule of its learning rate."""

from functools import partial

import pytest
import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau

from nflows_spread.training import Checkpoints, fit
from support import refused
from training_toys import MeanSquare, rows, sgd

X = rows()


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
    counterpart = sgd(MeanSquare(), 0.5)
    oracle, expected = plateau(counterpart), []
    for evaluation in result.evaluations:
        oracle.step(evaluation.loss)
        expected.append(counterpart.param_groups[0]["lr"])
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
