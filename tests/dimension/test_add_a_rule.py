"""Add a rule, and a vote of the consensus: what docs/extending.md says, followed for a toy of each."""

import math

import pytest
import torch

from nflows_spread import Spectrum, intrinsic_dimension
from nflows_spread.dimension import (
    RULES,
    VOTES,
    Estimates,
    NeighbourDimension,
    consensus_dimension,
    decide,
    register_rule,
    register_vote,
)
from nflows_spread.dimension.rules import gap_log_evidence, signal_to_noise_gaps
from nflows_spread.estimator import Recipe, SpreadFlowEstimator
from nflows_spread.models import coupling_flow
from support import refused

NOISE = 0.01


def participation_ratio(spectrum):
    """(Σ μ)² / Σ μ², rounded: how many directions share the variance."""
    mu = spectrum.signal_to_noise
    return round(float(mu.sum().square() / mu.square().sum())), signal_to_noise_gaps(spectrum)


def few_dimensions(estimates):
    """A prior: each dimension costs half a nat."""
    return [-0.5 * k for k in range(1, len(estimates.spectrum.signal_to_noise) + 1)]


def spectrum_with(gaps):
    """That with these gaps, in nats, below its eigenvalues, the last one above σ_x²."""
    logs = torch.tensor(gaps, dtype=torch.float64).flip(0).cumsum(0).flip(0)
    return Spectrum(torch.ones(len(gaps), dtype=torch.float64), NOISE**2 * logs.exp(), 1e-6, NOISE)


def estimates(value=2.4, gaps=(0.1, 1.9, 1.9, 0.1)):
    """Two gaps, of which neighbours are hardly sure."""
    return Estimates(spectrum_with(gaps), NeighbourDimension(value, 0.5, 0.5, 0.1, (3,), {"cube": (value,)}))


def test_a_rule_is_asked_by_its_name_and_listed_among_all():
    spectrum, before = spectrum_with([0.0, 0.0, 6.0, 0.0]), list(RULES)
    with register_rule("participation_ratio", participation_ratio):
        found = decide(spectrum, "participation_ratio")
        assert found == 3
        assert found.rule == "participation_ratio"
        assert found.gap == pytest.approx(6.0)
        assert spectrum.estimates["participation_ratio"] == 3
        assert estimates().by_name["participation_ratio"] == 2.0
    assert list(RULES) == before
    assert "participation_ratio" not in spectrum.estimates


def test_a_rule_reads_the_dimension_of_a_flow(generator):
    flow, x = coupling_flow(3, layers=1), torch.randn(60, 3, generator=generator)
    with register_rule("participation_ratio", participation_ratio):
        found = intrinsic_dimension(flow, x, rule="participation_ratio", data_noise=0.1)
    assert 1 <= found <= 3
    with refused(ValueError, "rule must be one of signal_to_noise, gap, rank", "got 'participation_ratio'"):
        intrinsic_dimension(flow, x, rule="participation_ratio", data_noise=0.1)


@pytest.mark.parametrize(
    ("value", "gaps"),
    [(3, [math.inf, 1.0, 2.0]), (-1, [math.inf, 1.0, 2.0]), (1, []), (1, [math.inf, 1.0]), (1, [1.0] * 4)],
)
def test_a_rule_that_gives_no_dimension_of_the_data_is_refused(value, gaps):
    words = ("a rule must give K between 0 and D", "here D = 2", f"got {value} and {len(gaps)} gaps from 'broken'")
    with register_rule("broken", lambda _: (value, gaps)), refused(ValueError, *words):
        decide(spectrum_with([1.0, 2.0]), "broken")


@pytest.mark.parametrize("answer", [None, 1, (1,), (1.5, [1.0] * 3), ("1", [1.0] * 3), (1, 1.0), (1, [None] * 3)])
def test_a_rule_that_gives_no_numbers_is_named(answer):
    words = ("a rule must give K between 0 and D", "from 'broken'; give a whole number and a list of numbers")
    with register_rule("broken", lambda _: answer), refused(TypeError, *words):
        decide(spectrum_with([1.0, 2.0]), "broken")


