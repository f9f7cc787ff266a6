"""What a chart leaves out: drawn anew with the second moments of what it leaves out of the rows nearby, and no copy."""

import pytest
import torch

from linear_charts import normal
from nflows_spread.chart.ranges import Ranges
from nflows_spread.estimator.residuals import Residuals, _widths
from nflows_spread.linalg.distances import nearest_neighbours


def drawn(residuals, points, seed=1):
    return residuals.sample(points, generator=torch.Generator().manual_seed(seed))


def of(x, reconstructed, noise=0.0, number=5):
    return Residuals.of(x, reconstructed, noise=noise, generator=torch.Generator().manual_seed(0), number=number)


def test_draws_have_the_second_moments_of_the_nearest_rows():
    """E[r rᵀ] = (1/k) Σ r_j r_jᵀ, and E[r] = r̄, in three columns, of five rows near and five far."""
    reconstructed = torch.cat([normal(5, 0.1, 0.1, 0.1), normal(5, 0.1, 0.1, 0.1) + 9.0])
    left = torch.cat([normal(5, 1.0, 0.5, 0.1) + 0.3, normal(5, 50.0, 50.0, 50.0, seed=3)])
    residuals = of(reconstructed + left, reconstructed)
    samples = drawn(residuals, reconstructed[:1].expand(200_000, 3))
    near = left[:5]
    torch.testing.assert_close(samples.mean(0), near.mean(0), rtol=0, atol=0.01)
    torch.testing.assert_close(samples.mT @ samples / len(samples), near.mT @ near / 5, rtol=0.02, atol=0.01)


def test_what_is_left_out_differs_from_place_to_place():
    """On the left 0.01, on the right 1: draws of one width for both would be 0.7."""
    along = torch.linspace(0.0, 1.0, 1000, dtype=torch.float64)
    width = torch.where(along < 0.5, 0.01, 1.0)
    reconstructed = torch.stack([along, torch.zeros_like(along)], dim=1)
    x = reconstructed + torch.stack([torch.zeros_like(along), width * normal(1000, 1.0)[:, 0]], dim=1)
    samples = drawn(of(x, reconstructed), reconstructed)
    assert float(samples[:490, 1].std()) == pytest.approx(0.01, rel=0.1)
    assert float(samples[510:, 1].std()) == pytest.approx(1.0, rel=0.1)


@pytest.mark.parametrize("rows", [2000, 40])
def test_noise_is_taken_off_along_the_principal_axes_of_what_is_left(rows):
    """Variances 1 + σ² and σ² of two turned directions are 1 and 0; of fewer rows than columns too."""
    noise, features = 0.3, 60
    frame = torch.linalg.qr(normal(features, *[1.0] * 2, seed=5))[0]
    left = normal(rows, (1.0 + noise**2) ** 0.5, noise) @ frame.mT
    residuals = of(left, torch.zeros_like(left), noise=noise)
    along = residuals.residuals @ frame
    second = left @ frame
    expected = (second.square().mean(0) - noise**2).clamp_min(0.0).sqrt()
    torch.testing.assert_close(along.square().mean(0).sqrt(), expected, rtol=0.1, atol=0.11)


def test_no_more_rows_are_mixed_than_there_are():
    reconstructed = normal(3, 1.0, 1.0)
    residuals = of(reconstructed + 0.5, reconstructed, number=40)
    torch.testing.assert_close(drawn(residuals, normal(10, 1.0, 1.0)), torch.full((10, 2), 0.5).double())


def test_of_many_rows_and_columns_some_are_kept(monkeypatch):
    monkeypatch.setattr("nflows_spread.estimator.residuals._KEPT", 90)
    x, reconstructed = normal(50, 1.0, 1.0, 1.0), normal(50, 1.0, 1.0, 1.0, seed=4)
    residuals = of(x, reconstructed)
    assert residuals.reconstructed.shape == residuals.residuals.shape == (30, 3)
    assert {*map(tuple, residuals.reconstructed.tolist())} <= {*map(tuple, reconstructed.tolist())}
    monkeypatch.setattr("nflows_spread.estimator.residuals._KEPT", 1)
    assert drawn(of(x, reconstructed), reconstructed).shape == (50, 3)


