"""Varieties of exact polynomial equations: rotations, products, minors and graphs, and what satisfies none."""

from dataclasses import replace

import pytest
import torch

from made_estimates import estimates
from nflows_spread import dimension_of
from nflows_spread.dimension import consensus_dimension
from nflows_spread.dimension.polynomial_equations import Variety, variety_of
from nflows_spread.dimension.shells import principal_coordinates
from nflows_spread.dimension.unfilled_spans import UnfilledSpans, unfilled_spans
from nflows_spread.estimator import Recipe, SpreadFlowEstimator
from nflows_spread.estimator.preprocessing import Rows

pytestmark = pytest.mark.usefixtures("float64")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=seeded(seed))


def found(x):
    variety = variety_of(principal_coordinates(x))
    return None if variety is None else (variety.dimension, variety.rough)


def in_more_features(x, features):
    """Turned."""
    return x @ torch.linalg.qr(normal(features, x.shape[1], seed=3))[0].T


def unit(x):
    return x / x.norm(dim=-1, keepdim=True)


def rotations(n):
    turns = torch.linalg.qr(normal(n, 3, 3))[0]
    return (turns * turns.det()[:, None, None]).flatten(1)


def rank_one(n, rows, columns):
    """Matrices of rank one: their 2 × 2 minors vanish, and rows + columns − 1 dimensions are left."""
    return (normal(n, rows, 1) * normal(n, 1, columns, seed=1)).flatten(1)


def projections(n, features, rank):
    """P = P² = Pᵀ of that rank: the Grassmannian, of rank (features − rank) dimensions."""
    axes = torch.linalg.qr(normal(n, features, rank))[0]
    return (axes @ axes.mT).flatten(1)


def chain(n, bars):
    """Joints of bars of length 1 in space, the first of which is fixed: two dimensions for each bar."""
    return unit(normal(n, bars, 3)).cumsum(1).flatten(1)


def torus(n):
    t, u = (6.2831853 * torch.rand(n, 2, generator=seeded())).unbind(1)
    return torch.stack([(2.0 + u.cos()) * t.cos(), (2.0 + u.cos()) * t.sin(), u.sin()], 1)


def cubes(n, dimension):
    x = normal(n, dimension)
    return torch.cat([x, x.pow(3)], dim=1)


@pytest.mark.parametrize(
    ("made", "dimension"),
    [
        (lambda: rotations(600), 3),
        (lambda: rank_one(600, 3, 4), 6),
        (lambda: projections(1500, 4, 2), 4),
        (lambda: chain(800, 5), 10),
        (lambda: torus(600), 2),
        (lambda: cubes(2000, 5), 5),
        (lambda: torch.cat([unit(normal(600, 3)), unit(normal(600, 4, seed=1))], 1), 5),
        (lambda: unit(normal(2000, 31)), 30),
    ],
    ids=["rotations", "minors", "projections", "bars", "torus", "cubes", "spheres", "sphere"],
)
@pytest.mark.parametrize("size", [1e-3, 1e4])
def test_exact_equations_leave_the_dimension(made, dimension, size):
    x = size * in_more_features(made(), made().shape[1] + 3)
    assert found(x) == (dimension, dimension)
    assert found(100.0 * size + x) == (dimension, dimension)
    assert found(x.float().double()) == (dimension, dimension)


def test_it_is_what_the_jacobian_of_known_equations_leaves():
    """Of rotations, R Rᵀ = 1: the rank of its derivative by autograd."""
    x = rotations(600)
    derivative = torch.func.jacrev(lambda row: (row.view(3, 3) @ row.view(3, 3).mT).flatten())(x[0])
    assert found(x) == (9 - int(torch.linalg.matrix_rank(derivative)),) * 2


@pytest.mark.parametrize(
    "made",
    [
        lambda: normal(600, 6),
        lambda: normal(600, 6).exp(),
        lambda: normal(600, 6) / normal(600, 1, seed=1).abs(),
        lambda: torch.rand(600, 6, generator=seeded()),
        lambda: unit(normal(600, 6)) * torch.rand(600, 1, generator=seeded(1)),
        lambda: torch.cat([normal(3, 6) * 1e6, normal(200, 6, seed=1)]),
        lambda: rotations(600) + 0.1 * normal(600, 9, seed=5),
        lambda: normal(60, 12),
        lambda: torch.zeros(600, 3),
        lambda: normal(600, 1),
    ],
    ids=["normal", "tails", "ratios", "cube", "ball", "outliers", "noise", "few rows", "one point", "a line"],
)
def test_what_satisfies_none_says_nothing(made):
    assert found(made()) is None


