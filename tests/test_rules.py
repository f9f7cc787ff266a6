import copy
import math
import pickle

import pytest
import torch

from nflows_spread import IntrinsicDimension, Spectrum
from nflows_spread.dimension.rules import CLEAR_GAP, RULES, decide
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


def test_the_default_rule_is_signal_to_noise_and_verdicts_hold_them_all():
    spectrum = constructed(eigenvalues=(1.0, 1e-8, 0.0), mu=(2.0, 1.0, NOISE))
    assert decide(spectrum).rule == "signal_to_noise"
    assert spectrum.verdicts == {"signal_to_noise": 2, "gap": 1, "rank": 1}
    assert all(spectrum.verdicts[name].rule == name for name in RULES)


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
    twin = clone(found)
    assert type(twin) is IntrinsicDimension
    assert (twin, twin.rule, twin.gap) == (found, found.rule, found.gap)
    assert torch.equal(twin.spectrum.signal_to_noise, found.spectrum.signal_to_noise)


def test_an_unknown_rule_is_refused():
    with refused(ValueError, "rule must be one of signal_to_noise, gap, rank", "got 'elbow'"):
        decide(constructed(), "elbow")


def test_the_rules_cannot_be_changed_by_accident():
    with pytest.raises(TypeError):
        RULES["elbow"] = RULES["gap"]
