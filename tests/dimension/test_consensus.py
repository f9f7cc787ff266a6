"""Consensus: how estimates that disagree become one dimension."""

import math
from dataclasses import replace

import pytest
import torch

from made_estimates import NOISE, estimates
from nflows_spread.dimension import (
    RULES,
    VOTES,
    DensityDimension,
    NeighbourDimension,
    TangentSpaces,
    consensus,
    consensus_dimension,
)
from nflows_spread.dimension.neighbours import neighbour_dimension
from nflows_spread.dimension.noise_floor import AboveNoise, NoiseFloor
from nflows_spread.dimension.noisy_neighbours import log_plausibilities
from nflows_spread.dimension.rules import CLEAR_GAP
from nflows_spread.dimension.spectra import spectrum
from nflows_spread.dimension.variation import Part
from nflows_spread.models import coupling_flow
from support import refused


@pytest.mark.parametrize(
    ("gaps", "value", "above", "dimension"),
    [
        ([0.1, 6.0, 0.1, 0.1], 2.1, 0.06, 2),  # they agree
        ([0.5, 1.0, 5.0], 2.0, 0.06, 2),  # no chart, so that every direction looks thick: neighbours know better
        ([0.1, 3.0, 3.5], 2.05, 0.06, 2),  # a closed surface: two gaps, and neighbours choose
        ([0.3] * 9 + [3.0] + [0.1] * 5, 6.6, 0.3, 10),  # a density that varies: neighbours are too low and say so
        ([0.2] * 19 + [4.5], 18.6, 0.085, 20),  # full-dimensional
    ],
)
def test_the_dimension_with_most_evidence_wins(gaps, value, above, dimension):
    found_to_be = consensus_dimension(estimates(gaps, value, above=above))
    assert int(found_to_be) == dimension
    assert found_to_be.rule == "consensus"
    assert found_to_be.gap == pytest.approx(gaps[dimension - 1], abs=1e-6)


def test_the_interval_shows_disagreement():
    sure, unsure = (
        consensus_dimension(estimates([0.1, 6.0, 0.1], 2.0)),
        consensus_dimension(estimates([0.1, 3.0, 3.5], 2.3, below=0.15, above=0.3)),
    )
    assert sure.interval == (2, 2)
    assert unsure.interval == (2, 3)


def agreeing_on(dimension, features):
    """Local principal axes whose halves share the leading K axes and no others."""
    shared = tuple(1.0 if k == dimension else k / features for k in range(1, features + 1))
    return TangentSpaces(features, (60,), (shared,), ((1.0,) * features,), (1.0,))


def test_tangent_spaces_vote_where_they_were_asked():
    without = estimates([0.1, 0.1, 0.1, 0.1], 2.2, below=0.3, above=0.3)
    asked = replace(without, tangents=agreeing_on(3, 4))
    assert "tangent_spaces" not in without.by_name
    assert asked.compared["tangent_spaces"] == 3.0
    assert (int(consensus_dimension(without)), int(consensus_dimension(asked))) == (2, 3)
    assert asked.in_units_of(10.0).tangents == asked.tangents.in_units_of(10.0)


def test_neighbours_hold_no_more_than_so_much_against_a_dimension():
    assert min(VOTES["neighbours"](estimates([0.1, 0.1, 0.1, 0.1], 1.0, above=0.01))) == -8.0


def test_of_two_ways_to_take_noise_off_neighbours_the_more_plausible_counts():
    """Denoised points say 4 of 5; distances say 5, and with the noise across a stable plane taken off them, about 2."""
    denoised = replace(estimates([0.1] * 5, 4.0), ambient_noise=0.1)
    raw = NeighbourDimension(5.0, 0.1, 0.1, 0.5, (3, 5), {"cube": (5.0, 4.0)})
    plane = TangentSpaces(5, (60,), agreeing_on(2, 5).agreement, ((1.0, 1.0, 0.1, 0.1, 0.1),), (1.0,) * 5)
    both = replace(denoised, noisy_neighbours=raw, tangents=plane)
    said, of_distances = VOTES["neighbours"](both), log_plausibilities(raw, plane)
    assert said[1] == pytest.approx(of_distances[1])
    assert said[3] == 0.0
    assert VOTES["neighbours"](replace(both, tangents=None)) == VOTES["neighbours"](denoised)
    larger = both.in_units_of(10.0)
    assert VOTES["neighbours"](larger) == pytest.approx(said)


