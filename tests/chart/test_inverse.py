"""Flows without an inverse on the data, and data of which no chart can be made: refused by every entry, unchanged."""

import copy
import pickle
import warnings
from dataclasses import replace

import pytest
import torch
from nflows.flows import Flow
from nflows.nn.nets import ResidualNet
from nflows.transforms import (
    CompositeTransform,
    InverseNotAvailable,
    PiecewiseRationalQuadraticCouplingTransform,
    PointwiseAffineTransform,
    Sigmoid,
    Tanh,
    Transform,
)

from host_models import MODELS, inputs_for, normflows, spread_flow
from nflows_spread import ChartLoss, DegenerateGaussian, SpreadKLLoss, base_of, encode, intrinsic_dimension
from nflows_spread.chart import LatentMaps, chart_of, manifold_log_prob, project, reconstruct, sample
from nflows_spread.factors import KINDS
from nflows_spread.models import coupling_flow
from support import refused

NOISE = 0.05


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


X = torch.randn(50, 4, generator=seeded())


def of_layers(*layers):
    return with_noise(Flow(CompositeTransform(list(layers)), DegenerateGaussian([4])))


def with_noise(flow):
    base_of(flow).data_noise = NOISE
    return flow.eval()


def spline_without_tails():
    def net(inputs, outputs):
        return ResidualNet(inputs, outputs, hidden_features=8, num_blocks=1)

    return of_layers(PiecewiseRationalQuadraticCouplingTransform([1, 0, 1, 0], net, tails=None))


def planar():
    nf = normflows()
    return with_noise(nf.NormalizingFlow(DegenerateGaussian(4), [nf.flows.Planar((4,))]))


def radial():
    nf = normflows()
    return with_noise(nf.NormalizingFlow(DegenerateGaussian(4), [nf.flows.Radial((4,))]))


BAD_FLOWS = {
    "saturated": lambda: of_layers(PointwiseAffineTransform(0.0, 30.0), Sigmoid()),
    "saturated to the bound": lambda: of_layers(PointwiseAffineTransform(0.0, 50.0), Tanh()),
    "overflowing": lambda: of_layers(PointwiseAffineTransform(0.0, 3e38)),
    "without tails": spline_without_tails,
    "planar, of normflows": planar,
    "radial, of normflows": radial,
}


def with_chart(flow):
    """A chart that its flow need not be asked for."""
    return replace(chart_of(coupling_flow(4, layers=1), rank=2, data_noise=NOISE), flow=flow)


OF_DATA = {
    "chart_of": lambda flow, x: chart_of(flow, x, rank=2),
    "chart_of, energy": lambda flow, x: chart_of(flow, x, rank=2, order="energy"),
    "Chart.coordinates": lambda flow, x: with_chart(flow).coordinates(x),
    "Chart.reconstruct": lambda flow, x: with_chart(flow).reconstruct(x),
    "Chart.log_prob": lambda flow, x: with_chart(flow).log_prob(x),
    "Chart.coordinate_log_prob": lambda flow, x: with_chart(flow).coordinate_log_prob(x),
    "Chart.reconstruction_error": lambda flow, x: with_chart(flow).reconstruction_error(x),
    "LatentMaps.reconstruct": lambda flow, x: with_chart(flow).maps.reconstruct(flow, x),
    "ChartLoss": lambda flow, x: ChartLoss(flow, with_chart(flow), data_noise=NOISE)(x),
    "project": lambda flow, x: project(flow, x, rank=2, order="eigenvalue"),
    "reconstruct": lambda flow, x: reconstruct(flow, x, rank=2, order="eigenvalue"),
    "manifold_log_prob": lambda flow, x: manifold_log_prob(flow, x, rank=2, order="eigenvalue"),
    "project, signal-to-noise": lambda flow, x: project(flow, x, rank=2),
}


@pytest.mark.parametrize("use", OF_DATA)
@pytest.mark.parametrize("bad", BAD_FLOWS)
def test_a_flow_without_inverse_on_the_data_is_refused_and_left_as_it_is(use, bad):
    flow = BAD_FLOWS[bad]()
    with (
        refused(ValueError, "must be", "got", "; ", unchanged=flow)
        if "of normflows" not in bad
        else refused(
            ValueError,
            "the flow must have an inverse",
            "This flow has no algebraic inverse",
            "take layers that have one",
        )
    ):
        OF_DATA[use](flow, 10.0 * X)


