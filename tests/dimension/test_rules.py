"""Rules: what each reads off a spectrum, its gap and its interval."""

import copy
import math
import pickle

import pytest
import torch

from nflows_spread import IntrinsicDimension, Spectrum
from nflows_spread.dimension.rules import CLEAR_GAP, RULES, decide, register_rule, signal_to_noise_gaps
from support import refused


def constructed(eigenvalues=(1.0, 1.0, 1.0), mu=(1.0, 1.0, 1.0), spread_variance=1e-4, data_noise=0.05):
    return Spectrum(
        eigenvalues=torch.tensor(eigenvalues, dtype=torch.float64),
        signal_to_noise=torch.tensor(mu, dtype=torch.float64),
        spread_variance=spread_variance,
        data_noise=data_noise,
    )


NOISE = 0.05**2


@pytest.mark.parametrize(
    ("mu", "dimension"),
    [
        ((2.0, 1.0, NOISE, NOISE), 2),
        ((2.0, NOISE, NOISE, NOISE), 1),
        ((2.0, 1.5, 1.0, 0.7), 4),
        ((2.0, 1.5, 1.0, 1e-9), 3),
        ((2.0, 0.9 * NOISE, 1e-5, 1e-12), 1),
        ((20.0, 1.0, 0.5, 1.01 * NOISE), 3),
    ],
)
def test_signal_to_noise_finds_the_step_down_to_the_noise(mu, dimension):
    assert decide(constructed(mu=mu), "signal_to_noise") == dimension


@pytest.mark.parametrize("dimension", [1, 2, 3, 4])
def test_without_data_noise_the_default_rule_still_finds_the_step(dimension):
    mu = [2.0] * dimension + [1e-4] * (5 - dimension)
    assert decide(constructed(mu=mu, data_noise=0.0)) == dimension
    assert decide(constructed(mu=[2.0] * dimension + [1e-17, 1e-20, 0.0], data_noise=0.0)) == dimension
    assert decide(constructed(mu=[2.0] * dimension, data_noise=0.0)) == dimension


@pytest.mark.parametrize(
    ("eigenvalues", "dimension"),
    [
        ((1.0, 0.5, 1e-5), 2),
        ((1.0, 1e-8, 0.0), 1),
        ((1.0, 0.5, 0.002), 3),
        ((1.0, 0.5, 0.0005), 2),
        ((0.0, 0.0, 0.0), 0),
        ((1.0, 10.2e-4, 9.8e-4), 2),
    ],
)
def test_rank_counts_what_lies_ten_times_above_the_spread_variance(eigenvalues, dimension):
    assert decide(constructed(eigenvalues=eigenvalues), "rank") == dimension


def test_a_spectrum_without_a_clear_step_is_counted_at_the_scale_of_the_noise():
    found = decide(constructed(mu=[NOISE * 3.0**k for k in range(6, -1, -1)]))
    assert found == 6
    assert found.gap == pytest.approx(math.log(3.0))
    assert found.gap < CLEAR_GAP
    assert decide(constructed(mu=[1.3 * NOISE, 1.2 * NOISE, NOISE])) == 0


def test_a_direction_at_a_threshold_is_not_above_it():
    assert decide(constructed(eigenvalues=(1.0, 0.625, 0.1), spread_variance=0.0625), "rank") == 1
    assert decide(constructed(mu=(0.55, 0.5, 0.3), data_noise=0.5)) == 1


@pytest.mark.parametrize(("factor", "dimension"), [(4.1, 1), (3.9, 3)])
def test_a_gap_is_clear_from_a_factor_of_four_on(factor, dimension):
    assert decide(constructed(mu=(9.0 * factor, 9.0, 3.0, 1.5), data_noise=1.0)) == dimension


@pytest.mark.parametrize(("above", "dimension"), [((2.1, 1.9), 1), ((1.9, 1.8), 0), ((2.2, 2.1), 2)])
def test_without_a_clear_gap_what_has_twice_the_variance_of_the_noise_counts(above, dimension):
    assert decide(constructed(mu=[NOISE * value for value in (*above, 1.0)])) == dimension


@pytest.mark.parametrize(
    ("gaps", "dimension", "interval"),
    [
        ([5.0, 3.1, 0.1, 4.0], 1, (1, 4)),
        ([2.9, 5.0, 2.9, 0.1], 2, (2, 2)),
        ([3.1, 5.0, 2.9, 0.1], 2, (1, 2)),
        ([0.1, 0.1, 2.9, 5.0], 4, (4, 4)),
        ([0.1, 0.1, 3.1, 5.0], 4, (3, 4)),
        ([0.5, 0.3, 0.6, 0.2], 3, (1, 4)),  # none is clear: what lies above twice the noise, and every one is plausible
    ],
)
def test_the_interval_holds_the_dimensions_whose_gaps_are_at_most_two_nats_narrower(gaps, dimension, interval):
    found = decide(constructed(mu=mu_with(gaps), data_noise=1.0))
    assert (int(found), found.interval) == (dimension, interval)


def mu_with(gaps):
    """Values of μ with these gaps below them, in nats, the last one above a noise of 1."""
    return [math.exp(sum(gaps[k:])) for k in range(len(gaps))]


def test_a_dimension_of_nothing_has_no_wider_interval():
    assert decide(constructed(eigenvalues=(0.0, 0.0, 0.0)), "rank").interval == (0, 0)
    assert IntrinsicDimension(3, "elsewhere", 1.0, constructed()).interval == (3, 3)


