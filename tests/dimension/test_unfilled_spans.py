"""Spans that points surely do not fill: spheres, ellipsoids and clipped columns, and what is none of these."""

from dataclasses import replace

import pytest
import torch

from made_estimates import estimates
from nflows_spread import dimension_of
from nflows_spread.dimension import TangentSpaces, consensus_dimension
from nflows_spread.dimension.shells import principal_coordinates
from nflows_spread.dimension.unfilled_spans import UnfilledSpans, unfilled_spans

pytestmark = pytest.mark.usefixtures("float64")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def sphere(dimension, n, seed=0):
    x = torch.randn(n, dimension + 1, generator=seeded(seed))
    return x / x.norm(dim=1, keepdim=True)


def faces(dimension, n):
    """Points on the faces of a cube of one dimension more."""
    x = torch.rand(n, dimension + 1, generator=seeded())
    which = torch.randint(dimension + 1, (n,), generator=seeded(1))
    x[torch.arange(n), which] = torch.randint(2, (n,), generator=seeded(2)).double()
    return x


def in_more_features(x, features):
    """Turned and moved."""
    return 1e2 + x @ torch.linalg.qr(torch.randn(features, x.shape[1], generator=seeded(3)))[0].T


def unfilled(x):
    found = unfilled_spans(x, principal_coordinates(x))
    return (*found.quadrics, *found.faces)


@pytest.mark.parametrize("dimension", [1, 2, 10, 30])
@pytest.mark.parametrize("size", [1e-3, 1.0, 1e4])
def test_a_sphere_does_not_fill_its_span(dimension, size):
    x = size * in_more_features(sphere(dimension, 600), dimension + 5)
    assert unfilled(x) == (dimension + 1,)


@pytest.mark.parametrize("dimension", [2, 5, 8])
def test_an_ellipsoid_does_not_fill_its_span(dimension):
    stretched = sphere(dimension, 1500) * torch.linspace(2.0, 0.5, dimension + 1)
    assert unfilled(in_more_features(stretched, dimension + 5)) == (dimension + 1,)


def test_a_sphere_with_noise_does_not_fill_its_span_where_distances_hide_the_noise():
    x = in_more_features(sphere(10, 1000), 15)
    noise = torch.randn(x.shape, generator=seeded(4)) / 11**0.5
    assert 11 in unfilled(x + 0.05 * noise)
    assert 11 not in unfilled(x + 0.4 * noise)


@pytest.mark.parametrize("dimension", [2, 5, 12, 30])
def test_what_fills_its_span_is_not_ruled_out(dimension):
    ball = sphere(dimension - 1, 1000) * torch.rand(1000, 1, generator=seeded(1)) ** (1.0 / dimension)
    cube, normal = torch.rand(1000, dimension, generator=seeded()), torch.randn(1000, dimension, generator=seeded())
    for solid in (ball, cube, normal, normal * torch.linspace(1.0, 0.1, dimension)):
        assert unfilled(in_more_features(solid, dimension + 3)) == ()


def test_a_ring_whose_width_the_points_show_may_be_of_two_dimensions():
    ring = sphere(1, 2000) * (1.0 - 0.1 * torch.rand(2000, 1, generator=seeded(1)))
    assert unfilled(ring) == ()
    assert dimension_of(ring).interval[1] == 2


@pytest.mark.parametrize("height", [0.1, 1.0])
def test_a_cylinder_fills_as_many_dimensions_as_its_circle_spans(height):
    x = torch.cat([sphere(1, 2000), height * torch.rand(2000, 1, generator=seeded(1))], dim=1)
    assert 2 not in unfilled(in_more_features(x, 6))
    assert dimension_of(in_more_features(x, 6)) == 2


def test_solid_clusters_are_not_taken_for_points_of_an_ellipsoid_through_their_centres():
    centres = torch.eye(6)[:4]
    x = 4.0 * centres[torch.randint(4, (2000,), generator=seeded())] + 0.3 * torch.randn(2000, 6, generator=seeded(1))
    assert unfilled(x) == ()


def test_a_paraboloid_does_not_fill_its_span():
    u = torch.rand(2000, 2, generator=seeded()) * 2.0 - 1.0
    assert unfilled(torch.cat([u, u.square().sum(1, keepdim=True)], dim=1)) == (3,)


