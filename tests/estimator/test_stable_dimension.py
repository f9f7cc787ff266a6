"""The stable dimension ends the annealing: the same for some checks, and noise in the data not to go below."""

import pytest
import torch
from torch import nn

from nflows_spread import SpreadKLLoss, encode
from nflows_spread.dimension import encoder
from nflows_spread.dimension.neighbours import neighbour_dimension
from nflows_spread.estimator import Recipe, SpreadFlowEstimator
from nflows_spread.estimator.annealing import trained_by
from nflows_spread.estimator.stable_dimension import StableDimension
from nflows_spread.models import coupling_flow

SMALL = Recipe(steps=100, anneal_fraction=0.8, layers=2, hidden_features=16, bins=8, first_check=20, check_every=10)


def curve(rows=400, noise=0.0):
    generator = torch.Generator().manual_seed(0)
    t = 3.0 * torch.rand(rows, generator=generator)
    x = torch.stack([t.cos(), t.sin(), 0.5 * t], dim=1)
    x = (x - x.mean(0)) / x.var(0).mean().sqrt()
    return x + noise * torch.randn(x.shape, generator=generator)


class StableAt:
    """Says yes at its n-th check."""

    ambient_noise = 0.0

    def __init__(self, check):
        self.check, self.noises = check, []

    def __call__(self, objective: nn.Module) -> bool:
        self.noises.append(objective.data_noise)
        return len(self.noises) == self.check


def train(stop, recipe=SMALL):
    return trained_by(recipe, curve(), nearest=0.1, generator=torch.Generator().manual_seed(0), stop=stop)


def test_the_annealing_ends_when_the_dimension_is_stable_and_the_noise_reaches_its_end_all_the_same():
    stop = StableAt(check=3)
    objective = train(stop)
    assert len(stop.noises) == 3
    assert stop.noises == sorted(stop.noises, reverse=True)
    assert stop.noises[-1] > 2.0 * SMALL.last_noise
    assert objective.data_noise == pytest.approx(SMALL.last_noise)


def test_without_a_stable_dimension_all_steps_are_taken():
    stop = StableAt(check=-1)
    assert train(stop).data_noise == pytest.approx(SMALL.last_noise)
    assert len(stop.noises) == 6  # 20, 30 … 70 of 80 steps


def test_checking_changes_nothing_of_the_training():
    class Blind(StableAt):
        def __call__(self, objective: nn.Module) -> bool:
            return False

    x = curve()
    seeing = StableDimension(x, neighbour_dimension(x), patience=10**6)
    looked, blind = train(seeing), train(Blind(0))
    assert len(seeing.dimensions) == 6
    for first, second in zip(looked.parameters(), blind.parameters(), strict=True):
        torch.testing.assert_close(first, second, rtol=0.0, atol=0.0)


def test_equal_dimensions_in_a_row_are_stable():
    x = curve()
    objective = train(None)
    stable = StableDimension(x, neighbour_dimension(x), patience=3)
    assert [stable(objective) for _ in range(4)] == [False, False, True, True]
    assert stable.dimensions == [1] * 4


def test_the_count_of_equal_dimensions_starts_anew_with_each_other_one_and_where_there_is_none(monkeypatch):
    x = curve()
    stable = StableDimension(x, neighbour_dimension(x), patience=3)
    found = iter([2, 2, 1, 1, None, 1, 1, 1, 1])
    monkeypatch.setattr(stable, "_dimension_of", lambda _: next(found))
    assert [stable(None) for _ in range(9)] == [False] * 7 + [True] * 2
    assert stable.dimensions == [2, 2, 1, 1, None, 1, 1, 1, 1]


def test_a_flow_without_a_spectrum_has_no_dimension_and_training_goes_on():
    x = curve()
    objective = train(None)
    with torch.no_grad():
        next(objective.flow.parameters()).fill_(torch.nan)
    objective.train()
    stable = StableDimension(x, neighbour_dimension(x), patience=1)
    assert not stable(objective)
    assert stable.dimensions == [None]
    assert objective.training


def test_where_the_data_has_noise_the_dimension_is_not_stable_and_the_noise_is_told():
    x = curve(noise=0.1)
    flow = trained_by(
        Recipe(steps=300, layers=3, hidden_features=32, bins=8),
        x,
        nearest=0.1,
        generator=torch.Generator().manual_seed(0),
    )
    stable = StableDimension(x, neighbour_dimension(x), patience=1)
    assert not stable(flow)
    assert stable.dimensions == [None]
    assert stable.ambient_noise == pytest.approx(0.1, rel=0.5)


@pytest.mark.slow
def test_noise_in_the_data_is_found_and_does_not_count():
    x = curve(1000, noise=0.05)
    estimator = SpreadFlowEstimator(random_state=0, recipe=Recipe(layers=4, hidden_features=32)).fit(x)
    assert estimator.intrinsic_dimension_ == 1
    assert estimator.estimates_.ambient_noise == pytest.approx(0.05, rel=0.25)


@pytest.mark.parametrize(("features", "most"), [(600, 15), (300, 100)])
def test_a_check_of_wide_data_encodes_few_rows_a_feature(features, most, monkeypatch, generator):
    """So that it takes less time than the training between two checks."""
    rows = 0

    def counting(flow, x, context=None):
        nonlocal rows
        rows += len(x)
        return encode(flow, x, context)

    monkeypatch.setattr(encoder, "encode", counting)
    x = torch.randn(60, 2, generator=generator) @ torch.randn(2, features, generator=generator)
    stable = StableDimension(x, neighbour_dimension(x, generator=generator), patience=1)
    stable(SpreadKLLoss(coupling_flow(features, layers=1), data_noise=0.1))
    assert stable.dimensions[0] is not None
    assert 0 < rows < most * features
