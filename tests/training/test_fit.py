"""The loop itself against the plain one: its steps, averages and schedules, what it shows and what it leaves alone."""

import subprocess
import sys
from functools import partial

import pytest
import torch
from torch import nn

from nflows_spread import intrinsic_dimension
from nflows_spread.training import GeometricNoise, default_optimizer, fit, parameter_groups
from training_toys import MeanSquare, rows, sgd, sine_objective, sine_rows


def test_the_steps_are_those_of_the_plain_loop():
    x, objective, counterpart = rows(), sine_objective(), sine_objective()
    objective.generator, counterpart.generator = (torch.Generator().manual_seed(5) for _ in range(2))
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
    optimizer, losses = torch.optim.Adam(counterpart.parameters(), lr=1e-2), []
    for batch in seen:
        optimizer.zero_grad()
        loss = counterpart(batch)
        loss.backward()
        nn.utils.clip_grad_norm_(counterpart.parameters(), 1.0)
        optimizer.step()
        losses.append(float(loss.detach()))
    assert result.losses == losses
    assert all(torch.equal(a, b) for a, b in zip(objective.parameters(), counterpart.parameters()))


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


def test_evaluations_do_not_change_what_is_trained():
    parameters = []
    for evaluated in (False, True):
        torch.manual_seed(3)
        objective = sine_objective()
        torch.manual_seed(3)
        extra = {"held_out": rows(), "evaluate_every": 2, "progress": True} if evaluated else {}
        fit(objective, rows(), steps=12, batch_size=20, generator=torch.Generator().manual_seed(0), **extra)
        parameters.append([p.detach().clone() for p in objective.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*parameters))


def test_the_bar_is_silent_away_from_a_terminal_and_shows_loss_dimension_and_noise_on_request(capsys):
    fit(sine_objective(), sine_rows, steps=5)
    assert capsys.readouterr() == ("", "")
    fit(sine_objective(), sine_rows, steps=5, progress=True)
    shown = capsys.readouterr().err
    assert all(word in shown for word in ("loss=", "dim=", "noise=0.1", "5/5"))


def test_a_scheduler_of_another_optimizer_is_refused():
    objective = MeanSquare()
    schedule = torch.optim.lr_scheduler.StepLR(sgd(objective), 1)
    with pytest.raises(ValueError, match="scheduler of the optimizer that is passed"):
        fit(objective, rows(), steps=1, learning_rate_schedule=schedule)


def test_without_its_engine_training_names_the_extra_and_the_rest_of_the_package_works():
    program = (
        "import sys; sys.modules['lightning_fabric'] = None\n"
        "import nflows_spread\n"
        "try:\n    import nflows_spread.training\n"
        "except ImportError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert 'pip install "nflows-spread[train]"' in done.stdout


def test_a_result_shows_no_list_of_all_losses():
    objective = MeanSquare()
    result = fit(objective, rows(), steps=3, batch_size=10, optimizer=sgd(objective))
    assert "steps=3" in repr(result)
    assert "losses" not in repr(result)