@pytest.mark.parametrize("dimension", [3, 10, 40])
def test_faces_of_a_cube_do_not_fill_it(dimension):
    x = torch.nn.functional.pad(faces(dimension, 1000), (0, 3))
    assert unfilled(x) == (dimension + 1,)
    assert dimension_of(x) == dimension


def test_columns_that_are_clipped_in_few_rows_or_in_most_or_are_counts_rule_nothing_out():
    x = torch.randn(1000, 6, generator=seeded())
    assert unfilled(x.clamp(-2.5, 2.5)) == ()  # 7 % of the rows are at a bound of some column
    assert unfilled(torch.cat([x, x[:, :2].clamp_max(-0.5)], dim=1)) == ()  # most have the largest value
    assert unfilled(torch.cat([x, (10.0 * x).round()], dim=1)) == ()


@pytest.mark.parametrize(
    "draw",
    [
        lambda g: torch.randint(10, (2000, 6), generator=g).double(),
        lambda g: torch.randint(3, (2000, 6), generator=g).double(),
        lambda g: torch.rand(2000, 10, generator=g).mul(10.0).round(),
        lambda g: torch.poisson(torch.ones(2000, 10), generator=g),
        lambda g: torch.zeros(2000, 8).geometric_(0.2, generator=g),
        lambda g: torch.zeros(2000, 6).exponential_(0.2, generator=g).floor(),
        lambda g: torch.randn(2000, 10, generator=g).round().clamp(-2.0, 2.0),
        lambda g: torch.randint(256, (2000, 100), generator=g).double(),
    ],
    ids=["levels", "three levels", "tenths", "counts", "waiting times", "floors", "a scale of five", "bytes"],
)
def test_the_smallest_level_of_a_column_is_no_bound(draw):
    rows = draw(seeded()).unique(dim=0)
    assert unfilled(rows[torch.randperm(len(rows), generator=seeded())]) == ()


def test_saturated_bytes_and_zeros_among_counts_are_bounds():
    generator = seeded()
    assert unfilled(torch.randint(1, 425, (1000, 6), generator=generator).double().clamp_max(255.0)) == (6,)
    assert 10 in unfilled(
        torch.poisson(torch.full((1000, 10), 20.0), generator=generator)
        * (torch.rand(1000, 10, generator=generator) > 0.35)
    )


@pytest.mark.parametrize("share", [0.02, 0.034])
def test_columns_of_which_half_of_the_rows_are_clipped_keep_their_dimension(share):
    x = torch.randn(2000, 10, generator=seeded())
    assert unfilled(x.clamp(x.quantile(share, 0), x.quantile(1.0 - share, 0))) == ()


def test_a_column_that_is_there_twice_counts_once():
    x = torch.nn.functional.pad(faces(8, 1000), (0, 1))
    assert unfilled(torch.cat([x, x], dim=1)) == unfilled(x) == (9,)


@pytest.mark.parametrize("size", [1e8, 1e37])
@pytest.mark.parametrize("outliers", [4, 5, 8])
def test_a_few_rows_that_are_far_from_all_others_satisfy_no_equation(outliers, size):
    for seed in range(4):
        x = torch.randn(492, 8, generator=seeded(seed))
        far = size * torch.randn(outliers, 8, generator=seeded(seed + 10))
        assert unfilled(torch.cat([x, far])[torch.randperm(492 + outliers, generator=seeded(seed))]) == ()


def test_rows_about_the_corners_of_a_cube_fill_it():
    for seed in range(3):
        corners = torch.randint(2, (2000, 10), generator=seeded(seed)).double()
        assert unfilled(corners + 0.02 * torch.randn(2000, 10, generator=seeded(seed + 5))) == ()


def test_clusters_whose_centres_lie_on_a_sphere_may_have_as_many_dimensions_as_these_span():
    generator = seeded(2)
    clusters = []
    for centre in torch.eye(60)[:11]:
        plane = torch.linalg.qr(torch.randn(60, 10, generator=generator))[0]
        clusters.append(centre + 0.08 * torch.randn(180, 10, generator=generator) @ plane.T)
    x = torch.cat(clusters)
    assert 10 not in unfilled(x[torch.randperm(len(x), generator=generator)])


def test_a_shell_that_is_thicker_than_the_noise_beside_it_fills_its_span():
    shell = sphere(4, 1000) * (1.0 + 0.05 * (torch.rand(1000, 1, generator=seeded(1)) * 3.4 - 1.7))
    x = in_more_features(shell, 100) + 0.005 * torch.randn(1000, 100, generator=seeded(2))
    assert 5 not in unfilled(x)


