"""Conditional flows: a row's coordinates depend on no other row, and one chart serves all contexts it was made for."""

import pytest
import torch
from nflows.flows import Flow
from nflows.transforms import Transform

from host_models import MODELS, inputs_for, spread_flow
from nflows_spread import DegenerateGaussian, base_of
from nflows_spread.chart import chart_of, manifold_log_prob, project, reconstruct, sample
from nflows_spread.chart.prior_moments import prior_moments
from support import randomize, refused

pytestmark = pytest.mark.usefixtures("float64")

CONDITIONAL = [name for name, model in MODELS.items() if model.context is not None]
OF_DATA = [project, reconstruct, manifold_log_prob]
FIVE_ROWS = "or one for all, got 5 rows"
NO_CONTEXTS = "a read-out of a conditional flow must know its contexts"


def model_of(name, rows=12):
    torch.manual_seed(0)
    flow, (x, context) = randomize(spread_flow(name), 0.2), inputs_for(name, rows)
    base_of(flow).data_noise = 0.05
    return flow.eval(), x, context


@pytest.mark.parametrize("name", CONDITIONAL)
@pytest.mark.parametrize("given", [False, True], ids=["no chart", "chart"])
def test_what_is_read_off_a_row_depends_on_no_other_row(name, given):
    flow, x, context = model_of(name)
    options = {"rank": 2}
    if given:
        options["chart"] = chart_of(flow, context=context)
    for read_out in OF_DATA:
        together = read_out(flow, x, context=context, **options)
        for index in ([3], [7, 0, 3]):
            alone = read_out(flow, x[index], context=context[index], **options)
            torch.testing.assert_close(alone, together[index], rtol=1e-9, atol=1e-9)
    some = [5, 5, 1]
    drawn = [torch.Generator().manual_seed(4) for _ in range(2)]
    first = sample(flow, 3, context=context[some], generator=drawn[0], **options)
    second = sample(flow, 2, context=context[some][:2], generator=drawn[1], **options)
    torch.testing.assert_close(second, first[:2], rtol=1e-9, atol=1e-9)


def test_only_an_order_that_needs_contexts_warns_where_no_chart_brings_them():
    flow, x, context = model_of(CONDITIONAL[0])
    for read_out in OF_DATA:
        with pytest.warns(UserWarning, match=NO_CONTEXTS) as heard:
            read_out(flow, x, rank=1, context=context)
        assert heard[0].filename == __file__
    with pytest.warns(UserWarning, match=NO_CONTEXTS):
        sample(flow, 12, rank=1, context=context)


@pytest.mark.filterwarnings("error")
def test_with_a_chart_or_by_eigenvalue_nothing_warns():
    flow, x, context = model_of(CONDITIONAL[0])
    chart = chart_of(flow, context=context)
    for read_out in OF_DATA:
        read_out(flow, x, rank=1, context=context, order="eigenvalue")
        read_out(flow, x, rank=1, context=context, chart=chart)
    assert torch.equal(project(flow, x, rank=2, context=context, chart=chart), chart.first(2).coordinates(x, context))


class Stretched(Transform):
    """z = x eᶜ, column by column, whose Jacobian is the context's alone."""

    def forward(self, inputs, context=None):
        return inputs * context.exp(), context.sum(1)

    def inverse(self, inputs, context=None):
        return inputs * (-context).exp(), -context.sum(1)


def stretched():
    flow = Flow(Stretched(), DegenerateGaussian([2])).eval()
    base_of(flow).data_noise = 0.05
    return flow


@pytest.mark.parametrize("rows", [1, 3, 400])
def test_the_response_is_the_mean_over_all_contexts(rows):
    context = torch.randn(rows, 2, generator=torch.Generator().manual_seed(1))
    found = prior_moments(stretched(), context).response
    torch.testing.assert_close(found, (2.0 * context).exp().mean(0).diag(), rtol=1e-10, atol=1e-10)


def test_of_more_contexts_than_there_is_time_for_it_meets_some_from_the_first_to_the_last():
    context = torch.linspace(-1.0, 1.0, 50_000).unsqueeze(1).expand(-1, 2)
    found = prior_moments(stretched(), context).response
    torch.testing.assert_close(found, (2.0 * context).exp().mean(0).diag(), rtol=5e-3, atol=5e-3)


@pytest.mark.parametrize("name", CONDITIONAL)
def test_a_chart_is_of_the_contexts_and_not_of_their_order(name):
    flow, x, context = model_of(name)
    chart = chart_of(flow, rank=2, context=context)
    for same in (context.flip(0), torch.cat([context, context])):
        other = chart_of(flow, rank=2, context=same)
        torch.testing.assert_close(other.noisy_variances, chart.noisy_variances, rtol=1e-8, atol=1e-8)
        found, expected = other.coordinates(x, context), chart.coordinates(x, context)
        torch.testing.assert_close(found * (found * expected).sum(0).sign(), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("order", ["energy", "principal energy"])
def test_the_other_orders_take_contexts_too(order):
    flow, x, context = model_of(CONDITIONAL[0], rows=40)
    chart = chart_of(flow, x, rank=2, order=order, context=context, generator=torch.Generator().manual_seed(0))
    assert chart.reconstruct(x, context).shape == x.shape
    found = project(flow, x, rank=2, context=context, order=order, chart=chart)
    assert torch.equal(found, chart.coordinates(x, context))


def test_bad_input_is_refused_and_changes_nothing():
    flow, x, context = model_of(CONDITIONAL[0])
    chart = chart_of(flow, rank=2, context=context)
    other = model_of(CONDITIONAL[0])[0]
    for read_out in (*OF_DATA, lambda flow, x, **options: sample(flow, len(x), **options)):
        with refused(ValueError, "chart must be of the flow that is given, got one of another Flow", unchanged=flow):
            read_out(other, x, rank=2, context=context, chart=chart)
        with refused(TypeError, "chart must be a Chart, got int; make it by chart_of", unchanged=flow):
            read_out(flow, x, rank=2, context=context, chart=2)
        with refused(ValueError, "order must be that of the chart, 'signal-to-noise', got 'energy'; leave it out"):
            read_out(flow, x, rank=2, context=context, chart=chart, order="energy")
        with refused(ValueError, "rank must be between 1 and 2, got 3", unchanged=flow):
            read_out(flow, x, rank=3, context=context, chart=chart)
        with refused(ValueError, "one row for each of the 12", FIVE_ROWS, "pass context[:1]", unchanged=flow):
            read_out(flow, x, rank=2, context=context[:5], chart=chart)
    with refused(ValueError, "one row for each of the 12 inputs", FIVE_ROWS, "pass context[:1]", unchanged=flow):
        chart_of(flow, x, context=context[:5])
