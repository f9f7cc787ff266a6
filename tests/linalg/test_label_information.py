"""Held-out log-losses of labels in the directions in which labels differ, against what is known of two Gaussians."""

import math

import pytest
import scipy.integrate
import scipy.stats
import torch

from nflows_spread.linalg.label_information import FOLDS, held_out_log_losses

ROWS, APART = 4000, 3.0


def two_gaussians(rows=ROWS):
    """Rows of two labels whose means are ±APART / 2 along the second axis, about 7, and their labels."""
    generator = torch.Generator().manual_seed(5)
    labels = torch.arange(rows) % 2
    x = torch.randn(rows, 3, generator=generator, dtype=torch.float64) + 7.0
    x[:, 1] += APART * (labels - 0.5)
    return x, labels


def losses_of(x, labels, seed=0):
    return held_out_log_losses(x, labels, 2, generator=torch.Generator().manual_seed(seed))


def test_the_loss_is_the_conditional_entropy_of_the_labels():
    """−E log p(c | y) of two Gaussians in one direction, by numerical integration; a second one says nothing."""
    x, labels = two_gaussians()
    found = losses_of(x, labels).mean(0)
    density = scipy.stats.norm(APART / 2).pdf
    expected, _ = scipy.integrate.quad(lambda y: density(y) * math.log1p(math.exp(-APART * y)), -10, 12)
    assert float(found[0]) == pytest.approx(math.log(2.0), abs=1e-9)
    assert found[1:].tolist() == pytest.approx([expected] * 3, abs=0.03)


def test_losses_are_in_float64_and_those_of_the_same_rows_in_float64():
    x, labels = two_gaussians(200)
    found = losses_of(x.float(), labels)
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, losses_of(x.float().double(), labels), rtol=0, atol=0)


def test_linear_maps_of_rows_change_no_loss():
    x, labels = two_gaussians(400)
    gauge = torch.tensor([[2.0, 1.0, 0.0], [0.0, 0.5, 3.0], [1.0, 0.0, 1.0]], dtype=torch.float64)
    expected = losses_of(x, labels)
    torch.testing.assert_close(losses_of(x @ gauge, labels)[:, [0, 3]], expected[:, [0, 3]], rtol=1e-6, atol=1e-8)


def test_each_row_is_judged_by_the_others_alone():
    """A row that is moved far away has another loss, and so have all but the others of its fold."""
    x, labels = two_gaussians(400)
    moved = x.clone()
    moved[0, 1] = 100.0
    before, after = losses_of(x, labels), losses_of(moved, labels)
    assert float(after[0, 3]) > 100.0
    assert int((before == after).all(1).sum()) == 400 // FOLDS - 1
