"""Local dimensions with standard errors: against resampled data, of new points, and from neighbours found elsewhere."""

import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from nflows_spread.datasets import lollipop
from nflows_spread.dimension import local_dimensions, pointwise_dimension
from support import refused

pytestmark = pytest.mark.usefixtures("float64")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def surface(points, seed):
    """A curved surface in five features."""
    u = torch.randn(points, 2, generator=seeded(seed))
    return torch.stack([*u.unbind(1), *(0.3 * u.square()).unbind(1), u.prod(1).sin()], dim=1)


NEW = surface(5, 10**6)


@pytest.mark.parametrize("neighbours", [10, 20])
def test_the_standard_error_is_what_the_estimate_varies_by_over_samples_of_the_data(neighbours):
    found = [local_dimensions(NEW, surface(600, seed), neighbours=neighbours) for seed in range(150)]
    varied = torch.stack([each.estimates for each in found]).std(0)
    errors = torch.stack([each.standard_errors for each in found]).square().mean(0).sqrt()
    # the standard deviation of 150 estimates is known to 6 %, and the constant is that of all dimensions
    assert float((varied / errors).log().abs().max()) < 0.35
    assert float((varied / errors).log().mean().abs()) < 0.2


def test_an_estimate_is_right_on_average_and_rounds_to_the_dimension():
    x = torch.rand(2000, 3, generator=seeded())
    found = local_dimensions(x)
    inner = ((x > 0.1) & (x < 0.9)).all(1)
    assert float(found.estimates[inner].mean()) == pytest.approx(3.0, abs=0.15)
    clear = (found.estimates - found.estimates.round()).abs() < 0.4  # the whole one is where the curve is nearest
    below = found.estimates < 2.9
    assert torch.equal(found.dimensions[clear & below], found.estimates.round().long()[clear & below])


def test_the_whole_dimensions_are_those_of_pointwise_dimension():
    data, new = lollipop(800, generator=seeded()).x, lollipop(40, generator=seeded(1)).x
    assert torch.equal(local_dimensions(data).dimensions, pointwise_dimension(data))
    assert torch.equal(local_dimensions(new, data).dimensions, pointwise_dimension(new, data=data))
    assert local_dimensions(data).dimensions.dtype == torch.int64


def test_neighbours_of_another_library_give_the_same():
    x = surface(500, 0)
    distances, indices = NearestNeighbors(n_neighbors=26).fit(x).kneighbors(x)
    found, expected = local_dimensions(x, distances=distances, indices=indices), local_dimensions(x)
    torch.testing.assert_close(found.estimates, expected.estimates)
    torch.testing.assert_close(found.standard_errors, expected.standard_errors)
    assert torch.equal(found.dimensions, expected.dimensions)


def test_more_neighbours_vary_less():
    x = torch.rand(1500, 2, generator=seeded())
    errors = [float(local_dimensions(x, neighbours=k).standard_errors.mean()) for k in (5, 10, 20, 40)]
    assert errors == sorted(errors, reverse=True)


def test_threads_change_no_digit():
    x = surface(6000, 0)
    one, two = local_dimensions(x), local_dimensions(x, n_jobs=2)
    assert torch.equal(one.estimates, two.estimates)
    assert torch.equal(pointwise_dimension(x, n_jobs=2), one.dimensions)


def test_what_does_not_fit_is_refused():
    x = surface(100, 0)
    distances, indices = NearestNeighbors(n_neighbors=21).fit(x).kneighbors(x)
    with refused(ValueError, "neighbours must be one of 5, 10, 20, 40, got 15"):
        local_dimensions(x, neighbours=15)
    for function in (pointwise_dimension, local_dimensions):
        with refused(ValueError, "n_jobs must be a number of threads, or -1 for all cores, got 0"):
            function(x, n_jobs=0)
    with refused(ValueError, "distances and indices must be given together and without data"):
        local_dimensions(x, distances=distances)
    with refused(ValueError, "distances and indices must be given together and without data"):
        local_dimensions(x, x, distances=distances, indices=indices)
    with refused(ValueError, "distances must be to at least 40 other points, got 20"):
        local_dimensions(x, neighbours=40, distances=distances, indices=indices)
    with refused(ValueError, "distances must have 20 above 0 in each row, got fewer in row 0; drop repeats"):
        twice = torch.cat([x, x])
        distances, indices = NearestNeighbors(n_neighbors=21).fit(twice).kneighbors(twice)
        local_dimensions(twice, distances=distances, indices=indices)
    with refused(ValueError, "n_jobs"):
        local_dimensions(x, n_jobs=0)
