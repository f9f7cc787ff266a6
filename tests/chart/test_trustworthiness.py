"""Trustworthiness beside scikit-learn's."""

import numpy as np
import pytest
import torch

from nflows_spread.chart.trustworthiness import trustworthiness_by_row
from support import refused


@pytest.mark.parametrize("neighbours", [1, 5, 10])
def test_its_mean_is_that_of_scikit_learn(neighbours):
    manifold = pytest.importorskip("sklearn.manifold")
    x = torch.as_tensor(np.random.default_rng(0).normal(size=(80, 5)))
    found = trustworthiness_by_row(x, x[:, :2], x, x[:, :2], neighbours=neighbours)
    expected = manifold.trustworthiness(x.numpy(), x[:, :2].numpy(), n_neighbors=neighbours)
    assert float(found.mean()) == pytest.approx(expected, abs=1e-12)


def test_some_rows_are_asked_alone():
    x = torch.as_tensor(np.random.default_rng(0).normal(size=(60, 5)))
    every = trustworthiness_by_row(x, x[:, :2], x, x[:, :2])
    torch.testing.assert_close(trustworthiness_by_row(x[:7], x[:7, :2], x, x[:, :2]), every[:7])
    assert torch.equal(trustworthiness_by_row(x, x, x, x), torch.ones(60, dtype=torch.float64))


def test_too_few_rows_are_refused():
    x = torch.randn(15, 3)
    with refused(ValueError, "among must have at least 20 rows for 10 neighbours, got 15"):
        trustworthiness_by_row(x, x, x, x)