@pytest.mark.parametrize("noise", [1e-4, 1e-3, 1e-2])
def test_equations_are_seen_through_little_noise(noise):
    for x, dimension in ((rotations(600), 3), (chain(800, 4), 8), (rank_one(600, 3, 4), 6)):
        seen = variety_of(principal_coordinates(x + noise * normal(*x.shape, seed=7)))
        assert (seen.dimension, seen.exact) == (dimension, False)
        assert 0.3 < seen.noise * float(x.std(0).mean()) / noise < 3.0


def test_what_equations_leave_up_to_noise_is_no_bound():
    spans = UnfilledSpans(variety=Variety(2, 2, 4, noise=0.01))
    assert (spans.most(5), spans.end_at(2)) == (5, False)
    assert UnfilledSpans(variety=Variety(4, 4, 6, noise=0.01)).of_equations(5) == [-6.0, -6.0, -6.0, 0.0, -6.0]


def test_one_equation_says_what_is_too_much_and_not_that_its_surface_is_filled():
    assert Variety(4, 4, 5).log_evidence(6) == [0.0, 0.0, 0.0, 0.0, -20.0, -20.0]
    assert Variety(4, 4, 6).log_evidence(6) == [-6.0, -6.0, -6.0, 0.0, -20.0, -20.0]
    assert Variety(2, 2, 6).log_evidence(4) == [0.0, 0.0, -20.0, -20.0]


def test_levels_are_no_equations_of_all():
    binary = (normal(600, 4) > 0.0).double()
    assert found(binary) is None  # each point is by itself
    answers = torch.randint(1, 5, (2000, 6), generator=seeded(1)).double()
    table = torch.cat([normal(2000, 1), answers], 1)
    assert found(table) == (1, 1)  # the sheets between which answers jump
    assert unfilled_spans(table, principal_coordinates(table)).variety is None
    assert dimension_of(table).interval[1] == 7


def test_a_curve_on_a_surface_has_at_most_the_dimensions_of_that():
    t = 6.2831853 * torch.rand(800, 1, generator=seeded())
    knot = torch.cat([(2.0 + (5 * t).cos()) * (2 * t).cos(), (2.0 + (5 * t).cos()) * (2 * t).sin(), (5 * t).sin()], 1)
    assert found(knot) == (2, 2)
    assert dimension_of(knot).interval == (1, 1)


def test_where_few_dimensions_are_wide_both_are_said():
    wide, narrow = normal(800, 2), 3e-4 * normal(800, 2, seed=1)
    x = in_more_features(torch.cat([wide, wide.square(), narrow], 1), 7)
    assert found(x) == (4, 2)
    dimension = dimension_of(x)
    assert dimension.interval == (2, 4)
    assert any("leave 4 dimensions" in said and "thousandth 2" in said for said in dimension.reservations)


def test_pieces_that_are_far_from_each_other_are_no_matter_of_precision():
    planes = [torch.cat([normal(300, 2, seed=seed), torch.full((300, 1), far)], 1) for seed, far in enumerate((0, 1e3))]
    assert dimension_of(torch.cat(planes)).interval == (2, 2)


def test_a_dimension_that_neighbours_and_tangent_spaces_miss_is_that_of_the_equations():
    lengths = torch.tensor([1.0, 0.5, 0.2, 0.1, 0.05])
    x = (unit(normal(1500, 5, 3)) * lengths[:, None]).cumsum(1).flatten(1)
    with_equations = dimension_of(x)
    assert (int(with_equations), with_equations.interval[1]) == (10, 10)


def test_more_than_the_equations_leave_is_in_no_interval():
    gaps, spans = [0.5, 0.5, 0.5, 0.5, 0.5], UnfilledSpans(variety=Variety(3, 3, 5))
    alone = estimates(gaps, 3.6, below=0.4, above=0.4)
    assert consensus_dimension(alone).interval[1] > 3
    bounded = consensus_dimension(replace(alone, unfilled=spans))
    assert (int(bounded), bounded.interval[1]) == (3, 3)


def test_an_estimator_says_why_the_dimension_is_a_matter_of_precision():
    said = replace(estimates([1.0, 3.0, 1.0], 2.0), unfilled=UnfilledSpans(variety=Variety(3, 2, 3))).reservations(2)
    assert any("a matter of precision" in sentence for sentence in said)


def test_repeated_rows_are_no_points_on_many_surfaces():
    x = normal(60, 8).repeat(20, 1)
    rows = Rows.of(
        x, None, standardize=False, fewest_axes=8, min_noise=1e-4, validation_fraction=0.1, generator=seeded()
    )
    assert rows.unfilled.variety is None
    assert rows.unfilled.quadrics == ()


def test_the_estimator_counts_equations_by_their_name():
    x = rotations(200)
    fitted = SpreadFlowEstimator(random_state=0, recipe=Recipe(steps=4, layers=2, hidden_features=8)).fit(x.numpy())
    assert fitted.estimates_.by_name["equations"] == 3.0
    assert fitted.intrinsic_dimension_ == 3
