"""Chart: coordinates, points, samples, densities and reconstruction errors of one flow, whatever its gauge."""

from dataclasses import replace

import pytest
import scipy.stats
import torch
from nflows.distributions import StandardNormal
from nflows.flows import Flow
from nflows.transforms import IdentityTransform, LULinear, Transform

from host_models import inputs_for, spread_flow
from nflows_spread import DegenerateGaussian, base_of
from nflows_spread.chart import LatentMaps, chart_of, reconstruct
from nflows_spread.chart.prior_moments import prior_moments
from nflows_spread.models import coupling_flow
from support import at_its_optimum, randomize, refused
from transform_contract import jacobian_logabsdet

pytestmark = pytest.mark.usefixtures("float64")

NOISE = 0.05


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def plane(rows=3000):
    """A plane in four dimensions, with variances 4 and 1."""
    x = torch.zeros(rows, 4)
    x[:, :2] = torch.randn(rows, 2, generator=seeded()) * torch.tensor([2.0, 1.0])
    return x


def linear_flow(seed=0):
    torch.manual_seed(seed)
    layer = randomize(LULinear(4, identity_init=False))
    with torch.no_grad():
        layer.bias.zero_()  # the prior has no mean
    return Flow(layer, DegenerateGaussian([4])).eval()


def curved_flow():
    torch.manual_seed(3)
    flow = randomize(coupling_flow(4, layers=4), 0.2).eval()
    with torch.no_grad():
        base_of(flow).factor.entries.copy_(torch.tensor([1.5, 1.0, 0.3, 0.1]).diag())
    base_of(flow).data_noise = NOISE
    return flow


def same_up_to_signs(found, expected, **tolerance):
    torch.testing.assert_close(found * (found * expected).sum(0).sign(), expected, **tolerance)


@pytest.mark.parametrize("from_data", [False, True])
def test_the_chart_of_a_linear_flow_is_pca(from_data):
    x = plane()
    flow = at_its_optimum(linear_flow(), x, data_noise=NOISE)
    chart = chart_of(flow, x if from_data else None, rank=2, generator=seeded())
    scores = (x - x.mean(0))[:, :2]
    same_up_to_signs(chart.coordinates(x) - chart.coordinates(x).mean(0), scores, rtol=0.03, atol=0.15)
    torch.testing.assert_close(chart.variances, scores.var(0), rtol=0.03, atol=0.0)
    drawn = chart.sample(4000, generator=seeded(1))
    torch.testing.assert_close(drawn.mT.cov().diagonal(), x.var(0), rtol=0.1, atol=1e-3)


def test_coordinates_are_nested_and_the_first_lose_least():
    x = plane() + torch.tensor([0.0, 0.0, 0.3, 0.1]) * torch.randn(3000, 4, generator=seeded(8))
    chart = chart_of(at_its_optimum(linear_flow(), x, data_noise=NOISE))
    for k in (1, 2, 3):
        torch.testing.assert_close(chart.first(k).coordinates(x), chart.coordinates(x)[:, :k], rtol=1e-12, atol=1e-12)
        assert chart.first(k).rank == k
    errors = chart.reconstruction_error(x)
    assert (errors.diff() < 0).all()
    by_pca = torch.linalg.svdvals(x - x.mean(0)).square().flip(0).cumsum(0).flip(0)[1:] / len(x)
    torch.testing.assert_close(errors[:3], by_pca.sqrt(), rtol=0.03, atol=0.0)
    for order in ([1, 0], [2, 0], [3, 2]):  # any other two coordinates of the four leave more
        maps = LatentMaps(chart.maps.mean, chart.maps.forth[:, order], chart.maps.back[order])
        others = replace(chart, maps=maps, noisy_variances=chart.noisy_variances[order])
        assert float(others.reconstruction_error(x)[-1]) >= float(errors[1]) - 1e-9


def test_reconstruction_errors_are_those_of_the_reconstructions():
    flow, x = curved_flow(), torch.randn(50, 4, generator=seeded())
    chart = chart_of(flow)
    expected = [float((reconstruct(flow, x, rank=k) - x).square().sum(1).mean().sqrt()) for k in (1, 2, 3, 4)]
    torch.testing.assert_close(chart.reconstruction_error(x), torch.tensor(expected), rtol=1e-9, atol=1e-9)
    assert expected[3] < 1e-9


def test_points_at_coordinates_have_these_coordinates():
    flow = curved_flow()
    chart, c = chart_of(flow, rank=2), torch.randn(20, 2, generator=seeded())
    torch.testing.assert_close(chart.coordinates(chart.points(c)), c, rtol=0, atol=1e-9)