@pytest.mark.parametrize(("value", "interval"), [(3.4, (3, 4)), (3.6, (4, 4))])
def test_the_interval_covers_a_surface_in_the_span_where_neighbours_say_so(value, interval):
    """Gap and tangent spaces see the span alone, with six nats between them."""
    said = estimates([0.1, 0.1, 0.1, 6.0, 0.1], value, below=0.1, above=0.1)
    assert consensus_dimension(replace(said, tangents=agreeing_on(4, 5))).interval == interval


@pytest.mark.parametrize(("nats", "interval"), [(0.95, (2, 3)), (1.05, (2, 2))])
def test_the_interval_reaches_up_to_what_has_two_nats_less(nats, interval):
    """The gap below the 2nd counts 2 nats and that below the 3rd 1, from which neighbours at 2 take ``nats`` more."""
    above = math.log(3.0 / 2.0) / math.sqrt(2.0 * nats)
    assert consensus_dimension(estimates([0.1, 6.0, CLEAR_GAP + 1.0, 0.1], 2.0, above=above)).interval == interval


@pytest.mark.parametrize(("nats", "interval"), [(0.95, (2, 3)), (1.05, (3, 3))])
def test_the_interval_reaches_down_to_what_has_two_nats_less(nats, interval):
    below = math.log(3.0 / 2.0) / math.sqrt(2.0 * nats)
    assert consensus_dimension(estimates([0.1, CLEAR_GAP + 1.0, 6.0, 0.1], 3.0, below=below)).interval == interval


def test_a_gap_and_the_neighbours_count_in_the_same_nats():
    """The gap below the 3rd counts 2 nats and neighbours at 2 take 1.5 of them: more below the 2nd outweighs it."""
    above = math.log(3.0 / 2.0) / math.sqrt(2.0 * 1.5)
    for nats, dimension in ((0.6, 2), (0.4, 3)):
        found_to_be = consensus_dimension(estimates([1.3, CLEAR_GAP + nats, 6.0], 2.0, above=above))
        assert int(found_to_be) == dimension


def test_every_estimate_is_listed():
    by_name = estimates([0.1, 6.0, 0.1], 2.0).by_name
    nobody_asked = {"tangent_spaces", "above_noise", "equations"}
    assert set(by_name) == {*RULES, *VOTES, "denoising", "score"} - nobody_asked


def test_estimates_that_say_otherwise_are_named():
    found = estimates([0.1, 0.2, 5.0], 2.1)
    assert found.disagreeing_with(2) == {"signal_to_noise": 3.0}
    assert set(found.disagreeing_with(3)) == {"neighbours", "denoising"}
    between = estimates([0.1, 0.2, 5.0], 2.6)
    assert between.disagreeing_with(3) == {}
    assert between.disagreeing_with(2) == {"signal_to_noise": 3.0, "neighbours": 2.6, "denoising": 2.6}


def test_noise_in_the_data_takes_the_evidence_from_the_floor():
    noisy = replace(estimates([0.5, 5.0, 0.1, 3.0], 3.2, below=0.3, above=0.3), ambient_noise=NOISE * 4.4)
    assert int(consensus_dimension(replace(noisy, ambient_noise=0.0))) == 4
    assert int(consensus_dimension(noisy)) == 2


def test_the_interval_covers_every_estimate_where_none_says_the_dimension():
    """Half a curve and half a blob of four dimensions, as a fit once read them."""
    found = replace(
        estimates([0.1, 2.1, 0.1, 3.9, 0.1, 0.1], 1.6, below=0.07, above=0.07),
        density=DensityDimension(6.4, 5.0, 0.1, 0.1, NOISE),
    )
    found_to_be = consensus_dimension(found)
    assert int(found_to_be) == 2
    assert found.disagreeing_with(2) == {"signal_to_noise": 4.0, "denoising": 6.4}  # 1.6 rounds to 2
    lower = replace(found, neighbours=replace(found.neighbours, value=2.55, below=0.2))
    assert int(consensus_dimension(lower)) == 2
    assert consensus_dimension(lower).interval[0] <= 2
    assert consensus_dimension(lower).interval[1] >= 6
    (told,) = lower.reservations(consensus_dimension(lower))
    assert "no estimate by itself says 2: signal_to_noise 4, neighbours 2.55, denoising 6.4" in told


