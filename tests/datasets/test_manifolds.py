"""Each synthetic set against what it declares about itself."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import pytest
import torch
from scipy import stats
from torch import Tensor

from nflows_spread.datasets import FadingSquare, Line, Manifold, SCurve, Sine


class Known(NamedTuple):
    """What is known of a set without asking it: the law of each coordinate, which are independent.

    And values of each from one end to the other, a little denser than the curvature needs.
    """

    manifold: Manifold
    laws: tuple[Any, ...]
    dense: tuple[Tensor, ...]


def _values(low: float, high: float, number: int) -> Tensor:
    return torch.linspace(low, high, number, dtype=torch.float64)


NORMAL = (stats.norm(),), (_values(-8, 8, 200_000),)
TURN = 1.5 * math.pi
MANIFOLDS = {
    "line": Known(Line(), *NORMAL),
    "sine": Known(Sine(), *NORMAL),
    "s-curve": Known(
        SCurve(),
        (stats.uniform(-TURN, 2 * TURN), stats.uniform(0, 2)),
        (_values(-TURN, TURN, 1500), _values(0, 2, 200)),
    ),
    "fading square": Known(FadingSquare(), (stats.uniform(),), (_values(0, 1, 2000),)),
}


@pytest.fixture(params=MANIFOLDS.values(), ids=MANIFOLDS)
def known(request: pytest.FixtureRequest) -> Known:
    if isinstance(request.param.manifold, SCurve):
        pytest.importorskip("sklearn")
    return request.param


@pytest.fixture
def manifold(known: Known) -> Manifold:
    return known.manifold


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


def test_the_distance_agrees_with_a_dense_search(known: Known) -> None:
    manifold, generator = known.manifold, _generator()
    x = manifold.sample(30, generator=generator).x.double()
    x = x + 0.2 * torch.randn(x.shape, generator=generator, dtype=torch.float64)
    dense = manifold.embed(torch.cartesian_prod(*known.dense).view(-1, manifold.intrinsic_dimension))
    expected = torch.cdist(x, dense, compute_mode="donot_use_mm_for_euclid_dist").amin(1)
    assert torch.allclose(manifold.distance(x), expected, atol=2e-3)


def test_coordinates_follow_the_declared_density(known: Known) -> None:
    _, coordinates = known.manifold.sample(5000, generator=_generator())
    for column, law in zip(coordinates.T.numpy(), known.laws, strict=True):
        assert stats.kstest(column, law.cdf).pvalue > 1e-3
        low, high = law.support()
        assert low - 1e-4 < column.min()
        assert column.max() < high + 1e-4
    inside = coordinates[:1].double()
    expected = sum(law.logpdf(value) for law, value in zip(known.laws, inside[0].tolist(), strict=True))
    assert float(known.manifold.log_density(inside)) == pytest.approx(expected)


def test_the_density_far_outside_is_zero(known: Known) -> None:
    outside = torch.tensor([[min(law.support()[1] + 5.0, 50.0) for law in known.laws]])
    assert known.manifold.log_density(outside).exp().item() == 0.0


def test_the_same_generator_gives_the_same_points(manifold: Manifold) -> None:
    first, second = (manifold.sample(10, generator=_generator()).x for _ in range(2))
    assert torch.equal(first, second)


def test_the_fading_square_is_a_grey_six_by_six_square_on_black() -> None:
    image = FadingSquare().embed(torch.tensor([[0.5]])).view(32, 32)
    rows, columns = image.nonzero().unbind(1)
    assert len(rows) == 36
    assert rows.max() - rows.min() == columns.max() - columns.min() == 5
    assert set(image.unique().tolist()) == {0.0, 0.5}
