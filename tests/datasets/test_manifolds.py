"""Each synthetic set against what it declares about itself."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats

from nflows_spread.datasets import FadingSquare, Line, Manifold, SCurve, Sine

MANIFOLDS = {"line": Line(), "sine": Sine(), "s-curve": SCurve(), "fading square": FadingSquare()}


@pytest.fixture(params=MANIFOLDS.values(), ids=MANIFOLDS)
def manifold(request: pytest.FixtureRequest) -> Manifold:
    if isinstance(request.param, SCurve):
        pytest.importorskip("sklearn")
    return request.param


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_points_have_the_declared_dimensions(manifold: Manifold) -> None:
    x, coordinates = manifold.sample(50, generator=_generator())
    assert x.shape == (50, manifold.features)
    assert coordinates.shape == (50, manifold.intrinsic_dimension)
    assert x.dtype == torch.float32


def test_points_are_those_that_their_coordinates_embed(manifold: Manifold) -> None:
    x, coordinates = manifold.sample(200, generator=_generator())
    assert torch.allclose(manifold.embed(coordinates), x, atol=1e-5)


def test_the_embedding_has_the_declared_rank_at_every_point(manifold: Manifold) -> None:
    _, coordinates = manifold.sample(20, generator=_generator())
    for row in coordinates.double():
        jacobian = torch.autograd.functional.jacobian(lambda c: manifold.embed(c.unsqueeze(0))[0], row)
        assert torch.linalg.matrix_rank(jacobian) == manifold.intrinsic_dimension


def test_points_of_the_set_are_at_distance_zero(manifold: Manifold) -> None:
    x, _ = manifold.sample(500, generator=_generator())
    assert manifold.distance(x.double()).max() < 1e-4


def test_the_nearest_point_of_a_point_of_the_set_is_itself(manifold: Manifold) -> None:
    x, coordinates = manifold.sample(500, generator=_generator())
    assert torch.allclose(manifold.nearest(x.double()), coordinates.double(), atol=1e-3)


def test_the_distance_agrees_with_a_dense_search(manifold: Manifold) -> None:
    generator = _generator()
    x = manifold.sample(30, generator=generator).x.double()
    x = x + 0.2 * torch.randn(x.shape, generator=generator, dtype=torch.float64)
    # uniform over the support and a little denser than the curvature needs
    if isinstance(manifold, SCurve):
        t = torch.linspace(-1.5 * math.pi, 1.5 * math.pi, 1500, dtype=torch.float64)
        dense = torch.cartesian_prod(t, torch.linspace(0, 2, 200, dtype=torch.float64))
    elif isinstance(manifold, FadingSquare):
        dense = torch.linspace(0, 1, 2000, dtype=torch.float64).unsqueeze(1)
    else:
        dense = torch.linspace(-8, 8, 200_000, dtype=torch.float64).unsqueeze(1)
    expected = torch.cdist(x, manifold.embed(dense), compute_mode="donot_use_mm_for_euclid_dist").amin(1)
    assert torch.allclose(manifold.distance(x), expected, atol=2e-3)


def test_coordinates_follow_the_declared_density(manifold: Manifold) -> None:
    _, coordinates = manifold.sample(5000, generator=_generator())
    for column in coordinates.T.numpy():
        match manifold:
            case SCurve():
                low, high = (column.min(), column.max())
                assert high - low == pytest.approx(3 * math.pi if low < -1 else 2.0, rel=1e-2)
                law = stats.uniform(*((-1.5 * math.pi, 3 * math.pi) if low < -1 else (0.0, 2.0)))
            case FadingSquare():
                law = stats.uniform()
            case _:
                law = stats.norm()
        assert stats.kstest(column, law.cdf).pvalue > 1e-3
    inside = coordinates[:1].double()
    cells = {"Line": stats.norm.logpdf, "Sine": stats.norm.logpdf}.get(type(manifold).__name__)
    expected = cells(inside[0, 0]) if cells else (-math.log(6 * math.pi) if isinstance(manifold, SCurve) else 0.0)
    assert float(manifold.log_density(inside)) == pytest.approx(expected)


@pytest.mark.parametrize("manifold", [SCurve(), FadingSquare()], ids=["s-curve", "fading square"])
def test_a_bounded_density_is_zero_outside(manifold: Manifold) -> None:
    outside = torch.full((1, manifold.intrinsic_dimension), 7.0)
    assert manifold.log_density(outside).item() == -math.inf


def test_the_same_generator_gives_the_same_points(manifold: Manifold) -> None:
    first, second = (manifold.sample(10, generator=_generator()).x for _ in range(2))
    assert torch.equal(first, second)


def test_the_fading_square_is_a_grey_six_by_six_square_on_black() -> None:
    image = FadingSquare().embed(torch.tensor([[0.5]])).view(32, 32)
    rows, columns = image.nonzero().unbind(1)
    assert len(rows) == 36
    assert rows.max() - rows.min() == columns.max() - columns.min() == 5
    assert set(image.unique().tolist()) == {0.0, 0.5}
