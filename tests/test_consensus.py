"""How read-outs that disagree become one dimension."""

from dataclasses import replace

import pytest
import torch

from nflows_spread import Spectrum
from nflows_spread.dimension.consensus import Readings, consensus
from nflows_spread.dimension.density import DensityDimension
from nflows_spread.dimension.neighbours import NeighbourDimension

NOISE = 0.01


def readings(gaps, value, below=0.06, above=0.06):
    """A spectrum with the given gaps, in nats, below its eigenvalues and above σ_x², and a neighbours' dimension."""
    logs = torch.tensor(gaps, dtype=torch.float64).flip(0).cumsum(0).flip(0)
    signal = NOISE**2 * logs.exp()
    spectrum = Spectrum(torch.ones(len(gaps), dtype=torch.float64), signal, 1e-6, NOISE)
    neighbours = NeighbourDimension(value, below, above, 0.1, (3,), {"cube": (value,)})
    return Readings(spectrum, neighbours, DensityDimension(value, value, 0.1, 0.1, NOISE))


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
    verdict = consensus(readings(gaps, value, above=above))
    assert int(verdict) == dimension
    assert verdict.rule == "consensus"
    assert verdict.gap == pytest.approx(gaps[dimension - 1], abs=1e-6)
    assert verdict.interval[0] <= dimension <= verdict.interval[1]


def test_the_interval_shows_disagreement():
    sure, unsure = (
        consensus(readings([0.1, 6.0, 0.1], 2.0)),
        consensus(readings([0.1, 3.0, 3.5], 2.3, below=0.15, above=0.3)),
    )
    assert sure.interval == (2, 2)
    assert unsure.interval == (2, 3)


def test_every_reading_is_listed():
    verdicts = readings([0.1, 6.0, 0.1], 2.0).verdicts
    assert set(verdicts) == {"signal_to_noise", "gap", "rank", "neighbours", "denoising", "score"}


def test_readings_that_say_otherwise_are_named():
    found = readings([0.1, 0.2, 5.0], 2.1)
    assert found.against(2) == {"signal_to_noise": 3.0}
    assert set(found.against(3)) == {"neighbours", "denoising"}


def test_noise_in_the_data_takes_the_evidence_from_the_floor():
    noisy = replace(readings([0.5, 5.0, 0.1, 3.0], 3.2, below=0.3, above=0.3), thickness=NOISE * 4.4)
    assert int(consensus(replace(noisy, thickness=0.0))) == 4
    assert int(consensus(noisy)) == 2
