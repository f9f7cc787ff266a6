"""When the annealing ends: a verdict that stays the same, and noise in the data that it need not go below."""

import pytest
import torch
from torch import nn

from nflows_spread import SpreadKLLoss, encode
from nflows_spread.dimension import neighbour_dimension, precision
from nflows_spread.dimension.stability import StableVerdict
from nflows_spread.estimator import SpreadFlowEstimator
from nflows_spread.models import coupling_flow
from nflows_spread.recipe import Recipe, trained_by

SMALL = Recipe(steps=100, layers=2, hidden_features=16, bins=8, first_look=20, look_every=10)


def curve(rows=400, noise=0.0):
    generator = torch.Generator().manual_seed(0)
    t = 3.0 * torch.rand(rows, generator=generator)
    x = torch.stack([t.cos(), t.sin(), 0.5 * t], dim=1)
    x = (x - x.mean(0)) / x.var(0).mean().sqrt()
    return x + noise * torch.randn(x.shape, generator=generator)


class Watch:
    """Says yes at its n-th look."""

    def __init__(self, stop_at, thickness=0.0):
        self.stop_at, self.thickness, self.noises = stop_at, thickness, []

    def __call__(self, objective: nn.Module) -> bool:
        self.noises.append(objective.data_noise)
        return len(self.noises) == self.stop_at


def train(watch, recipe=SMALL):
    return trained_by(recipe, curve(), nearest=0.1, generator=torch.Generator().manual_seed(0), watch=watch)


def test_the_annealing_ends_when_the_watch_says_so_and_the_noise_reaches_its_end_all_the_same():
    watch = Watch(stop_at=3)
    objective = train(watch)
    assert len(watch.noises) == 3
    assert watch.noises == sorted(watch.noises, reverse=True)
    assert watch.noises[-1] > 2.0 * SMALL.last_noise
    assert objective.data_noise == pytest.approx(SMALL.last_noise)


def test_without_a_stable_verdict_all_steps_are_taken():
    watch = Watch(stop_at=-1)
    assert train(watch).data_noise == pytest.approx(SMALL.last_noise)
    assert len(watch.noises) == 6  # 20, 30 … 70 of 80 steps


def test_the_noise_does_not_go_far_below_that_of_the_data():
    assert train(Watch(stop_at=2, thickness=0.09)).data_noise == pytest.approx(0.03)


def test_looking_changes_nothing_of_the_training():
    class Blind(Watch):
        def __call__(self, objective: nn.Module) -> bool:
            return False

    x = curve()
    seeing = StableVerdict(x, neighbour_dimension(x), looks=10**6)
    looked, blind = train(seeing), train(Blind(0))
    assert len(seeing.verdicts) == 6
    for first, second in zip(looked.parameters(), blind.parameters(), strict=True):
        torch.testing.assert_close(first, second, rtol=0.0, atol=0.0)


def test_equal_verdicts_in_a_row_are_stable():
    x = curve()
    objective = train(None)
    watch = StableVerdict(x, neighbour_dimension(x), looks=3)
    assert [watch(objective) for _ in range(4)] == [False, False, True, True]
    assert watch.verdicts == [1] * 4


def test_a_flow_without_a_spectrum_has_no_verdict_and_training_goes_on():
    x = curve()
    objective = train(None)
    with torch.no_grad():
        next(objective.flow.parameters()).fill_(torch.nan)
    objective.train()
    watch = StableVerdict(x, neighbour_dimension(x), looks=1)
    assert not watch(objective)
    assert watch.verdicts == [None]
    assert objective.training


def test_where_the_data_has_noise_the_verdict_is_not_stable_and_its_thickness_is_told():
    x = curve(noise=0.1)
    flow = trained_by(
        Recipe(steps=300, layers=3, hidden_features=32, bins=8),
        x,
        nearest=0.1,
        generator=torch.Generator().manual_seed(0),
    )
    watch = StableVerdict(x, neighbour_dimension(x), looks=1)
    assert not watch(flow)
    assert watch.verdicts == [None]
    assert watch.thickness == pytest.approx(0.1, rel=0.5)


@pytest.mark.slow
def test_noise_in_the_data_is_found_and_does_not_count():
    x = curve(1000, noise=0.05)
    estimator = SpreadFlowEstimator(random_state=0, recipe=Recipe(layers=4, hidden_features=32)).fit(x)
    assert estimator.intrinsic_dimension_ == 1
    assert estimator.estimates_.ambient_noise == pytest.approx(0.05, rel=0.25)


@pytest.mark.parametrize(("features", "most"), [(600, 15), (300, 100)])
def test_a_look_at_wide_data_encodes_few_rows_a_feature(features, most, monkeypatch, generator):
    """So that it takes less time than the training between two looks."""
    rows = 0

    def counting(flow, x, context=None):
        nonlocal rows
        rows += len(x)
        return encode(flow, x, context)

    monkeypatch.setattr(precision, "encode", counting)
    x = torch.randn(60, 2, generator=generator) @ torch.randn(2, features, generator=generator)
    watch = StableVerdict(x, neighbour_dimension(x, generator=generator), looks=1)
    watch(SpreadKLLoss(coupling_flow(features, layers=1), data_noise=0.1))
    assert watch.verdicts[0] is not None
    assert 0 < rows < most * features