def test_an_interval_stays_between_one_and_the_number_of_features():
    found = replace(
        estimates([0.1, 2.1, 0.1, 3.9], 2.55, below=0.2), density=DensityDimension(4e7, -4e7, 1.0, 1.0, NOISE)
    )
    assert consensus_dimension(found).interval[1] == 4


def test_parts_of_other_dimensions_widen_the_interval_and_are_told():
    whole = estimates([0.1, 6.0, 0.1, 0.1, 0.1], 2.1)
    assert consensus_dimension(whole).interval == (2, 2)
    assert whole.reservations(2) == []
    found = replace(whole, parts=(Part(1, 0.4), Part(4, 0.6)))
    assert consensus_dimension(found).interval == (1, 4)
    assert "about 1 at 40% of the points and 4 at 60%" in found.reservations(2)[0]
    found = replace(whole, parts=(Part(1, 0.4), Part(4, 0.6, (3, 5))))
    assert consensus_dimension(found).interval == (1, 5)
    assert consensus_dimension(found) == 4
    assert consensus_dimension(found, most=3) == 3


@pytest.mark.parametrize(("below", "interval"), [(0.09, (30, 31)), (0.01, (31, 31))])
def test_a_gap_at_the_span_of_what_may_be_a_sphere_leaves_its_surface_open_unless_neighbours_speak_against_it(
    below, interval
):
    found = estimates([0.05] * 30 + [6.0] + [0.05] * 8, 30.72, below=below, above=below)
    assert consensus_dimension(found) == 31
    assert consensus_dimension(found).interval == (31, 31)
    assert consensus_dimension(replace(found, shells=(30,))).interval == (31, 31)
    assert consensus_dimension(replace(found, shells=(31,))).interval == interval


def test_that_no_direction_is_thinner_than_the_noise_across_tangent_spaces_is_no_sign_of_full_dimension():
    found = estimates([0.1, 0.9, 0.1, 4.0], 2.8)
    agreement, noise = (0.5, 0.95, 0.8, 1.0), float(found.spectrum.signal_to_noise[-1])
    seen = TangentSpaces(4, (60,), (agreement,), ((1.0, 1.0, noise, noise),), (1.0,))
    thin = replace(seen, variances=((1.0, 1.0, 1e-9, 1e-9),))
    unsure = replace(seen, agreement=((0.5, 0.8, 0.8, 1.0),))
    gaps = [replace(found, tangents=said)._votes()["signal_to_noise"] for said in (None, seen, thin, unsure)]
    assert [own[-1] for own in gaps] == pytest.approx([2.0, 0.0, 2.0, 2.0])
    assert len({tuple(own[:-1]) for own in gaps}) == 1


def test_rows_along_a_path_are_told():
    (told,) = replace(estimates([0.1, 6.0, 0.1], 2.1), path=True).reservations(2)
    assert "follow each other along a path" in told
    assert replace(estimates([6.0, 0.1, 0.1], 1.05), path=True).reservations(1) == []  # the path is all there is


def test_estimates_that_are_not_finite_are_refused():
    sure = estimates([0.1, 6.0, 0.1], 2.1)
    broken = replace(sure.spectrum, signal_to_noise=torch.full((3,), math.nan, dtype=torch.float64))
    for found in (estimates([0.1, 6.0, 0.1], math.nan), replace(sure, spectrum=broken)):
        with refused(
            ValueError,
            "a vote must be 3 finite numbers, one for each K",
            "μ = ",
            "dimension by neighbours of",
            "outliers",
        ):
            consensus_dimension(found)


def test_the_gap_of_the_consensus_is_that_above_the_noise_in_the_data():
    ambient_noise = NOISE * math.sqrt(math.expm1(3.0))  # raises the floor by 3 nats
    noisy = replace(estimates([0.5, 5.0, 0.1, 3.0], 4.0), ambient_noise=ambient_noise)
    assert consensus_dimension(replace(noisy, ambient_noise=0.0)).gap == pytest.approx(3.0)
    assert consensus_dimension(noisy).gap == pytest.approx(0.0, abs=1e-9)
    assert consensus_dimension(replace(estimates([0.5, 5.0], 2.0), ambient_noise=ambient_noise)).gap == pytest.approx(
        2.0
    )


