"""What ends a training: time, callbacks, stop rules, and losses and gradients that are not finite."""

import math
import time

import pytest
import torch

from nflows_spread.training import Checkpoints, NotFiniteError, StopOnHeldOutLoss, StopOnStableDimension, fit
from training_toys import MeanSquare, rows, sgd, sine_objective, sine_rows


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