def test_a_sphere_most_of_whose_points_are_near_one_of_them_does_not_fill_its_span():
    x = torch.nn.functional.normalize(torch.randn(2000, 11, generator=seeded()) + 3.0 * torch.eye(11)[0], dim=1)
    assert unfilled(in_more_features(x, 20)) == (11,)
    skewed = torch.nn.functional.normalize(torch.randn(2000, 11, generator=seeded()).exp(), dim=1)
    assert unfilled(in_more_features(skewed, 20)) == (11,)


@pytest.mark.parametrize("size", [1e-100, 1e100])
def test_units_change_nothing(size):
    stretched = sphere(5, 1500) * torch.linspace(2.0, 0.5, 6)
    assert unfilled(size * stretched) == (6,)


def test_rows_with_zeros_in_some_columns_have_at_most_as_many_dimensions_as_are_not_zero_in_a_tenth():
    x = torch.rand(1000, 10, generator=seeded())
    x[torch.rand(1000, 10, generator=seeded(1)) < 0.35] = 0.0
    assert unfilled(x) == (9, 10)


@pytest.mark.parametrize("dimension", [30, 50, 70])
def test_the_dimension_of_a_sphere_in_many_dimensions_is_that_of_its_surface(dimension):
    x = torch.nn.functional.pad(sphere(dimension, 1000), (0, 5))
    assert dimension_of(x) == dimension
    assert dimension_of(x).interval[1] == dimension


def test_what_tangent_spaces_say_of_a_span_is_said_of_a_surface_in_it():
    nats = [-4.0, -2.0, 0.0, -4.0]
    assert UnfilledSpans().of_tangent_spaces(nats) == nats
    assert UnfilledSpans((3,)).of_tangent_spaces(nats) == [-4.0, 0.0, -8.0, -4.0]
    assert UnfilledSpans((), (3, 4)).of_tangent_spaces(nats) == [-4.0, 0.0, -8.0, -12.0]
    assert UnfilledSpans((2,), (3,)).of_tangent_spaces(nats) == [0.0, -8.0, -8.0, -4.0]
    assert UnfilledSpans((1, 5)).of_tangent_spaces([0.0, -1.0]) == [0.0, -1.0]


def test_the_gap_at_a_span_is_worth_nothing_for_other_equations_and_all_for_columns_that_are_counted():
    nats = [0.0, 0.5, 0.0, 2.0]
    assert UnfilledSpans((4,)).of_gaps(nats) == [0.0, 0.5, 0.0, 0.0]
    assert UnfilledSpans((), (3, 4)).of_gaps(nats) == [0.0, 2.0, 0.0, 0.0]


def test_the_gap_at_a_span_that_points_do_not_fill_is_worth_nothing():
    found = estimates([0.05] * 30 + [6.0] + [0.05] * 8, 30.4, below=0.05, above=0.05)
    assert consensus_dimension(found) == 31
    on_a_sphere = replace(found, shells=(30, 31), unfilled=UnfilledSpans(quadrics=(31,)))
    assert consensus_dimension(on_a_sphere) == 30
    assert 2.0 not in on_a_sphere._votes()["signal_to_noise"]
    on_faces = replace(found, unfilled=UnfilledSpans(faces=(31, 32, 33)))
    assert on_faces._votes()["signal_to_noise"][29:34] == [2.0, 0.0, 0.0, 0.0, 0.0]


def test_tangent_spaces_that_see_the_span_of_a_sphere_say_its_surface():
    plain = estimates([0.05] * 39, 30.4, below=0.05, above=0.05)
    stable = tuple(1.0 if k >= 31 else 0.8 * k / 31.0 for k in range(1, 40))
    seen = replace(plain, tangents=TangentSpaces(39, (240,), (stable,), ((1.0,) * 39,), (1.0,)))
    assert consensus_dimension(seen) == 31
    on_a_sphere = replace(seen, shells=(30, 31), unfilled=UnfilledSpans(quadrics=(31,)))
    assert consensus_dimension(on_a_sphere) == 30
    assert on_a_sphere.by_name["tangent_spaces"] == 30
    assert consensus_dimension(on_a_sphere).interval[1] == 30


def test_few_points_and_one_column_are_asked_nothing():
    assert unfilled(torch.rand(10, 3, generator=seeded())) == ()
    assert unfilled(torch.rand(100, 1, generator=seeded())) == ()
