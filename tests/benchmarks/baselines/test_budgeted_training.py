"""Training within a budget: it ends when that is spent, keeps its best check, and the rate falls to nothing."""

from __future__ import annotations

import time

import pytest
import torch
from torch import Tensor, nn

from baselines.budgeted_training import Budget, _held_out_loss, _rate, train_within


class Offset(nn.Module):
    """E‖x − m‖² of a vector m; notes what it has seen."""

    def __init__(self, seconds_a_step: float = 0.0) -> None:
        super().__init__()
        self.mean, self.progress, self.seconds = nn.Parameter(torch.full((2,), 5.0)), 0.0, seconds_a_step

    def forward(self, x: Tensor) -> Tensor:
        until = time.process_time() + self.seconds
        while time.process_time() < until:
            pass
        return (x - self.mean).square().sum(1).mean()


class Judged(Offset):
    """The same, but the first check is said to be the best."""

    def validation_loss(self, x: Tensor) -> Tensor:
        return torch.tensor(self.progress)


def rows() -> Tensor:
    return torch.randn(100, 2, generator=torch.Generator().manual_seed(0))


def test_it_ends_after_its_steps_and_has_learned():
    objective = Offset()
    assert train_within(objective, rows(), Budget(steps=200), learning_rate=0.2, batch_size=20, seed=0) == 200
    assert objective.progress == 1.0
    torch.testing.assert_close(objective.mean.detach(), rows().mean(0), rtol=0.0, atol=0.3)


def test_it_ends_when_its_processor_seconds_are_spent():
    objective, began = Offset(seconds_a_step=0.005), time.process_time()
    steps = train_within(objective, rows(), Budget(seconds=0.3), learning_rate=0.1, batch_size=20, seed=0)
    assert 0.3 <= time.process_time() - began < 0.45
    assert 10 < steps <= 60


def test_the_best_check_is_kept_by_the_objective_s_own_judgement():
    objective = Judged()
    train_within(objective, rows(), Budget(steps=100), learning_rate=0.1, batch_size=20, seed=0)
    assert float(objective.mean.detach().min()) > 4.0  # four of a hundred steps from 5 to 0


def test_the_rate_rises_then_falls_to_nothing():
    rates = [_rate(share / 100) for share in range(101)]
    assert rates[0] < 0.05
    assert max(rates) > 0.98
    assert rates[-1] == pytest.approx(0.0)
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_parts_of_a_budget_are_of_both_kinds():
    assert Budget(10.0, 7).part(0.5) == Budget(5.0, 4)
    assert Budget(steps=1).part(0.1).steps == 1


class Noisy(Offset):
    """The same with noise in its loss, of a source of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.generator, self.seen = torch.Generator().manual_seed(3), []

    def forward(self, x: Tensor) -> Tensor:
        noise = torch.empty_like(x).normal_(generator=self.generator)
        if not torch.is_grad_enabled():
            self.seen.append(noise[0])
        return super().forward(x + noise)


def test_checks_of_a_loss_with_noise_have_the_same_noise_and_leave_its_source_alone():
    objective, state = Noisy(), torch.Generator().manual_seed(3).get_state()
    losses = [_held_out_loss(objective, rows()) for _ in range(2)]
    assert losses[0] == losses[1]
    assert torch.equal(objective.seen[0], objective.seen[1])
    assert torch.equal(objective.generator.get_state(), state)