def test_the_message_says_how_far_off_rows_are():
    with refused(ValueError, "must be x to within 0.", "rows that are off by 1.", "or take float64"):
        with_chart(BAD_FLOWS["saturated"]()).coordinates(X)


class OneWay(Transform):
    """Doubles, and cannot halve."""

    def forward(self, inputs, context=None):
        return 2.0 * inputs, inputs.new_full((len(inputs),), 4.0 * torch.tensor(2.0).log())

    def inverse(self, inputs, context=None):
        raise InverseNotAvailable


def test_a_flow_without_a_decoder_has_coordinates_and_no_points():
    flow = of_layers(OneWay())
    chart = chart_of(flow, X, rank=2, generator=seeded())
    assert chart.coordinates(X).shape == (50, 2)
    for use in (lambda: chart.points(torch.zeros(3, 2)), lambda: chart.sample(3), lambda: chart.reconstruct(X)):
        with refused(ValueError, "the flow must have an inverse, got a layer that says 'InverseNotAvailable'"):
            use()
    for use in (lambda: chart_of(flow), lambda: sample(flow, 3, rank=2)):
        with refused(ValueError, "the flow must have an inverse, got a layer that says"):
            use()


class OnlyPoints(OneWay):
    """Latents are not to be had, as of the radial layers of normflows."""

    def forward(self, inputs, context=None):
        raise NotImplementedError("no algebraic inverse")

    def inverse(self, inputs, context=None):
        return super().forward(inputs, context)


def test_a_flow_without_an_encoder_is_refused_by_the_loss_and_all_that_is_read_off():
    flow = of_layers(OnlyPoints())
    flow._distribution.data_noise = 0.1
    uses = [
        lambda: chart_of(flow),
        lambda: sample(flow, 3, rank=2),
        lambda: project(flow, X, rank=2),
        lambda: intrinsic_dimension(flow, X),
        lambda: SpreadKLLoss(flow)(X),
        lambda: encode(flow, X),
    ]
    for use in uses:
        with refused(ValueError, "the flow must have an inverse, got a layer that says 'no algebraic inverse'"):
            use()


def test_some_points_that_run_away_do_not_hold_up_the_others():
    chart = with_chart(of_layers(PointwiseAffineTransform(0.0, 1e-10)))
    c = torch.tensor([[0.1, 0.2], [1e30, 0.0]])
    with pytest.warns(
        UserWarning, match="got 1 of 2 that are decoded to NaN or infinity, the first at index 1"
    ) as heard:
        points = chart.points(c)
    assert heard[0].filename == __file__
    assert points[0].isfinite().all()
    with refused(ValueError, "points of the latent space must be finite, got NaN or infinity in 2 of 2 rows"):
        chart.points(c[[1, 1]])


@pytest.mark.parametrize("name", MODELS)
def test_no_rounding_in_float32_is_taken_for_a_missing_inverse(name):
    flow, (x, context) = with_noise(spread_flow(name, torch.float32)), inputs_for(name, 40, torch.float32)
    chart = chart_of(flow, rank=2, order="eigenvalue")
    for rows in (slice(None), slice(0, 1), [3] * 5):
        chart.reconstruct(x[rows], None if context is None else context[rows])
    close = x[:1] + 1e-6 * torch.randn(9, *x.shape[1:], generator=seeded())
    chart.coordinates(close, None if context is None else context[:1].expand(9, -1))
    chart.coordinates(torch.zeros_like(x), context)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_nor_is_that_of_less_precision_or_of_autocast(dtype):
    torch.manual_seed(0)
    flow = with_noise(coupling_flow(4, layers=4))
    for rows in (X, X[:1]):
        with torch.autocast("cpu", torch.bfloat16):
            chart_of(flow, rank=2).coordinates(rows)
        chart_of(copy.deepcopy(flow).to(dtype), rank=2, order="eigenvalue").coordinates(rows.to(dtype))