def test_a_dimension_is_a_plain_number_whatever_kind_of_number_the_rule_gives():
    with register_rule("tensors", lambda _: (torch.tensor(1), torch.tensor([math.inf, 2.0, 1.0]))):
        found = decide(spectrum_with([1.0, 2.0]), "tensors")
    assert (int(found), found.gap, found.interval) == (1, 2.0, (1, 2))
    assert {type(bound) for bound in found.interval} == {int}


@pytest.mark.parametrize(
    ("register", "taken"),
    [*((register_rule, name) for name in ("neighbours", "denoising", "score")), (register_vote, "denoising")],
)
def test_a_name_that_another_estimate_has_is_refused(register, taken):
    with refused(ValueError, f"must be new, got {taken!r}"):
        register(taken, few_dimensions)


def test_a_vote_counts_while_it_is_registered():
    before, votes = consensus_dimension(estimates(2.5)), list(VOTES)
    assert before == 3
    with register_vote("few dimensions", few_dimensions):
        assert consensus_dimension(estimates(2.5)) == 2
    assert consensus_dimension(estimates(2.5)) == before
    assert list(VOTES) == votes


def test_a_vote_is_compared_with_the_result_by_the_dimension_to_which_it_gives_most():
    found = estimates()
    assert set(found.compared) == {"signal_to_noise", "neighbours"}
    with register_vote("few dimensions", few_dimensions):
        assert found.compared["few dimensions"] == 1.0
        assert found.disagreeing_with(2)["few dimensions"] == 1.0
    with register_vote("gap", lambda found: [0.0] * len(found.spectrum.signal_to_noise)):
        assert found.compared["gap"] == float(found.spectrum.estimates["gap"])  # a rule of that name is what votes


def test_the_log_evidence_is_the_sum_of_the_votes_in_their_order():
    found = estimates()
    gaps = gap_log_evidence(found.spectrum)
    two = [gaps[k] + found.neighbours.log_plausibility(k) for k in range(1, 5)]
    assert found.log_evidence == two
    with register_vote("few dimensions", few_dimensions):
        assert found.log_evidence == [nats - 0.5 * k for k, nats in enumerate(two, 1)]


@pytest.mark.parametrize("nats", [[0.0], [0.0] * 5, [0.0, 0.0, 0.0, -math.inf], [math.nan] * 4])
def test_a_vote_that_has_not_one_finite_number_for_each_dimension_is_refused(nats):
    with (
        register_vote("broken", lambda _: nats),
        refused(ValueError, "a vote must be 4 finite numbers, one for each K = 1 … D", "from 'broken'"),
    ):
        consensus_dimension(estimates())


@pytest.mark.parametrize("said", [None, 3.0, "abcd", [[0.0, 1.0]] * 4])
def test_a_vote_that_gives_no_numbers_is_named(said):
    with (
        register_vote("broken", lambda _: said),
        refused(TypeError, "a vote must be 4 finite numbers", "from 'broken'"),
    ):
        consensus_dimension(estimates())


def test_the_estimator_counts_a_vote_and_asks_it_during_training(generator):
    asked = []

    def sure_of_two(estimates):
        asked.append(estimates.density is None)
        return [0.0, 50.0, 0.0]

    t = 3.0 * torch.rand(200, generator=generator)
    x = torch.stack([t.cos(), t.sin(), t], dim=1)
    recipe = Recipe(steps=20, layers=2, hidden_features=8, bins=4, first_check=5, check_every=5)
    with register_vote("mine", sure_of_two):
        found = SpreadFlowEstimator(random_state=0, recipe=recipe).fit(x)
    assert found.intrinsic_dimension_ == 2
    assert "mine" not in found.disagreement_
    assert {True, False} == set(asked)
