"""Which samples are taken: near the data, as wide as it is, and of the chart where that is so."""

from dataclasses import replace

import pytest
import torch
from nflows.flows import Flow
from nflows.transforms import IdentityTransform
from nflows.transforms.base import Transform

from linear_charts import identity_flow, linear_chart, normal
from nflows_spread import DegenerateGaussian
from nflows_spread.chart.pieces import Pieces
from nflows_spread.estimator.sampler_choice import sampler_of
from nflows_spread.estimator.sampling import ChartSampler, FlowSampler

GAP = 3.0


class Gap(Transform):
    """z = x − 3 sign x, of volume 1."""

    def forward(self, x, context=None):
        return x - GAP * x.sign(), x.new_zeros(len(x))

    def inverse(self, z, context=None):
        return z + GAP * z.sign(), z.new_zeros(len(z))


class Still:
    """Draws the same points always."""

    source = "memory"

    def __init__(self, points):
        self.points = points

    def sample(self, count, generator):
        return self.points[torch.arange(count) % len(self.points)]


def chosen(chart, flow_chart, x, held_out):
    """The sampler of the chart or of the flow, by rows beyond those that are held out."""
    generator = torch.Generator().manual_seed(1)
    on_chart = ChartSampler.of(chart, x[held_out:], x[:held_out], noise=1e-4, generator=generator)
    others = [FlowSampler(flow_chart, 1e-4, on_chart.columns)]
    return sampler_of(on_chart, lambda: others, x[held_out:], x[:held_out], covers=True, generator=generator)


def test_where_the_samples_of_the_chart_are_far_from_the_data_they_are_of_the_flow():
    """Four Gaussians apart, flattened to the first column: the chart fills what is between, the flow knows the gap."""
    z = normal(400, 0.5, 0.5)
    x = z + GAP * z.sign()
    generator = torch.Generator().manual_seed(1)
    base = DegenerateGaussian([2], spread_variance=1e-6)
    base.factor.assign(0.5 * torch.eye(2), base.spread_variance)
    whole = replace(linear_chart(Flow(Gap(), base), 2, 2), noisy_variances=torch.full((2,), 0.25).double())
    flat = linear_chart(identity_flow(2), 2, 1, Pieces.fitted(x[:, :1], floor=0.003, generator=generator))
    assert chosen(flat, whole, x, 50).source == "flow"
    full = linear_chart(identity_flow(2), 2, 2, Pieces.fitted(x, floor=0.003, generator=generator))
    assert chosen(full, whole, x, 50).source == "chart"


def test_a_flow_whose_samples_have_collapsed_is_not_taken_where_rows_are_repeated():
    """Where held-out rows are rows of the training too, nothing drawn is as near; what has collapsed is nearest."""
    x = torch.cat([normal(40, 1.0, 1.0).round()] * 10)
    pieces = Pieces.fitted(x, floor=0.003, generator=torch.Generator().manual_seed(0))
    chart = linear_chart(identity_flow(2), 2, 2, pieces)
    base = DegenerateGaussian([2], spread_variance=1e-6)
    base.factor.assign(1e-3 * torch.eye(2), base.spread_variance)
    collapsed = replace(
        linear_chart(Flow(IdentityTransform(), base), 2, 2), noisy_variances=torch.full((2,), 1e-6).double()
    )
    assert chosen(chart, collapsed, x, 40).source == "chart"


@pytest.mark.parametrize("unit", [1e-4, 1.0, 1e4])
def test_of_several_others_that_are_as_wide_the_nearest_is_taken_in_any_unit(unit):
    x = unit * normal(600, 1.0, 1.0)
    far, off, near = (Still(x[100:] + unit * shift) for shift in (5.0, 0.3, 0.01))
    generator = torch.Generator().manual_seed(0)
    assert sampler_of(far, lambda: [off, near], x[100:], x[:100], covers=True, generator=generator) is near
    assert sampler_of(far, lambda: [near, off], x[100:], x[:100], covers=True, generator=generator) is near


def test_others_are_not_made_where_the_chart_is_near():
    x = normal(600, 1.0, 1.0)
    with pytest.raises(ZeroDivisionError):
        sampler_of(Still(x + 9.0), lambda: [1 / 0], x[100:], x[:100], covers=True, generator=torch.Generator())
    on_chart = Still(normal(600, 1.0, 1.0, seed=1))
    assert sampler_of(on_chart, lambda: [1 / 0], x[100:], x[:100], covers=True, generator=torch.Generator()) is on_chart


def test_a_chart_that_covers_not_all_is_compared_however_near_it_is():
    x = normal(600, 1.0, 1.0)
    near, nearer = Still(normal(600, 1.0, 1.0, seed=1)), Still(x[100:] + 0.001)
    generator = torch.Generator().manual_seed(0)
    for covers, taken in ((True, near), (False, nearer)):
        assert sampler_of(near, lambda: [nearer], x[100:], x[:100], covers=covers, generator=generator) is taken


def test_bridges_between_pieces_are_far_though_most_samples_are_near():
    x = torch.cat([normal(300, 0.1, 0.1) - 3.0, normal(300, 0.1, 0.1, seed=1) + 3.0])[
        torch.randperm(600, generator=torch.Generator().manual_seed(4))
    ]
    fresh = torch.cat([normal(300, 0.1, 0.1, seed=2) - 3.0, normal(300, 0.1, 0.1, seed=3) + 3.0])
    bridged = fresh.clone()
    bridged[::10] *= 0.5
    bridged, fresh = Still(bridged), Still(fresh)
    generator = torch.Generator().manual_seed(0)
    assert sampler_of(bridged, lambda: [fresh], x[100:], x[:100], covers=True, generator=generator) is fresh


def test_samples_that_are_near_and_too_narrow_are_not_taken_beside_others_that_are_as_wide():
    x = normal(600, 1.0, 1.0)
    narrow, wide = Still(normal(600, 1.0, 0.6, seed=1)), Still(normal(600, 1.0, 1.0, seed=2))
    generator = torch.Generator().manual_seed(0)
    assert sampler_of(narrow, lambda: [wide], x[100:], x[:100], covers=True, generator=generator) is wide
    assert sampler_of(wide, lambda: [narrow], x[100:], x[:100], covers=False, generator=generator) is wide


def test_a_column_of_a_few_large_values_is_as_wide_as_its_draws_can_tell():
    """The same law drawn again: off by up to a third in its deviation, and no reason to ask others."""
    for seed in range(5):
        x = normal(4000, 1.0, 1.0, seed=seed)
        x[:, 1] = x[:, 1] * (1.0 + 40.0 * (normal(4000, 1.0, seed=seed + 50)[:, 0] > 3.0))
        again = Still(x[torch.randint(len(x), (5000,), generator=torch.Generator().manual_seed(seed))])
        assert sampler_of(again, lambda: [1 / 0], x[400:], x[:400], covers=True, generator=torch.Generator()) is again
