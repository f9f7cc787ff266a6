"""The dimension from a density, for a flow whose density is known."""

import math
from dataclasses import replace

import pytest
import scipy.stats
import torch
from nflows.distributions import StandardNormal
from nflows.flows import Flow
from nflows.transforms import PointwiseAffineTransform

from nflows_spread.dimension.density import denoise, density_dimension, score_of
from nflows_spread.models import coupling_flow
from support import randomize, refused

pytestmark = pytest.mark.usefixtures("float64")

VARIANCES = torch.tensor([4.0, 1.0, 0.25, 0.0, 0.0, 0.0], dtype=torch.float64)
NOISE = 0.1


def seeded():
    return torch.Generator().manual_seed(0)


def gaussian_flow(variances):
    """The density N(0, diag(v))."""
    return Flow(PointwiseAffineTransform(0.0, variances.rsqrt()), StandardNormal([len(variances)]))


def points(rows=4000):
    return VARIANCES.sqrt() * torch.randn(rows, 6, generator=seeded())


def test_both_numbers_are_those_of_the_exact_density():
    found = density_dimension(gaussian_flow(VARIANCES + NOISE**2), points(), data_noise=NOISE, generator=seeded())
    exact = float((VARIANCES / (VARIANCES + NOISE**2)).sum())  # E‖error‖²/σ² of the Wiener filter
    assert found.denoising == pytest.approx(exact, abs=4.0 * found.denoising_error)
    assert found.score == pytest.approx(exact, abs=4.0 * found.score_error)
    assert found.denoising_error < 0.06


def test_both_numbers_are_means_over_points_with_their_standard_errors():
    """ε + σ ∇log p = ε − σ x̃ / v for N(0, diag(v))."""
    x, variances = points(300), VARIANCES + NOISE**2
    noise = torch.empty_like(x).normal_(generator=seeded())
    scaled = -NOISE * (x + NOISE * noise) / variances
    denoising, score = (noise + scaled).square().sum(1), (noise.square() - scaled.square()).sum(1)
    found = density_dimension(gaussian_flow(variances), x, data_noise=NOISE, generator=seeded())
    for value, error, of_points in (
        (found.denoising, found.denoising_error, denoising),
        (found.score, found.score_error, score),
    ):
        assert value == pytest.approx(float(of_points.mean()))
        assert error == pytest.approx(scipy.stats.sem(of_points))


def test_one_point_has_no_standard_error():
    found = density_dimension(gaussian_flow(VARIANCES + NOISE**2), points(1), data_noise=NOISE)
    assert found.denoising_error == found.score_error == float("inf")


def test_another_unit_of_the_data_changes_its_noise_alone():
    found = density_dimension(gaussian_flow(VARIANCES + NOISE**2), points(100), data_noise=NOISE)
    assert found.in_units_of(10.0) == replace(found, data_noise=1.0)


def test_a_worse_model_denoises_worse_and_its_score_goes_the_other_way():
    wrong = density_dimension(gaussian_flow(VARIANCES + 0.3 * NOISE**2), points(), data_noise=NOISE, generator=seeded())
    assert wrong.denoising > 3.0 + 4.0 * wrong.denoising_error
    assert wrong.score < 3.0 - 4.0 * wrong.score_error


def test_the_score_is_the_gradient_and_leaves_the_parameters_alone():
    flow = randomize(coupling_flow(3, layers=2, volume_preserving=False))
    x = torch.randn(5, 3, generator=seeded())
    oracle = torch.stack(
        [torch.autograd.functional.jacobian(lambda row: flow.log_prob(row[None])[0], row) for row in x]
    )
    torch.testing.assert_close(score_of(flow, x), oracle)
    assert all(parameter.grad is None for parameter in flow.parameters())


def test_noise_must_be_positive():
    with refused(ValueError, "data_noise must be a finite number above 0, got 0.0"):
        density_dimension(gaussian_flow(VARIANCES + 1.0), points(10), data_noise=0.0)


def test_denoising_takes_away_the_noise_across_a_line():
    # p = N(0, 1) along the line and N(0, s²) across it: the posterior mean is known
    s = 0.1
    flow = Flow(PointwiseAffineTransform(scale=torch.tensor([1.0, 1.0 / s])), StandardNormal([2]))
    x = torch.tensor([[0.7, 0.2], [-1.0, -0.05]])
    once = denoise(flow, x, variance=s**2)
    torch.testing.assert_close(once, torch.stack([x[:, 0] * (1.0 - s**2), torch.zeros(2)], dim=1), rtol=0.0, atol=1e-6)
    torch.testing.assert_close(denoise(flow, x, variance=s**2, times=2), denoise(flow, once, variance=s**2))
    assert math.isclose(float(x[0, 1]), 0.2, rel_tol=1e-6)


def test_a_point_without_a_finite_slope_stays():
    flow = Flow(PointwiseAffineTransform(scale=torch.tensor([1.0, 10.0])), StandardNormal([2]))
    x = torch.tensor([[0.7, 0.2], [torch.inf, 0.0]])
    moved = denoise(flow, x, variance=0.01)
    assert moved[1].tolist() == [torch.inf, 0.0]
    assert moved[0].isfinite().all()


def test_a_step_is_at_most_as_long_as_it_may_be_and_keeps_its_direction():
    flow = gaussian_flow(torch.tensor([1.0, 0.01]))
    x = torch.tensor([[0.5, 0.3], [0.1, 0.01]])
    free, bounded = (denoise(flow, x, variance=0.01, **most) - x for most in ({}, {"longest": 0.1}))
    torch.testing.assert_close(free.norm(dim=1) > 0.1, torch.tensor([True, False]))
    torch.testing.assert_close(bounded[0], 0.1 * free[0] / free[0].norm())
    torch.testing.assert_close(bounded[1], free[1])


def test_rows_are_denoised_a_few_at_a_time_with_the_same_result():
    x = points(60)
    flow = gaussian_flow(VARIANCES + NOISE**2)
    torch.testing.assert_close(denoise(flow, x, variance=0.01, at_once=7), denoise(flow, x, variance=0.01))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"at_once": 0}, "at_once must be at least 1, got 0"),
        ({"times": -1}, "times must be at least 0, got -1"),
        ({"variance": -1.0}, "variance must be a finite number of at least 0, got -1.0"),
        ({"longest": -1.0}, "longest must be at least 0, got -1.0"),
        ({"longest": math.nan}, "longest must be at least 0, got nan"),
    ],
    ids=str,
)
def test_numbers_out_of_range_take_no_noise_off(arguments, message):
    with refused(ValueError, message):
        denoise(gaussian_flow(VARIANCES + NOISE**2), points(3), **{"variance": 0.01, **arguments})