def test_a_draw_depends_on_nothing_but_its_point_and_the_seed(monkeypatch):
    reconstructed = normal(50, 1.0, 1.0, 1.0)
    residuals, points = of(reconstructed + normal(50, 1.0, 1.0, 1.0, seed=4), reconstructed), normal(40, 1.0, 1.0, 1.0)
    at_once = drawn(residuals, points)
    monkeypatch.setattr("nflows_spread.estimator.residuals._TOGETHER", 7 * 5 * 3)
    torch.testing.assert_close(drawn(residuals, points), at_once, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("features", "least"), [(2, 5), (40, 10)])
def test_so_many_rows_are_mixed_that_samples_are_as_near_as_held_out_rows(features, least):
    """Independent columns about a line: of five rows in forty columns samples would be copies of them."""
    x = torch.cat([normal(800, 1.0, seed=7), normal(800, *[1.0] * features, seed=8)], dim=1)
    on_line = torch.cat([x[:, :1], torch.zeros(800, features, dtype=x.dtype)], dim=1)
    line = torch.cat([normal(1000, 1.0, seed=9), torch.zeros(1000, features, dtype=x.dtype)], dim=1)

    generator = torch.Generator().manual_seed(0)
    residuals = Residuals.beside(
        x[160:], x[:160], line, reconstructed=on_line, columns=Ranges.of(x), noise=0.0, generator=generator
    )
    assert residuals.number >= least
    assert torch.equal(residuals.reconstructed.sort(0).values, on_line.sort(0).values)
    near = [
        float(nearest_neighbours(points, x[160:], 1).distances.median())
        for points in (line + drawn(residuals, line), x[:160])
    ]
    assert near[0] == pytest.approx(near[1], rel=0.2)


def test_the_moments_are_those_of_draws():
    reconstructed = normal(50, 1.0, 1.0)
    residuals = of(reconstructed + normal(50, 1.0, 0.2, seed=4) + 0.5, reconstructed)
    points = normal(3, 1.0, 1.0, seed=6)
    samples = drawn(residuals, points.repeat(100_000, 1)).unflatten(0, (-1, 3))
    means, squares = residuals.moments(points)
    torch.testing.assert_close(samples.mean(0), means, rtol=0, atol=0.01)
    torch.testing.assert_close(samples.square().mean(0), squares, rtol=0.02, atol=0)


@pytest.mark.parametrize("variance", [0.2, 1.0, 1.5])
def test_columns_are_widened_to_a_deviation_that_residuals_follow_or_oppose(variance):
    """To a twentieth of it: from below to 0.95 of it, from above to 1.05."""
    points = normal(3000, 0.3, 0.3, 0.3)
    residuals = normal(3000, 0.7, 0.7, 0.7, seed=2) + points * torch.tensor([0.0, 0.5, -0.5]).double()
    width = _widths(points, residuals, residuals.square(), torch.full((3,), variance).double())
    ratio = (points + width * residuals).std(0) / variance**0.5
    torch.testing.assert_close(ratio, torch.where(width > 1.0, 0.95, 1.05).double(), rtol=1e-3, atol=0)


def test_columns_that_are_nearly_as_wide_as_the_data_are_left_as_they_are():
    points, residuals = normal(3000, 0.5, 0.5), normal(3000, 0.5, 0.5, seed=2)
    variances = (points + residuals).var(0, correction=0) * torch.tensor([1.08, 0.93]).double()
    width = _widths(points, residuals, residuals.square(), variances)
    torch.testing.assert_close(width, torch.ones(2).double(), rtol=0, atol=1e-9)


def test_no_column_is_widened_beyond_twice_and_one_that_is_too_wide_has_no_residuals():
    points, residuals = normal(500, 1.0, 0.1, 0.1), normal(500, 0.1, 0.1, 0.0, seed=2)
    along = points[:, 0] - points[:, 0].mean()
    residuals[:, 0] -= along * (along @ residuals[:, 0]) / (along @ along)
    width = _widths(points, residuals, residuals.square(), torch.tensor([0.5, 4.0, 1.0]).double())
    torch.testing.assert_close(width, torch.tensor([0.0, 2.0, 0.0]).double(), rtol=0, atol=1e-12)
