"""Running averages of two processes that see the same latents: those of one that sees each latent twice."""

import copy

import pytest
import torch

from nflows_spread import DegenerateGaussianMixture
from nflows_spread.factors import RunningAverageFactor, running_average
from nflows_spread.factors.running_average import averages_of_this_process
from support import assert_same_state

VARIANCE = torch.tensor(1e-4, dtype=torch.float64)


@pytest.fixture
def twins(monkeypatch):
    """Sums over processes are twice what this one has, as if another had the same."""
    monkeypatch.setattr(running_average, "_processes", lambda: 2)
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda tensor: tensor.mul_(2))


def batches():
    generator = torch.Generator().manual_seed(3)
    return [torch.randn(n, 4, generator=generator) * n for n in (5, 2, 9, 4, 3)]


def assert_same_average(one, other):
    for name, value in one.state_dict().items():
        torch.testing.assert_close(value, other.state_dict()[name], rtol=1e-6, atol=0, msg=name)


@pytest.mark.parametrize("lag", [0.0, 0.3])
def test_latents_are_averaged_as_those_of_both(lag, twins):
    alone, among = (RunningAverageFactor(4, decay=0.7, lag=lag) for _ in range(2))
    for z in batches():
        among.observe(z, VARIANCE)
        with averages_of_this_process(alone):
            assert not alone.is_among_others
            alone.observe(torch.cat([z, z]), VARIANCE)
        assert among.is_among_others
        assert alone.is_among_others
        assert_same_average(among, alone)


def test_latents_that_are_not_finite_are_left_out(twins):
    factor = RunningAverageFactor(4, decay=0.7)
    for value in (torch.nan, torch.inf):
        factor.observe(batches()[0], VARIANCE)
        before = copy.deepcopy(factor.state_dict())
        bad = batches()[1]
        bad[1, 2] = value
        factor.observe(bad, VARIANCE)
        assert_same_state(factor.state_dict(), before)


@pytest.mark.parametrize("lag", [0.0, 0.3])
def test_of_products_the_first_is_summed_over_both_and_the_others_are_known_to_each(lag, twins):
    alone, among = (RunningAverageFactor(4, decay=0.7, lag=lag) for _ in range(2))
    left = [z.double() for z in batches()[:2]]
    right = [3.0 * z for z in left]
    rate = torch.tensor(0.25)
    among.average_in_products(left, right, rate, VARIANCE)
    with averages_of_this_process(alone):
        alone.average_in_products([left[0], left[0], left[1]], [right[0], right[0], right[1]], rate, VARIANCE)
    assert_same_average(among, alone)
    own, known = (a.mT @ b for a, b in zip(left, right))
    expected = 0.75 * torch.eye(4).double() + 0.25 * (2.0 * own + known)
    torch.testing.assert_close(among.second_moment, expected)


def mixture(tied, learn_mean, lag):
    kind = RunningAverageFactor.of_decay(0.7, lag=lag)
    base = DegenerateGaussianMixture([4], 2, factor=kind, tied=tied, learn_mean=learn_mean).double()
    means = torch.tensor([[-3.0] * 4, [3.0] * 4]).double() * float(learn_mean)
    base.assign(torch.ones(2), means, [scale * torch.eye(4).double() for scale in (2.0, 6.0)])
    return base


@pytest.mark.parametrize("tied", [False, True, "semi"])
@pytest.mark.parametrize("learn_mean", [False, True])
@pytest.mark.parametrize("lag", [0.0, 0.3])
def test_pieces_are_averaged_from_the_finite_latents_of_both(tied, learn_mean, lag, twins):
    alone, among = (mixture(tied, learn_mean, lag) for _ in range(2))
    for place, z in enumerate(batch.double() for batch in batches()):
        if place == 2:
            before, z[0, 1] = copy.deepcopy(among.state_dict()), torch.nan
        among.observe(z)
        with averages_of_this_process(alone):
            alone.observe(torch.cat([z, z]))
        if place == 2:
            assert_same_state(among.state_dict(), before)
    assert_same_average(among, alone)
    assert among.log_prob(batches()[0].double()).isfinite().all()