def test_the_density_of_a_linear_flow_is_scipys_in_the_subspace():
    x = plane(500)
    chart = chart_of(at_its_optimum(linear_flow(), x, data_noise=NOISE), rank=2)
    basis = torch.linalg.qr((chart.points(torch.eye(2)) - chart.points(torch.zeros(2, 2))).mT).Q
    centre = chart.points(torch.zeros(1, 2))[0]
    tangent = (chart.points(torch.eye(2)) - centre) @ basis
    covariance = tangent.mT @ chart.variances.diag() @ tangent
    flat = (chart.reconstruct(x[:20]) - centre) @ basis
    normal = scipy.stats.multivariate_normal(cov=covariance.detach().numpy())
    expected = torch.from_numpy(normal.logpdf(flat.detach().numpy()))
    torch.testing.assert_close(chart.log_prob(x[:20]).detach(), expected, rtol=1e-8, atol=1e-8)


def test_the_density_is_that_of_the_coordinates_over_the_area_they_span():
    flow, x = curved_flow(), torch.randn(6, 4, generator=seeded())
    chart = chart_of(flow, rank=2)
    for row in x.split(1):
        c = chart.coordinates(row).detach()
        jacobian = torch.autograd.functional.jacobian(lambda c: chart.points(c)[0], c)[:, 0]
        area = 0.5 * torch.linalg.slogdet(jacobian.mT @ jacobian).logabsdet
        expected = replace(chart, noisy_variances=chart.variances).coordinate_log_prob(row) - area
        torch.testing.assert_close(chart.log_prob(row), expected, rtol=1e-8, atol=1e-8)
    full = replace(chart_of(flow), data_noise=0.0)
    density = full.coordinate_log_prob(x) - jacobian_logabsdet(lambda c, _: (full.points(c), None), full.coordinates(x))
    torch.testing.assert_close(full.log_prob(x).detach(), density.detach(), rtol=1e-7, atol=1e-7)


class Bend(Transform):
    """z = (x₁, x₂ − x₁², x₃), whose JJᵀ is a polynomial of degree two."""

    def forward(self, inputs, context=None):
        return self._moved(inputs, -1.0), inputs.new_zeros(len(inputs))

    def inverse(self, inputs, context=None):
        return self._moved(inputs, 1.0), inputs.new_zeros(len(inputs))

    def _moved(self, x, sign):
        return torch.stack([x[:, 0], x[:, 1] + sign * x[:, 0].square(), x[:, 2]], dim=1)


