"""Log-evidence: which gaps of a spectrum count, and for how much."""

import math

import pytest
import scipy.stats
import torch

from nflows_spread import Spectrum
from nflows_spread.dimension.rules import CLEAR_GAP, PLAUSIBLE, gap_log_evidence, spacing_surprisal

NOISE = 0.01


def spectrum(gaps):
    """A spectrum with the given gaps, in nats, below its eigenvalues, the last one above σ_x²."""
    logs = torch.tensor(gaps, dtype=torch.float64).flip(0).cumsum(0).flip(0)
    return Spectrum(torch.ones(len(gaps), dtype=torch.float64), NOISE**2 * logs.exp(), 1e-6, NOISE)


def test_a_wide_gap_counts_by_how_far_it_exceeds_a_clear_one():
    assert gap_log_evidence(spectrum([1.3, CLEAR_GAP + 0.7, 1.3])) == pytest.approx([0.0, 0.0, 0.7, 0.0])


def test_no_gap_counts_more_than_what_is_plausible():
    assert gap_log_evidence(spectrum([0.1, 9.0, 0.1, 0.1])) == pytest.approx([0.0, 0.0, PLAUSIBLE, 0.0, 0.0])


def test_a_gap_that_is_not_wide_counts_where_it_stands_out():
    slow = [0.2] * 11 + [1.2] + [0.2] * 20
    assert gap_log_evidence(spectrum(slow))[12] == PLAUSIBLE
    assert sum(gap_log_evidence(spectrum(slow))) == PLAUSIBLE


def test_a_narrow_gap_does_not_count_even_where_it_stands_out():
    assert gap_log_evidence(spectrum([0.01] * 10 + [0.5] + [0.01] * 10)) == [0.0] * 22


@pytest.mark.parametrize(("width", "counts"), [(0.72, True), (0.66, False)])
def test_a_gap_that_stands_out_counts_from_half_of_a_clear_one_on(width, counts):
    evidence = gap_log_evidence(spectrum([0.01] * 10 + [width] + [0.01] * 10))
    assert evidence == [0.0] * 11 + [PLAUSIBLE if counts else 0.0] + [0.0] * 10


def test_the_numbers_of_the_evidence_are_those_that_are_documented():
    assert pytest.approx(math.log(4.0)) == CLEAR_GAP
    assert PLAUSIBLE == 2.0


def test_the_gap_to_the_floor_does_not_stand_out():
    assert gap_log_evidence(spectrum([0.05] * 30 + [1.2]))[-1] == 0.0


def test_noise_in_the_data_raises_the_floor():
    noisy = spectrum([0.3, 5.0, 0.1, 3.0])
    assert gap_log_evidence(noisy)[4] > 1.0
    assert gap_log_evidence(noisy, ambient_noise=NOISE * math.sqrt(math.exp(3.0) - 1.0))[4] == 0.0


def test_chance_makes_a_gap_stand_out_as_seldom_as_it_says():
    # 2 nats: one of the gaps of at most one in e² of the spectra of independent values
    generator = torch.Generator().manual_seed(0)
    gaps = -torch.rand(2000, 20, generator=generator, dtype=torch.float64).log()
    share = sum(max(spacing_surprisal(row)) > 2.0 for row in gaps.tolist()) / len(gaps)
    assert 0.7 * math.exp(-2.0) < share < math.exp(-2.0)


def test_the_chance_of_one_gap_is_that_of_its_share_of_the_sum():
    """Of m exponential spacings one has a share of the sum that follows Beta(1, m − 1), whatever their mean."""
    gaps = [0.3, 1.1, 0.05, 2.4, 0.7]
    shares = torch.tensor(gaps) / sum(gaps)
    expected = -(math.log(5) + scipy.stats.beta.logsf(shares, 1, 4))
    assert spacing_surprisal(gaps) == pytest.approx(expected.tolist(), rel=1e-6)


def test_equal_values_have_no_gap_that_stands_out():
    assert spacing_surprisal([0.0, 0.0, 0.0]) == [0.0, 0.0, 0.0]
