"""Which checkpoint is the best, for held-out losses that are known beforehand."""

import pytest
import torch

from nflows_spread.training import Checkpoints, fit
from nflows_spread.training.checkpoints import read_checkpoint
from training_toys import MeanSquare, rows, sgd


class Scripted(MeanSquare):
    """Trains as ever; held-out losses come from a list, one for each evaluation."""

    def __init__(self, losses):
        super().__init__()
        self.losses = list(losses)

    def forward(self, x, context=None):
        loss = super().forward(x)
        return loss if self.training else torch.tensor(self.losses.pop(0), dtype=loss.dtype)


@pytest.mark.parametrize(
    ("losses", "best"),
    [
        ([3.0, 1.0, 2.0, 1.5], 4),  # a loss below the one before it is not yet the smallest
        ([3.0, 2.0, 2.0, 2.5], 4),  # the first of two equal ones
        ([4.0, 3.0, 2.0, 1.0], 8),
    ],
)
def test_the_best_checkpoint_has_the_smallest_held_out_loss_of_all(tmp_path, losses, best):
    assert best_of(tmp_path, losses, evaluate_every=2) == best


def test_a_checkpoint_counts_by_the_evaluation_at_its_own_step_and_not_by_an_earlier_one(tmp_path):
    """Evaluations after each step, checkpoints after every second one: those of the 1st and 3rd step are not kept."""
    assert best_of(tmp_path, [9.0, 3.0, 0.5, 2.0, 0.1, 2.5, 9.0, 4.0], evaluate_every=1) == 4


def best_of(folder, losses, evaluate_every):
    """The step of the best of four checkpoints, one after every second step."""
    objective, x = Scripted(losses), rows()
    fit(
        objective,
        x,
        steps=8,
        batch_size=10,
        optimizer=sgd(objective),
        held_out=x[:10],
        evaluate_every=evaluate_every,
        checkpoints=Checkpoints(folder, every=2, keep=9),
        generator=torch.Generator().manual_seed(0),
    )
    assert not objective.losses
    return read_checkpoint(folder / "best.pt")["step"]