def test_the_response_under_the_prior_is_exact_for_a_bend():
    flow = Flow(Bend(), DegenerateGaussian([3], learn_mean=True)).eval()
    root = torch.tensor([[1.0, 0.0, 0.0], [0.5, 2.0, 0.0], [0.3, -0.2, 0.7]])
    with torch.no_grad():
        base_of(flow).factor.entries.copy_(root)
        base_of(flow).loc.copy_(torch.tensor([0.4, 1.0, -2.0]))
    found = prior_moments(flow)
    expected = torch.eye(3)
    expected[0, 1] = expected[1, 0] = -2.0 * 0.4
    expected[1, 1] = 1.0 + 4.0 * (0.4**2 + 1.0)
    torch.testing.assert_close(found.response, expected, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(found.covariance, root @ root.mT)


class Asked(IdentityTransform):
    """It notes the latents that are decoded."""

    def __init__(self):
        super().__init__()
        self.latents = []

    def inverse(self, inputs, context=None):
        self.latents.append(inputs)
        return super().inverse(inputs, context)


def test_points_of_the_prior_are_as_far_out_as_samples_of_it_and_no_farther_along_any_axis():
    """A flow that is trained has seen no more."""
    flow = Flow(Asked(), DegenerateGaussian([200])).eval()
    with torch.no_grad():
        base_of(flow).factor.entries.copy_(torch.linspace(2.0, 0.1, 200).diag())
    prior_moments(flow)
    whitened = torch.cat(flow._transform.latents) / torch.linspace(2.0, 0.1, 200)
    away = whitened[whitened.norm(dim=1) > 0.0]
    torch.testing.assert_close(away.norm(dim=1), torch.full((400,), 200.0**0.5))
    assert float(away.abs().max()) < 6.0  # standard deviations; along an axis it were 14


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_everything_is_in_the_dtype_of_the_flow(dtype):
    flow = coupling_flow(4, layers=2).eval().to(dtype)
    chart, x = chart_of(flow, rank=2, data_noise=NOISE), torch.randn(5, 4, dtype=dtype)
    found = [chart.coordinates(x), chart.reconstruct(x), chart.sample(3)]
    found += [chart.log_prob(x), chart.coordinate_log_prob(x)]
    assert {value.dtype for value in found} == {dtype}


def test_images_keep_their_shape():
    flow, (x, _) = spread_flow("normflows: Glow"), inputs_for("normflows: Glow", 6)
    chart = chart_of(flow, rank=3, data_noise=NOISE)
    assert chart.reconstruct(x).shape == x.shape
    assert chart.sample(4).shape == (4, *x.shape[1:])


def test_a_fixed_gaussian_has_a_chart_too():
    x = plane()
    flow = Flow(LULinear(4), StandardNormal([4])).eval()
    chart = chart_of(flow, x, rank=2, data_noise=NOISE, generator=seeded())
    same_up_to_signs(chart.coordinates(x) - chart.coordinates(x).mean(0), (x - x.mean(0))[:, :2], rtol=0.03, atol=0.2)


@pytest.mark.parametrize("order", ["eigenvalue", "energy", "principal energy"])
def test_other_orders_are_options(order):
    x = plane(400)
    flow = at_its_optimum(linear_flow(), x, data_noise=NOISE)
    chart = chart_of(flow, x, rank=2, order=order, generator=seeded())
    assert chart.order == order
    assert chart.coordinates(x).shape == (400, 2)
    assert chart.sample(3).shape == (3, 4)


def test_bad_input_is_refused_and_changes_nothing():
    flow, x = curved_flow(), plane(20)
    with refused(ValueError, "rank must be between 1 and 4, got 5", unchanged=flow):
        chart_of(flow, rank=5)
    with refused(ValueError, "order must be one of signal-to-noise, eigenvalue", "got 'size'", unchanged=flow):
        chart_of(flow, order="size")
    with refused(ValueError, "order 'energy' needs data, got none; pass x", unchanged=flow):
        chart_of(flow, order="energy")
    with refused(ValueError, "at least two rows", unchanged=flow):
        chart_of(flow, x[:1])
    chart = chart_of(flow, rank=2)
    with refused(ValueError, "coordinates must have shape (n, 2), got (3, 3); first(k) is the chart of k"):
        chart.points(torch.zeros(3, 3))
    with refused(ValueError, "rank must be between 1 and 2, got 3"):
        chart.first(3)
    flat = replace(chart, noisy_variances=torch.tensor([1.0, NOISE**2]))
    with refused(ValueError, "rank must be at most 1, the number of coordinates that vary more than", "got 2"):
        flat.log_prob(x)


def test_a_chart_that_an_older_version_pickled_has_its_coordinates():
    x = torch.randn(5, 4, generator=seeded())
    chart = chart_of(curved_flow())
    old = object.__new__(type(chart))
    state = {"mean": torch.ones(4), "directions": torch.eye(4) * 2.0, "inverse": torch.eye(4) * 0.5, "dtype": x.dtype}
    old.__setstate__(state)
    assert old.flow is None
    found = replace(old, flow=Flow(IdentityTransform(), DegenerateGaussian([4])))
    torch.testing.assert_close(found.first(2).coordinates(x), 2.0 * (x - 1.0)[:, :2])
    torch.testing.assert_close(found.reconstruct(x), x)


def test_the_chart_of_data_is_about_the_mean_of_the_latents_whatever_the_mean_of_the_prior():
    x = plane() + torch.tensor([5.0, 0.0, -3.0, 0.0])
    flow = Flow(IdentityTransform(), DegenerateGaussian([4], learn_mean=True)).eval()
    with torch.no_grad():
        base_of(flow).loc.copy_(x.mean(0) + 0.5)
    chart = chart_of(flow, x, rank=2, data_noise=NOISE, generator=seeded())
    torch.testing.assert_close(chart.maps.mean, x.mean(0), rtol=0.0, atol=1e-3)
    torch.testing.assert_close(chart.reconstruct(x), x, rtol=0.0, atol=0.01)


def test_a_coordinate_along_which_no_row_varies_is_in_data_units_too():
    """Two columns are constant: what the chart makes of a point off the plane is its distance to it."""
    x = plane(200)
    chart = chart_of(Flow(IdentityTransform(), DegenerateGaussian([4])).eval(), x, data_noise=0.0, generator=seeded())
    off = torch.zeros(4, 4)
    off[:, 2:] = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8], [-2.0, 0.0]])
    found = chart.maps.coordinates(off) - chart.maps.coordinates(torch.zeros(4, 4))
    torch.testing.assert_close(found.norm(dim=1), torch.tensor([1.0, 1.0, 1.0, 2.0]), rtol=0.1, atol=0.0)


def test_points_that_do_not_move_with_a_coordinate_have_no_density():
    chart = chart_of(curved_flow(), rank=2)
    still = replace(chart, maps=replace(chart.maps, back=chart.maps.back * torch.tensor([[1.0], [0.0]])))
    with refused(ValueError, "points of the chart must move with each of its 2 coordinates"):
        still.log_prob(torch.randn(3, 4, generator=seeded()))


@pytest.mark.parametrize("read_out", ["coordinates", "reconstruct", "coordinate_log_prob"])
def test_read_outs_of_a_chart_are_mapped_over_rows_by_torch_func(read_out):
    """Where no numbers can be read, nothing is asked of the inverse."""
    chart, x = chart_of(curved_flow(), rank=2), torch.randn(5, 4, generator=seeded())
    found = torch.func.vmap(lambda row: getattr(chart, read_out)(row.unsqueeze(0)).squeeze(0))(x)
    torch.testing.assert_close(found, getattr(chart, read_out)(x))