def test_the_last_neighbour_of_the_eigenvalues_is_the_noise_that_each_rule_knows():
    spectrum = constructed(eigenvalues=(1.0, 0.5), mu=(1.0, 0.5), spread_variance=0.02, data_noise=0.3)
    assert decide(spectrum, "gap").gap == pytest.approx(math.log(0.52 / (0.09 + 0.02)))
    assert decide(spectrum, "rank").gap == pytest.approx(math.log(0.52 / 0.02))
    assert decide(spectrum, "signal_to_noise").gap == pytest.approx(math.log(0.5 / 0.09))


def test_noise_in_the_data_raises_the_floor_by_its_variance():
    mu, ambient_noise = (4.0, 0.9, 0.3, 0.05), 0.4
    noisier = constructed(mu=mu, data_noise=math.hypot(0.1, ambient_noise))
    assert signal_to_noise_gaps(constructed(mu=mu, data_noise=0.1), ambient_noise=ambient_noise) == pytest.approx(
        signal_to_noise_gaps(noisier)
    )


def test_without_any_noise_nothing_lies_below_the_last_direction():
    assert signal_to_noise_gaps(constructed(mu=(8.0, 2.0, 0.5), data_noise=0.0)) == pytest.approx(
        [math.inf, math.log(4.0), math.log(4.0), 0.0]
    )
    assert signal_to_noise_gaps(constructed(mu=(0.0, 0.0), data_noise=0.0)) == [math.inf, 0.0, 0.0]


def test_another_unit_of_the_data_changes_no_estimate_from_mu():
    spectrum = constructed(eigenvalues=(5.0, 3.0, 0.0), mu=(4.0, 0.3, 0.004))
    larger = spectrum.in_units_of(30.0)
    assert larger.data_noise == pytest.approx(30.0 * 0.05)
    torch.testing.assert_close(larger.signal_to_noise, 900.0 * spectrum.signal_to_noise)
    assert signal_to_noise_gaps(larger) == pytest.approx(signal_to_noise_gaps(spectrum))
    assert torch.equal(larger.eigenvalues, spectrum.eigenvalues)
    assert larger.spread_variance == spectrum.spread_variance


@pytest.mark.parametrize(
    ("eigenvalues", "dimension"),
    [((1.0, 0.5, 1e-5), 2), ((1.0, 1e-8, 0.0), 1), ((1.0, 0.9, 0.8), 3), ((1.0, 0.0, 0.0), 1)],
)
def test_gap_finds_the_widest_gap_of_the_spread_spectrum(eigenvalues, dimension):
    assert decide(constructed(eigenvalues=eigenvalues), "gap") == dimension


@pytest.mark.parametrize("rule", RULES)
def test_the_gap_is_the_log_ratio_across_the_decision(rule):
    found = decide(constructed(eigenvalues=(4.0, 2.0, 0.0), mu=(4.0, 2.0001, 0.0001), data_noise=0.01), rule)
    assert found == 2
    assert found.gap == pytest.approx(math.log(2.0001 / 1e-4))


def test_the_default_rule_is_signal_to_noise_and_estimates_hold_them_all():
    spectrum = constructed(eigenvalues=(1.0, 1e-8, 0.0), mu=(2.0, 1.0, NOISE))
    assert decide(spectrum).rule == "signal_to_noise"
    assert spectrum.estimates.items() >= {"signal_to_noise": 2, "gap": 1, "rank": 1}.items()
    assert list(spectrum.estimates) == list(RULES)
    assert all(spectrum.estimates[name].rule == name for name in RULES)


def test_an_intrinsic_dimension_is_an_int():
    found = decide(constructed(mu=(2.0, 1.0, NOISE)))
    assert isinstance(found, int)
    assert found + 1 == 3
    assert list(range(found)) == [0, 1]
    assert [10, 11, 12][found] == 12
    assert f"{found:02d}" == "02"
    assert hash(found) == hash(2)
    assert torch.zeros(4, found).shape == (4, 2)
    assert repr(found).startswith("IntrinsicDimension(2, rule='signal_to_noise', gap=")


@pytest.mark.parametrize("clone", [copy.copy, copy.deepcopy, lambda found: pickle.loads(pickle.dumps(found))])
def test_copies_and_pickles_keep_where_it_comes_from(clone):
    found = decide(constructed(mu=(2.0, 1.0, NOISE)))
    counterpart = clone(found)
    assert type(counterpart) is IntrinsicDimension
    assert (counterpart, counterpart.rule, counterpart.gap) == (found, found.rule, found.gap)
    assert torch.equal(counterpart.spectrum.signal_to_noise, found.spectrum.signal_to_noise)


def test_an_unknown_rule_is_refused():
    with refused(ValueError, "rule must be one of signal_to_noise, gap, rank", "got 'elbow'"):
        decide(constructed(), "elbow")


def test_the_rules_cannot_be_changed_by_accident():
    with pytest.raises(TypeError):
        RULES["elbow"] = RULES["gap"]


def test_a_rule_is_known_by_its_name_until_it_is_taken_back():
    spectrum = constructed()
    with register_rule("all of them", lambda spectrum: (3, [0.0] * 4)):
        assert int(decide(spectrum, "all of them")) == 3
    with refused(ValueError, "got 'all of them'; register_rule adds others"):
        decide(spectrum, "all of them")


@pytest.mark.parametrize(
    ("answer", "error"),
    [((1.5, [0.0] * 4), TypeError), (3, TypeError), ((4, [0.0] * 4), ValueError), ((1, [0.0] * 3), ValueError)],
    ids=str,
)
def test_a_rule_must_say_a_whole_number_and_a_gap_for_each(answer, error):
    with register_rule("mine", lambda spectrum: answer), refused(error, "a rule must give K between 0 and D and a gap"):
        decide(constructed(), "mine")
