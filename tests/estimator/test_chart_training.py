"""Training of charts: the loss and its targets, the start, what is kept, and when it stops."""

import math
import time
from functools import partial

import pytest
import torch

from nflows_spread.estimator.chart_fitting import chart_at
from nflows_spread.estimator.chart_training import (
    ChartData,
    ReconstructionLoss,
    curved_decoder_at,
    lifted_flow_at,
)
from nflows_spread.estimator.recipe import Recipe
from nflows_spread.models.lifted import lifted_couplings
from support import randomize

SHORT = Recipe(chart_steps=150, chart_width=32)


def parabola(rows=200):
    """A curve in the plane over its first axis, and that axis."""
    t = torch.linspace(-1.5, 1.5, rows)[torch.randperm(rows, generator=torch.Generator().manual_seed(0))]
    x = torch.stack([t, 0.5 * t.square()], dim=1)
    x = x - x.mean(0)
    return ChartData(x[20:], x[:20], torch.eye(2)[:, :1], x[:, :1].std(0))


def trained(train, data, recipe=SHORT, seed=0, deadline=math.inf):
    return train(data, recipe, deadline=deadline, generator=torch.Generator().manual_seed(seed))


def test_the_loss_is_the_squared_error_and_the_distance_of_rows_that_have_targets():
    couplings = randomize(lifted_couplings(torch.eye(3)[:, :2], encoder_features=(5,), decoder_features=(5,)))
    loss = ReconstructionLoss(couplings, data_noise=0.0, generator=torch.Generator())
    x, targets = torch.randn(4, 3), torch.randn(4, 3)
    targets[:, -1] = torch.tensor([1.0, 0.0, 1.0, 0.0])
    code = couplings.encoder(x)
    error = (couplings.decoder(code) - x).square().sum(1).mean()
    off = (code - targets[:, :2])[[0, 2]].square().sum(1).mean()
    torch.testing.assert_close(loss(x), error)
    torch.testing.assert_close(loss(x, targets), error + off)
    loss.target_weight = 0.0
    torch.testing.assert_close(loss(x, targets), error)
    assert loss.error(x) == pytest.approx(error.item())


from_principal = partial(lifted_flow_at, geodesic=False)
from_geodesic = partial(lifted_flow_at, geodesic=True)


@pytest.mark.parametrize("train", [from_principal, from_geodesic, curved_decoder_at])
def test_training_lowers_the_error_of_held_out_rows_and_a_seed_decides_it(train):
    data = parabola()
    start = (data.held_out - data.held_out @ data.axes @ data.axes.mT).square().sum(1).mean()
    first, second = trained(train, data), trained(train, data)
    reached = (first.decoder(first.encoder(data.held_out)) - data.held_out).square().sum(1).mean()
    assert reached < 0.3 * start
    assert torch.equal(first(data.held_out)[0], second(data.held_out)[0])


def test_the_coordinates_of_a_curved_decoder_are_principal_components():
    data = parabola()
    couplings = trained(curved_decoder_at, data)
    assert torch.equal(couplings.encoder(data.train), data.train @ data.axes)


@pytest.mark.parametrize("train", [from_principal, from_geodesic, curved_decoder_at])
def test_without_time_it_stays_at_principal_components(train):
    data = parabola()
    couplings = trained(train, data, deadline=time.monotonic() - 1.0)
    torch.testing.assert_close(couplings.encoder(data.train), data.train @ data.axes)


def test_the_global_generator_is_left_alone():
    before = torch.random.get_rng_state()
    trained(from_geodesic, parabola())
    assert torch.equal(torch.random.get_rng_state(), before)


def test_rows_that_noise_explains_need_no_rival_of_principal_components():
    data = parabola()
    options = {"recipe": SHORT, "generator": torch.Generator().manual_seed(0)}
    assert chart_at(data.train, data.held_out, 1, noise=1.0, **options).kind == "PCA"
    found = chart_at(data.train, data.held_out, 1, noise=0.0, **options)
    assert found.kind == "lifted flow"
    assert found.beyond_noise == 1.0
