"""Charts of any host's flow: projections that repeat, nested coordinates, gauges, and order of rows and batches."""

import warnings

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from nflows.flows import Flow

from drawn import SEEDS, magnitudes, normal, share_of_cases
from gauges import Gauge, WholeFlow, same_up_to_signs
from host_models import MODELS, inputs_for, spread_flow
from nflows_spread import DegenerateGaussian, base_of
from nflows_spread.chart import chart_of

slowly = share_of_cases(0.1)
pytestmark = pytest.mark.usefixtures("float64")
NAME = st.sampled_from(sorted(name for name in MODELS if MODELS[name].features <= 4))
RANK = st.integers(1, 2)
SCALE = magnitudes(-1.0, 0.0)
NOISE = 1e-4


def model_of(name, seed, scale):
    """A model with random parameters, its prior's axes at different scales, and data and context for it."""
    torch.manual_seed(seed)
    flow = spread_flow(name)
    base = base_of(flow)
    with torch.no_grad():
        base.factor.assign(torch.linspace(scale, 0.3 * scale, base.features).diag(), base.spread_variance)
    base.data_noise = NOISE
    x, context = inputs_for(name, 12)
    return flow, scale * x, context


def seeded(seed):
    return torch.Generator().manual_seed(seed)


@slowly
@given(NAME, SEEDS, SCALE, RANK)
def test_what_was_reconstructed_is_reconstructed_to_itself(name, seed, scale, rank):
    flow, x, context = model_of(name, seed, scale)
    chart = chart_of(flow, rank=rank, context=context, generator=seeded(seed))
    with warnings.catch_warnings(record=True) as told:
        on_it = chart.reconstruct(x, context)
    assume(not any("zuko seeks an inverse" in str(each.message) for each in told))
    close = {"rtol": 0, "atol": 1e-4 if "zuko" in name else 1e-6}
    torch.testing.assert_close(chart.reconstruct(on_it, context), on_it, **close)
    torch.testing.assert_close(chart.coordinates(on_it, context), chart.coordinates(x, context), **close)
    torch.testing.assert_close(chart.points(chart.coordinates(x, context), context), on_it, **close)


@slowly
@given(NAME, SEEDS, SCALE)
def test_the_first_coordinates_are_those_of_a_lower_rank(name, seed, scale):
    flow, x, context = model_of(name, seed, scale)
    one, two = (chart_of(flow, rank=rank, context=context, generator=seeded(seed)) for rank in (1, 2))
    torch.testing.assert_close(two.coordinates(x, context)[:, :1], one.coordinates(x, context), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(two.first(1).reconstruct(x, context), one.reconstruct(x, context), rtol=1e-6, atol=1e-6)


@slowly
@given(NAME, SEEDS, SCALE, RANK, st.integers(1, 12))
def test_rows_have_the_same_coordinates_and_density_in_any_batch_and_order(name, seed, scale, rank, size):
    flow, x, context = model_of(name, seed, scale)
    chart = chart_of(flow, rank=rank, context=context, generator=seeded(seed))
    order = torch.randperm(len(x))
    parts = [None] * len(x) if context is None else context[order].split(size)
    for read_out in (chart.coordinates, chart.reconstruct, chart.log_prob):
        together = read_out(x, context)
        apart = torch.cat([read_out(rows, part) for rows, part in zip(x[order].split(size), parts)])
        torch.testing.assert_close(apart, together[order], rtol=1e-7, atol=1e-7)


@slowly
@given(NAME, SEEDS, SCALE, RANK, magnitudes(-1.0, 1.0))
def test_no_linear_gauge_changes_coordinates_or_reconstructions(name, seed, scale, rank, stretch):
    flow, x, context = model_of(name, seed, scale)
    base = base_of(flow)
    matrix = stretch * (torch.eye(base.features) + 0.3 * normal(seed + 1, base.features, base.features))
    assume(float(torch.linalg.cond(matrix)) < 100.0)
    twin = DegenerateGaussian(base.shape, learn_mean=True)
    with torch.no_grad():
        twin.loc.copy_((matrix @ base.mean().flatten()).view(base.shape))
        twin.factor.assign(torch.linalg.cholesky(matrix @ base.covariance @ matrix.mT), twin.spread_variance)
    twin.data_noise = base.data_noise
    other = Flow(Gauge(WholeFlow(flow), matrix), twin).eval()
    one, two = (chart_of(each, rank=rank, context=context, generator=seeded(2)) for each in (flow, other))
    close = {"rtol": 1e-4, "atol": 1e-4} if "zuko" in name else {"rtol": 1e-6, "atol": 1e-6}
    same_up_to_signs(two.coordinates(x, context), one.coordinates(x, context), **close)
    torch.testing.assert_close(two.reconstruct(x, context), one.reconstruct(x, context), **close)
