"""Linear gauges of the latent space: what a chart says is the same in each of them, in every host."""

import math
from dataclasses import replace

import pytest
import torch
from nflows.flows import Flow
from nflows.transforms import IdentityTransform

from gauges import Gauge, WholeFlow, same_up_to_signs
from host_models import MODELS, inputs_for, spread_flow
from nflows_spread import DegenerateGaussian, base_of, encode
from nflows_spread.chart import Chart, LatentMaps, chart_of, manifold_log_prob, project, reconstruct, sample
from support import at_its_optimum

pytestmark = pytest.mark.usefixtures("float64")

NOISE = 0.05


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def regauged(flow, seed=5):
    """The same model with latents that are turned, sheared and stretched, and the prior with them."""
    base = base_of(flow)
    matrix = torch.eye(base.features) + 0.5 * torch.randn(base.features, base.features, generator=seeded(seed))
    twin = DegenerateGaussian(base.shape, learn_mean=True)
    with torch.no_grad():
        twin.loc.copy_((matrix @ base.mean().flatten()).view(base.shape))
        covariance = matrix @ base.covariance @ matrix.mT
        twin.factor.assign(torch.linalg.cholesky(covariance), twin.spread_variance)
    twin.data_noise = base.data_noise
    return Flow(Gauge(WholeFlow(flow), matrix), twin).eval()


CLOSE = {"rtol": 1e-6, "atol": 1e-6}
every_model = pytest.mark.parametrize(
    "name",  # UNAF, which integrates at each evaluation, takes as long as ten others; NAF is inverted as it is
    [pytest.param(name, marks=[pytest.mark.slow] * (name == "zuko: UNAF")) for name in MODELS],
)


@every_model
def test_no_linear_gauge_changes_what_is_read_off_any_hosts_model(name):
    torch.manual_seed(0)
    flow, (x, context) = spread_flow(name), inputs_for(name, 30)
    with torch.no_grad():
        scales = torch.linspace(1.2, 0.4, base_of(flow).features)
        base_of(flow).factor.assign(scales.diag(), base_of(flow).spread_variance)
    base_of(flow).data_noise = 0.01
    other = regauged(flow)
    for given in (None, x):
        one, two = (chart_of(each, given, rank=2, context=context, generator=seeded(2)) for each in (flow, other))
        torch.testing.assert_close(one.noisy_variances, two.noisy_variances, rtol=1e-6, atol=1e-9)
        same_up_to_signs(two.coordinates(x, context), one.coordinates(x, context), **CLOSE)
        torch.testing.assert_close(two.reconstruct(x, context), one.reconstruct(x, context), **CLOSE)
        for what in (Chart.log_prob, Chart.coordinate_log_prob, Chart.reconstruction_error):
            torch.testing.assert_close(what(two, x, context), what(one, x, context), **CLOSE)
        signs = (one.coordinates(x, context) * two.coordinates(x, context)).sum(0).sign()
        c = torch.randn(len(x), 2, generator=seeded(4)) * one.variances.sqrt()
        torch.testing.assert_close(two.points(c * signs, context), one.points(c, context), **CLOSE)
        maps = LatentMaps(two.maps.mean, two.maps.forth * signs, two.maps.back * signs.unsqueeze(1))
        drawn = (each.sample(len(x), context, generator=seeded(6)) for each in (replace(two, maps=maps), one))
        torch.testing.assert_close(*drawn, **CLOSE)  # the same samples, where coordinates have the same signs


@every_model
def test_no_linear_gauge_changes_a_read_out_of_any_hosts_model(name):
    torch.manual_seed(0)
    flow, (x, context) = spread_flow(name), inputs_for(name, 10)
    base_of(flow).data_noise = 0.01
    with torch.no_grad():
        scales = torch.linspace(1.2, 0.4, base_of(flow).features)
        base_of(flow).factor.assign(scales.diag(), base_of(flow).spread_variance)
    other = regauged(flow)
    options = {"rank": 2, "context": context}
    same_up_to_signs(project(other, x, **options), project(flow, x, **options), **CLOSE)
    for read_out in (reconstruct, manifold_log_prob):
        torch.testing.assert_close(read_out(other, x, **options), read_out(flow, x, **options), **CLOSE)


def test_two_gauges_of_a_line_are_read_alike():
    """Two volume-preserving maps with the prior at its optimum, of equal loss, whose Λ order the axes differently."""
    x = torch.randn(2000, 1, generator=seeded()) @ torch.tensor([[1.0, 1.0]]) / math.sqrt(2.0)
    turned = torch.tensor([[1.0, 1.0], [-1.0, 1.0]]) / math.sqrt(2.0)
    found = []
    for stretch in (1.0, 0.01):
        matrix = torch.tensor([stretch, 1.0 / stretch]).diag() @ turned
        flow = at_its_optimum(
            Flow(Gauge(IdentityTransform(), matrix), DegenerateGaussian([2])).eval(), x, data_noise=NOISE
        )
        assert (encode(flow, x)[:, 0].var() > encode(flow, x)[:, 1].var()) or stretch < 1.0
        drawn = sample(flow, 500, rank=1, generator=seeded(7))
        chart = chart_of(flow, rank=1)
        densities = [*chart.log_prob(x), *chart.coordinate_log_prob(x), *chart.reconstruction_error(x)]
        found.append((project(flow, x, rank=1), reconstruct(flow, x, rank=1), torch.stack(densities), drawn))
        assert float((reconstruct(flow, x, rank=1) - x).abs().max()) < 5e-3
        assert float((drawn[:, 0] - drawn[:, 1]).std()) < 5e-3
        assert float(drawn.sum(1).std()) == pytest.approx(math.sqrt(2.0), rel=0.1)
    (c, back, densities, drawn), (other_c, other_back, other_densities, other_drawn) = found
    same_up_to_signs(other_c, c, **CLOSE)
    torch.testing.assert_close(other_back, back, **CLOSE)
    torch.testing.assert_close(other_densities, densities, **CLOSE)
    mirrored = 1.0 if float((c * other_c).sum()) > 0.0 else -1.0  # about the mean, which is 0
    torch.testing.assert_close(other_drawn, mirrored * drawn, **CLOSE)
