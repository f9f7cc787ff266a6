"""Standard errors of μ by the infinitesimal jackknife, against resamples and closed forms."""

import math

import pytest
import torch

from nflows_spread.dimension.standard_errors import relative_errors

pytestmark = pytest.mark.usefixtures("float64")

N, M = 3000, 700
"""Points, and responses to noise."""


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def heavy(rows, seed):
    """Squares of a distribution of heavier tails than a Gaussian, of two directions, with mean 1."""
    normal = torch.randn(rows, 2, generator=seeded(seed))
    squares = (normal * (0.5 + torch.rand(rows, 2, generator=seeded(seed + 1)))).square()
    return squares / squares.mean(0)


def test_that_of_a_gaussian_is_the_error_of_a_variance():
    squares = torch.randn(N, 4, generator=seeded()).square()
    torch.testing.assert_close(relative_errors(squares, points=N), torch.full((4,), math.sqrt(2 / N)), rtol=0.1, atol=0)


@pytest.mark.parametrize("share", [0.0, 0.4])
def test_it_is_what_the_logarithm_of_the_ratio_varies_by_over_resamples(share):
    """μ = vᵀSv / vᵀNv, where S holds the share of N that is noise from the same draws."""
    signal, response = heavy(N, 1), heavy(M, 5)
    logs = []
    for seed in range(400):
        s = signal[torch.randint(N, (N,), generator=seeded(seed))].mean(0)
        n = response[torch.randint(M, (M,), generator=seeded(10_000 + seed))].mean(0)
        logs.append(((1.0 - share) * s + share * n).log() - n.log())
    found = relative_errors((1.0 - share) * signal, points=N, response=response, pairs=M, noise_share=share)
    torch.testing.assert_close(found, torch.stack(logs).std(0), rtol=0.12, atol=0.0)


def test_pure_noise_has_no_error_of_its_response():
    """There S is the noise's share of N alone, from the same draws."""
    found = relative_errors(torch.zeros(5, 2), points=5, response=heavy(M, 5), pairs=M, noise_share=torch.ones(2))
    assert found.tolist() == [0.0, 0.0]


def test_a_part_of_the_rows_tells_the_error_of_all():
    squares = heavy(N, 1)
    part = relative_errors(squares[:1000], points=N)
    torch.testing.assert_close(part, relative_errors(squares, points=N), rtol=0.1, atol=0.0)