def test_the_interval_covers_a_dip_between_scales():
    found = estimates([6.0, 6.0, 0.1], 2.0)
    assert consensus_dimension(found).interval == (2, 2)
    assert consensus_dimension(replace(found, dip=1)).interval == (1, 2)


def test_the_interval_of_evenly_spaced_points_covers_what_the_spectrum_says():
    """A mesh that is much finer along one axis is a bundle of lines to its nearest points."""
    lines = estimates([0.1, 6.0, 0.1], 1.03)
    assert int(consensus_dimension(lines)) == 1
    assert consensus_dimension(lines).interval == (1, 1)
    assert consensus_dimension(replace(lines, neighbours=replace(lines.neighbours, even=True))).interval == (1, 2)


def test_neighbours_of_noisy_points_stay_where_denoised_ones_are_too_few(monkeypatch):
    """A flow of few rows may take so much off them that hardly any are distinct."""
    noisy = estimates([0.1, 6.0, 0.1], 2.0)
    monkeypatch.setattr(consensus, "spectrum", lambda *_, **__: noisy.spectrum)
    monkeypatch.setattr(consensus, "ambient_noise_of", lambda *_: 0.1)
    monkeypatch.setattr(consensus, "matters_to_neighbours", lambda *_: True)
    monkeypatch.setattr(consensus, "denoise", lambda *_, **__: torch.zeros(60, 3))
    found = consensus.estimates_of(torch.nn.Identity(), torch.zeros(60, 3), noisy.neighbours, data_noise=NOISE)
    assert (found.neighbours, found.noisy_neighbours, found.ambient_noise) == (noisy.neighbours, None, 0.1)


def test_what_stands_clearly_above_noise_decides_and_is_told_where_it_does_not():
    whole = estimates([0.1, 0.1, 0.1, 0.1, 0.1], 4.8)
    assert consensus_dimension(whole) == 5
    clear = AboveNoise(NoiseFloor(2, (0.1, 0.2), 0.1, 0.5), 1, (1, 2), (0.0, -1.0))
    found = replace(whole, above_noise=clear)
    assert consensus_dimension(found) == 1
    assert consensus_dimension(found).interval == (1, 2)
    assert found.by_name["above_noise"] == 1.0
    assert not any("above noise" in said for said in found.reservations(1))
    assert found.in_units_of(2.0).above_noise.floor.noise == (0.2, 0.4)
    most = replace(whole, above_noise=replace(clear, floor=replace(clear.floor, share=0.5)))
    assert consensus_dimension(most) == 5
    said = "2 directions stand above noise of standard deviation 0.1 to 0.2 in every column, 0.5 of the variance"
    assert any(said in each for each in most.reservations(5))


@pytest.mark.parametrize("most", [None, 1, 2, 9])
def test_no_more_than_the_most_is_chosen_however_much_evidence_there_is(most):
    found = consensus_dimension(estimates([0.1, 6.0, 0.1, 0.1], 2.1), most=most)
    assert int(found) == min(2, most or 2)


@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_the_spectrum_is_that_of_the_data_and_neighbours_are_asked_again_where_noise_matters(noise, monkeypatch):
    flow, x = coupling_flow(3, layers=1), torch.randn(400, 3, generator=torch.Generator().manual_seed(0))
    asked = []
    monkeypatch.setattr(consensus, "ambient_noise_of", lambda found, neighbours: noise)
    monkeypatch.setattr(consensus, "denoise", lambda flow, x, **options: asked.append(options) or x)
    first = neighbour_dimension(x)
    made = consensus.estimates_of(flow, x, first, data_noise=0.1, generator=torch.Generator().manual_seed(1))
    expected = spectrum(flow, x, data_noise=0.1, generator=torch.Generator().manual_seed(1))
    assert torch.equal(made.spectrum.signal_to_noise, expected.signal_to_noise)
    assert made.ambient_noise == noise
    if noise:
        assert asked[0]["variance"] == pytest.approx(1.01)
        assert made.noisy_neighbours is first
        assert made.neighbours is not first
    else:
        assert (asked, made.neighbours) == ([], first)
