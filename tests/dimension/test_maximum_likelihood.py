"""Levina and Bickel's estimate from distances between neighbours, its standard error, and its trimmed form."""

import math

import numpy as np
import pytest
import scipy.spatial
import torch

from nflows_spread.dimension.maximum_likelihood import (
    NEIGHBOURS,
    inverse_dimensions,
    log_distances,
    maximum_likelihood,
    trimmed_estimates,
)

pytestmark = pytest.mark.usefixtures("float64")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_distances_are_those_of_a_tree_and_a_point_is_no_neighbour_of_itself():
    x = torch.randn(2100, 3, generator=seeded())
    expected = scipy.spatial.cKDTree(x).query(x[:2000], 41)[0][:, 1:]
    np.testing.assert_allclose(log_distances(x).exp(), expected, rtol=1e-6)


def test_the_estimate_is_levina_and_bickels_averaged_as_mackay_and_ghahramani_do():
    logs = torch.rand(70, 40, generator=seeded()).cumsum(1)
    estimates, _ = maximum_likelihood(logs)
    for k, estimate in zip(NEIGHBOURS, estimates, strict=True):
        inverse = [sum(float(row[k - 1] - row[j]) for j in range(k - 1)) / (k - 2) for row in logs]
        np.testing.assert_allclose(inverse_dimensions(logs, k), inverse, rtol=1e-12)
        assert estimate == pytest.approx(1.0 / np.mean(inverse), rel=1e-12)


@pytest.mark.parametrize("dimension", [2, 4])
def test_the_error_of_an_estimate_is_what_it_varies_by_from_sample_to_sample(dimension):
    samples = [torch.rand(400, dimension, generator=seeded(seed)) for seed in range(100)]
    estimates, errors = zip(*(maximum_likelihood(log_distances(x)) for x in samples), strict=True)
    varies = torch.tensor(estimates)[:, :2].log().std(0)  # of the 3rd and the 5th neighbour, which decide
    torch.testing.assert_close(torch.tensor(errors)[:, :2].mean(0), varies, rtol=0.3, atol=0.0)


def test_the_relative_error_is_13_tenths_of_that_of_independent_points():
    logs = torch.rand(70, 40, generator=seeded()).cumsum(1)
    inverse = inverse_dimensions(logs, 5).numpy()
    expected = 1.3 * inverse.std(ddof=1) / inverse.mean() / math.sqrt(70)
    assert maximum_likelihood(logs)[1][1] == pytest.approx(expected, rel=1e-12)


def test_trimmed_estimates_leave_out_the_quarter_of_points_where_they_are_lowest():
    logs = log_distances(torch.rand(200, 3, generator=seeded()))
    for k, found in zip((3, 5), trimmed_estimates(logs), strict=True):
        inverse = np.sort([sum(float(row[k - 1] - row[j]) for j in range(k - 1)) / (k - 2) for row in logs])
        assert found == pytest.approx(1.0 / inverse[:150].mean(), rel=1e-9)
