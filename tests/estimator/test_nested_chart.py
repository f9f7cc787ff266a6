"""Nested charts: the first k coordinates leave no more than k principal components, and no more than fewer do."""

import math
import pickle

import pytest
import torch

from nflows_spread.chart.chart import Chart
from nflows_spread.estimator.chart_fitting import chart_at
from nflows_spread.estimator.nested_chart import NestedChart
from nflows_spread.estimator.recipe import Recipe
from support import refused

SHORT = Recipe(chart_steps=300, chart_width=64)


def uniform(rows, columns, seed):
    return torch.rand(rows, columns, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) * 2.0 - 1.0


def bent(rows, seed):
    """Three coordinates in twelve dimensions, by sines."""
    generator = torch.Generator().manual_seed(7)
    first, last = (torch.randn(shape, dtype=torch.float64, generator=generator) for shape in ((3, 30), (30, 12)))
    return (uniform(rows, 3, seed) @ first).sin() @ last / 30**0.5


def saddle(rows, seed):
    """A plane whose square terms fill three more dimensions: principal components are its coordinates."""
    u, v, w = (uniform(rows, 3, seed) * torch.tensor([2.0, 1.4, 1.0], dtype=torch.float64)).unbind(1)
    return torch.stack([u, v, w, 0.3 * u * u - v * v, 0.4 * u * v, 0.5 * w * v], dim=1)


def roll(rows, seed):
    """A rolled-up sheet, as long as wide, of whose variance the width has more."""
    t, width = uniform(rows, 2, seed).unbind(1)
    angle = 3.0 * math.pi + 1.8 * math.pi * t
    return torch.stack([angle * angle.cos(), 30.0 * width, angle * angle.sin()], dim=1)


def arcs(rows, seed):
    """A product of two arcs, turned."""
    a, b = uniform(rows, 2, seed).unbind(1)
    x = torch.stack([(2.2 * a).cos(), (2.2 * a).sin(), 0.8 * (1.9 * b).cos(), 0.8 * (1.9 * b).sin()], dim=1)
    return x @ torch.linalg.qr(torch.randn(4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(3))).Q


SETS = {"bent": (bent, 3), "saddle": (saddle, 3), "roll": (roll, 2), "arcs": (arcs, 2)}


def drawn(draw, rows, seed):
    x = draw(rows, seed)
    x = x - x.mean(0)
    return x / x.square().mean().sqrt()


def left_by_principal_components(train, x, rank):
    axes = torch.linalg.svd(train, full_matrices=False).Vh
    return torch.stack([(x - x @ axes[:k].mT @ axes[:k]).square().sum(1).mean().sqrt() for k in range(1, rank + 1)])


@pytest.fixture(scope="module", params=SETS)
def fitted(request):
    draw, rank = SETS[request.param]
    x = drawn(draw, 900, 0).float()
    found = chart_at(x[100:], x[:100], rank, noise=0.0, recipe=SHORT, generator=torch.Generator().manual_seed(0))
    assert found.kind != "PCA"
    return draw, x, found


def test_the_first_leave_no_more_of_held_out_rows_than_principal_components_nor_than_fewer_do(fitted):
    _, x, found = fitted
    limits = left_by_principal_components(x.double(), x[:100].double(), found.chart.rank)
    total = x.double().square().sum(1).mean().sqrt()
    assert bool((found.errors <= 1.01 * limits / total).all())
    assert bool((found.errors.diff() <= 0.0).all())


def test_nor_of_rows_that_nobody_saw(fitted):
    draw, x, found = fitted
    new = drawn(draw, 2000, 1)
    errors = found.chart.reconstruction_error(new)
    assert bool((errors <= 1.01 * left_by_principal_components(x.double(), new, found.chart.rank)).all())
    assert bool((errors.diff() <= 0.0).all())


def test_the_decoder_of_the_first_is_near_the_mean_of_the_rows_that_share_them(fitted):
    draw, _, found = fitted
    x = drawn(draw, 4000, 2)
    first = found.chart.first(1)
    order = first.coordinates(x).squeeze(1).argsort()
    near = x[order].unflatten(0, (80, 50))
    within = (near - near.mean(1, keepdim=True)).square().sum(2).mean().sqrt()
    assert float(first.reconstruction_error(x)) < 1.05 * float(within)
    alone = Chart(*(getattr(found.chart, name) for name in Chart.__dataclass_fields__)).first(1)
    assert float(first.reconstruction_error(x)) <= float(alone.reconstruction_error(x))


def test_the_first_of_the_first_are_the_first(fitted):
    _, x, found = fitted
    chart, rows = found.chart, x[:20].double()
    assert isinstance(chart, NestedChart)
    assert chart.first(chart.rank) is chart
    again = pickle.loads(pickle.dumps(chart))
    for k in range(1, chart.rank):
        torch.testing.assert_close(chart.first(k).coordinates(rows), chart.coordinates(rows)[:, :k])
        torch.testing.assert_close(
            chart.first(chart.rank - 1).first(k).reconstruct(rows), chart.first(k).reconstruct(rows)
        )
        torch.testing.assert_close(again.first(k).reconstruct(rows), chart.first(k).reconstruct(rows))
    with refused(ValueError, f"rank must be between 1 and {chart.rank}, got {chart.rank + 1}"):
        chart.first(chart.rank + 1)


def test_what_explains_more_comes_first():
    x = drawn(roll, 900, 0).float()
    found = chart_at(x[100:], x[:100], 2, noise=0.0, recipe=SHORT, generator=torch.Generator().manual_seed(0))
    assert found.kind == "lifted flow"
    coordinates = found.chart.coordinates(x.double())
    assert abs(float(torch.corrcoef(torch.stack([coordinates[:, 0], x[:, 1].double()]))[0, 1])) > 0.9
