"""Components: which pieces of a prior belong together, by overlap and by dimension."""

import math

import pytest
import torch

from nflows_spread.atlas.components import components_of, overlaps
from nflows_spread.dimension.rules import Spectrum, decide

NOISE = 0.1


def estimate(dimension, *, features=4, height=40.0):
    """By a spectrum of so many directions of data, at some ratio above the noise."""
    variances = torch.full((features,), NOISE**2, dtype=torch.float64)
    variances[:dimension] *= height
    return decide(Spectrum(variances, variances, 1e-4, NOISE, 0.1 * torch.ones_like(variances)))


def chain(count, links):
    """Pieces of which the given pairs overlap."""
    overlap = torch.eye(count)
    for one, other in links:
        overlap[one, other] = overlap[other, one] = 0.2
    return overlap


def test_an_overlap_is_the_share_of_the_smaller_pieces_rows():
    responsibilities = torch.rand(50, 3, dtype=torch.float64).softmax(1)
    found = overlaps(responsibilities)
    for m in range(3):
        for other in range(3):
            common = sum(float(row[m] * row[other]) for row in responsibilities)
            smaller = min(float(responsibilities[:, m].sum()), float(responsibilities[:, other].sum()))
            assert float(found[m, other]) == pytest.approx(common / smaller)


def test_pieces_that_overlap_in_a_chain_are_one_component():
    overlap = chain(5, [(0, 2), (2, 4), (1, 3)])
    found = components_of(overlap, torch.tensor([0.1, 0.3, 0.1, 0.3, 0.2]), [estimate(1)] * 5)
    assert [component.pieces for component in found] == [(1, 3), (0, 2, 4)]
    assert [component.weight for component in found] == pytest.approx([0.6, 0.4])


def test_the_dimension_of_a_component_is_that_of_the_geometric_mean_of_its_spectra():
    weights = torch.tensor([0.25, 0.75])
    given = [estimate(1, height=30.0), estimate(1, height=60.0)]
    (found,) = components_of(chain(2, [(0, 1)]), weights, given)
    expected = NOISE**2 * math.exp(0.25 * math.log(30.0) + 0.75 * math.log(60.0))
    assert found.dimension == 1
    assert float(found.dimension.spectrum.signal_to_noise[0]) == pytest.approx(expected)
    errors = found.dimension.spectrum.errors
    torch.testing.assert_close(errors, torch.full((4,), 0.1 * math.hypot(0.25, 0.75), dtype=torch.float64))


def test_a_line_that_ends_on_a_surface_is_a_component_of_its_own():
    given = [estimate(1), estimate(1), estimate(2), estimate(2)]
    found = components_of(chain(4, [(0, 1), (1, 2), (2, 3)]), torch.full((4,), 0.25), given)
    assert {component.pieces: int(component.dimension) for component in found} == {(0, 1): 1, (2, 3): 2}


def test_lines_on_both_ends_of_a_surface_are_two():
    given = [estimate(1), estimate(2), estimate(1)]
    found = components_of(chain(3, [(0, 1), (1, 2)]), torch.full((3,), 1 / 3), given)
    assert sorted(component.pieces for component in found) == [(0,), (1,), (2,)]


@pytest.mark.parametrize("odd", [0, 1])
def test_one_small_piece_that_says_otherwise_makes_no_component(odd):
    given = [estimate(odd)] + [estimate(2)] * 9
    (found,) = components_of(torch.ones(10, 10), torch.full((10,), 0.1), given)
    assert found.dimension == 2
    assert found.pieces == tuple(range(10))


def test_narrow_pieces_of_a_surface_are_not_a_line():
    """They say 1, as the other direction is near the noise, and yet has three times as much."""
    narrow = torch.tensor([60.0, 3.0, 1.0, 1.0], dtype=torch.float64) * NOISE**2
    given = [decide(Spectrum(narrow, narrow, 1e-4, NOISE)), estimate(2), estimate(2)]
    assert [int(each) for each in given] == [1, 2, 2]
    (found,) = components_of(torch.ones(3, 3), torch.full((3,), 1 / 3), given)
    assert found.dimension == 2


def test_pieces_no_wider_than_the_noise_are_a_component_where_they_are_alone():
    found = components_of(chain(3, [(1, 2)]), torch.tensor([0.2, 0.4, 0.4]), [estimate(0), estimate(1), estimate(1)])
    assert {component.pieces: int(component.dimension) for component in found} == {(1, 2): 1, (0,): 0}


def test_pieces_without_an_estimate_are_in_no_component():
    found = components_of(torch.ones(3, 3), torch.tensor([0.2, 0.4, 0.4]), [None, estimate(1), None])
    assert [component.pieces for component in found] == [(1,)]
    assert components_of(torch.ones(1, 1), torch.ones(1), [None]) == ()
