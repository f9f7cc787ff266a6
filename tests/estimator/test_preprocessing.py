"""Preprocessing: all rows are kept, in units of the flow, a part of them for validation, their structure told."""

import warnings

import numpy as np
import pytest
import torch

from nflows_spread.dimension import neighbour_dimension
from nflows_spread.estimator import Recipe, SpreadFlowEstimator
from nflows_spread.estimator.preprocessing import Rows
from support import refused

SHORT = Recipe(steps=4, layers=2, hidden_features=8, bins=4)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def rows_of(x, *, standardize=False, validation_fraction=0.1):
    return Rows.of(
        x,
        None,
        standardize=standardize,
        fewest_axes=0,
        min_noise=0.003,
        validation_fraction=validation_fraction,
        generator=seeded(),
    )


def cloud(n=120, seed=1):
    return 5.0 + 3.0 * torch.randn(n, 3, generator=seeded(seed), dtype=torch.float64)


@pytest.mark.parametrize(("share", "kept"), [(0.1, 12), (0.5, 60), (0.001, 1)])
def test_every_row_is_trained_on_or_kept_for_validation(share, kept):
    rows = rows_of(cloud(), validation_fraction=share)
    assert len(rows.validation) == kept
    both = torch.cat([rows.train, rows.validation])
    assert not torch.equal(both, rows.in_order)
    assert torch.equal(both.unique(dim=0), rows.in_order.unique(dim=0))


@pytest.mark.parametrize(
    ("distinct", "times"),
    [(24, 5), (3, 40), (110, 1)],
    ids=["some times each", "more often than are kept", "one often"],
)
def test_rows_that_are_repeated_are_on_one_side_of_the_split(distinct, times):
    x = cloud(distinct).repeat(times, 1)
    x = torch.cat([x, x[:1].expand(120 - len(x), -1)])
    rows = rows_of(torch.cat([x, cloud(60, seed=2)]))
    sides = [{tuple(row) for row in side.tolist()} for side in (rows.train, rows.validation)]
    assert not sides[0] & sides[1]
    assert len(rows.train) + len(rows.validation) == 180
    assert 1 <= len(rows.validation) <= 18


@pytest.mark.parametrize("others", [5, 20])
def test_rows_that_differ_are_trained_on_where_most_are_one_that_is_repeated(others):
    x = torch.cat([torch.zeros(500, 3, dtype=torch.float64), cloud(others)])
    rows = rows_of(x[torch.randperm(len(x), generator=seeded())])
    left = [len(side.unique(dim=0)) for side in (rows.train, rows.validation)]
    assert sum(left) == others + 1
    assert left[0] >= left[1] >= 1
    assert len(rows.train) > 500


@pytest.mark.parametrize("standardize", [False, True])
def test_rows_are_in_units_of_the_flow_and_lead_back(standardize):
    x = cloud() * torch.tensor([1.0, 10.0, 100.0])
    rows = rows_of(x, standardize=standardize)
    assert rows.in_order.dtype == torch.float32
    assert float(rows.in_order.square().mean()) == pytest.approx(1.0, rel=1e-5)
    torch.testing.assert_close(rows.units.to_data(rows.in_order), x, rtol=1e-4, atol=1e-3)


def test_neighbours_are_those_of_the_rows_in_units_of_the_flow():
    rows = rows_of(cloud())
    expected = neighbour_dimension(rows.in_order, generator=seeded())
    assert (rows.neighbours.value, rows.neighbours.nearest) == (expected.value, expected.nearest)


def test_structure_is_that_of_the_rows():
    plain = rows_of(cloud())
    assert (plain.parts, plain.path, plain.shells) == ((), False, ())
    t = torch.linspace(0.0, 20.0, 400, dtype=torch.float64)
    assert rows_of(torch.stack([t.sin(), (1.7 * t).cos(), (2.3 * t).sin()], dim=1)).path
    sphere = cloud(600) - 5.0
    assert rows_of(sphere / sphere.norm(dim=1, keepdim=True)).shells[-1] == 3
    curve = torch.nn.functional.pad(torch.rand(300, 1, generator=seeded(), dtype=torch.float64), (0, 4))
    mixed = torch.cat([curve, 3.0 + torch.rand(300, 5, generator=seeded(2), dtype=torch.float64)])
    assert [part.dimension for part in rows_of(mixed).parts] == [1, 5]


def test_an_even_mesh_has_no_parts_whatever_its_local_dimensions():
    """A mesh that is much finer along one axis looks like lines at most of its points."""
    mesh = torch.cartesian_prod(*(torch.linspace(0.0, 1.0, n, dtype=torch.float64) for n in (20, 80)))
    rows = rows_of(mesh)
    assert rows.neighbours.even
    assert rows.parts == ()


def test_rows_that_do_not_vary_are_refused():
    with refused(ValueError, "X must vary, got 60 rows that are the same"):
        rows_of(torch.ones(60, 2))


@pytest.mark.parametrize(
    ("standardize", "message"),
    [(False, "rows so far out that they alone set its scale"), (True, "a few values far out")],
)
def test_a_warning_of_a_fit_is_at_the_line_that_calls_it(standardize, message):
    x = cloud(300).numpy()
    x[7, 1] = 1e4
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        SpreadFlowEstimator(random_state=0, recipe=SHORT, standardize=standardize).fit(x)
    (of_outliers,) = [warning for warning in heard if message in str(warning.message)]
    assert of_outliers.filename == __file__


def test_what_is_said_against_one_dimension_is_said_at_the_line_that_calls_fit():
    t = np.linspace(0.0, 20.0, 400)
    x = np.stack([np.sin(t), np.cos(1.7 * t), np.sin(2.3 * t)], axis=1)
    with pytest.warns(UserWarning, match="follow each other along a path") as heard:
        SpreadFlowEstimator(random_state=0, recipe=SHORT).fit(x)
    assert {warning.filename for warning in heard if "says less than" in str(warning.message)} == {__file__}


@pytest.mark.parametrize("shape", [(8, 30), (60, 80)])
def test_rows_tell_no_more_dimensions_than_they_span(shape):
    x = np.random.default_rng(0).normal(size=shape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        estimator = SpreadFlowEstimator(random_state=0, recipe=SHORT).fit(np.vstack([x, x]))
    lowest, highest = estimator.intrinsic_dimension_.interval
    assert 1 <= lowest <= estimator.intrinsic_dimension_ <= highest <= len(x) - 1
    assert estimator.transform(x).shape == (len(x), estimator.intrinsic_dimension_)


def test_rows_on_a_lattice_are_all_told_apart():
    x = torch.cartesian_prod(*[torch.arange(4.0)] * 3)
    assert rows_of(torch.cat([x, x])).spanned == 63