def test_a_rank_above_d_is_refused_before_the_flow_is_asked_for_anything():
    flow = with_noise(coupling_flow(4, layers=2))
    flow._transform.forward = flow._transform.inverse = None  # nobody may call them
    for order in ("signal-to-noise", "eigenvalue", "energy"):
        for x in (None, X):
            with refused(ValueError, "rank must be between 1 and 4, got 5", unchanged=flow):
                chart_of(flow, x, rank=5, order=order)
    with refused(ValueError, "rank must be between 1 and 4, got 5", unchanged=flow):
        sample(flow, 3, rank=5)


MEASURED = ["signal-to-noise", "energy", "principal energy"]


@pytest.mark.parametrize("order", MEASURED)
def test_too_few_or_constant_rows_measure_no_chart(order):
    flow = with_noise(coupling_flow(4, layers=2))
    with refused(ValueError, "as many rows as the chart has coordinates, 3, got 2; pass more rows", unchanged=flow):
        chart_of(flow, X[:2], rank=3, order=order)
    assert chart_of(flow, X[:2], order=order).rank == 4, "where nobody says how many there are all of them"
    for constant in (torch.full((9, 4), 0.1), X[:1].expand(9, -1), torch.zeros(9, 4)):
        with refused(ValueError, "x must vary", "got 9 rows that are the same to within", unchanged=flow):
            chart_of(flow, constant, rank=1, order=order)


def test_a_constant_column_alone_does_no_harm_and_constant_rows_have_coordinates():
    flow, x = with_noise(coupling_flow(4, layers=2)), X.clone()
    x[:, 2] = 3.0
    for noise in (0.0, NOISE):
        chart = chart_of(flow, x, data_noise=noise, generator=seeded())
        torch.testing.assert_close(chart.reconstruct(x), x, rtol=1e-4, atol=1e-4)
    assert chart_of(flow, rank=2).coordinates(X[:1].expand(9, -1)).std(0).max() < 1e-5


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda both: pickle.loads(pickle.dumps(both))])
def test_a_chart_is_of_its_own_flow_and_no_copy_and_both_copied_together_stay_together(clone):
    flow = with_noise(coupling_flow(4, layers=2))
    chart = chart_of(flow, rank=2)
    twin = clone(flow)
    for use in (lambda: ChartLoss(twin, chart), lambda: project(twin, X, rank=2, chart=chart)):
        with refused(ValueError, "got one of another Flow", "by dataclasses.replace(chart, flow=flow)", unchanged=twin):
            use()
    ChartLoss(twin, replace(chart, flow=twin))
    both, theirs = clone((flow, chart))
    ChartLoss(both, theirs)


@pytest.mark.parametrize("kind", KINDS)
def test_a_mean_or_a_layer_that_is_not_finite_is_refused_in_every_order(kind):
    factor = KINDS[kind].of_rank(3) if "LowRank" in kind else KINDS[kind]
    for broken in ("loc", "layer"):
        flow = with_noise(coupling_flow(4, layers=2, base=DegenerateGaussian([4], factor=factor, learn_mean=True)))
        with torch.no_grad():
            (base_of(flow).loc if broken == "loc" else next(flow._transform.parameters())).fill_(torch.nan)
        remedy = "train the flow again, with"
        with refused(ValueError, "must be finite, got NaN", remedy, unchanged=flow):
            sample(flow, 3, rank=2)
        with refused(ValueError, "must be finite, got NaN", remedy, unchanged=flow):
            chart_of(flow, X, order="energy")
        with refused(ValueError, "must be finite, got NaN", unchanged=flow), warnings.catch_warnings():
            warnings.simplefilter("error")
            sample(flow, 3, rank=2, order="eigenvalue")


def test_maps_of_another_width_are_refused():
    chart = chart_of(with_noise(coupling_flow(4, layers=2)), rank=2)
    maps = LatentMaps(torch.zeros(3), torch.zeros(3, 2), torch.zeros(2, 3))
    with refused(ValueError, "latents must have the 3 features of the maps, got shape (50, 4)"):
        replace(chart, maps=maps).coordinates(X)
