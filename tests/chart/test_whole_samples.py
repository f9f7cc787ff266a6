"""Whole samples: of the prior, decoded, and without the noise of training by Tweedie's formula."""

import pytest
import torch
from nflows.distributions import StandardNormal
from nflows.flows import Flow
from nflows.transforms import IdentityTransform

from host_models import MODELS, inputs_for, spread_flow
from nflows_spread import DegenerateGaussian, DegenerateGaussianMixture, base_of, chart_of, decode, sample, swap_base
from nflows_spread.dimension import denoise, posterior_mean
from nflows_spread.models import coupling_flow
from support import refused

pytestmark = pytest.mark.usefixtures("float64")


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_of_a_gaussian_they_are_the_posterior_mean_in_closed_form():
    """x̃ ~ N(m, S), so that E[x | x̃] = x̃ − σ² S⁻¹ (x̃ − m): noise across a plane goes, along it a little of all."""
    base = DegenerateGaussian([3], learn_mean=True, spread_variance=1e-12)
    variances = torch.tensor([4.0, 1.0, 0.0]) + 0.1**2
    with torch.no_grad():
        base.loc.copy_(torch.tensor([1.0, 2.0, 3.0]))
        base.factor.assign(variances.sqrt().diag(), base.spread_variance)
    base.data_noise = 0.1
    flow = Flow(IdentityTransform(), base)
    drawn = sample(flow, 500, generator=seeded())
    noisy = base.sample(500, generator=seeded()).detach()
    torch.testing.assert_close(drawn, noisy - 0.01 * (noisy - base.loc.detach()) / variances, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(drawn[:, 2], torch.full((500,), 3.0), rtol=0.0, atol=1e-6)


def test_of_two_lines_at_an_angle_they_are_on_both_and_not_between():
    """Samples along one common direction are on the bridge that it makes of them."""
    base = DegenerateGaussianMixture([2], 2, spread_variance=1e-12)
    roots = [torch.tensor([[1.0, 0.0], [0.0, 0.05]]), torch.tensor([[0.05, 0.0], [0.0, 1.0]])]
    base.assign(torch.tensor([0.5, 0.5]), torch.tensor([[5.0, 0.0], [0.0, 5.0]]), roots)
    base.data_noise = 0.05
    flow = Flow(IdentityTransform(), base)

    def off(x):
        return torch.minimum(x[:, 1].abs() + (x[:, 0] < 0.0), x[:, 0].abs() + (x[:, 1] < 0.0))

    assert float(off(sample(flow, 1000, generator=seeded())).max()) < 1e-3
    assert float((off(sample(flow, 1000, rank=1, generator=seeded())) > 0.2).double().mean()) > 0.3


@pytest.mark.parametrize("name", MODELS)
def test_every_hosts_model_has_them(name):
    torch.manual_seed(0)
    flow, (x, context) = spread_flow(name), inputs_for(name, 6)
    base_of(flow).data_noise = 0.01
    drawn = sample(flow, 6, context=context, generator=seeded(1))
    noisy = decode(flow, base_of(flow).sample(6, generator=seeded(1)), context)
    assert drawn.shape == x.shape
    torch.testing.assert_close(drawn, posterior_mean(flow, noisy.detach(), noise=0.01, context=context))


def test_a_standard_gaussian_has_them_too():
    flow = coupling_flow(3, layers=2, base=StandardNormal([3]))
    with pytest.warns(UserWarning, match="data_noise"):
        drawn = sample(flow, 5000, generator=seeded())
    assert drawn.shape == (5000, 3)
    torch.testing.assert_close(drawn.T.cov(), flow.sample(5000).detach().T.cov(), rtol=0.1, atol=0.1)


def test_without_a_rank_a_chart_gives_all_of_its_coordinates():
    flow = coupling_flow(3, layers=2)
    chart = chart_of(flow, rank=2, data_noise=0.1)
    found = sample(flow, 7, chart=chart, generator=seeded())
    torch.testing.assert_close(found, chart.sample(7, generator=seeded()))


def test_a_step_that_takes_noise_off_has_a_length_of_noise():
    """A density that falls off by more than the noise says: the step is cut to 3 σ √D, and keeps its direction."""
    flow = swap_base(Flow(IdentityTransform(), StandardNormal([2])), DegenerateGaussian([2], spread_std=1e-3))
    with torch.no_grad():
        base_of(flow).factor.assign(1e-3 * torch.eye(2), base_of(flow).spread_variance)
    x = torch.tensor([[3.0, 4.0], [0.0, 1e-6]])
    found = posterior_mean(flow, x, noise=0.1)
    torch.testing.assert_close(found[0] - x[0], -0.3 * 2.0**0.5 * x[0] / 5.0)
    torch.testing.assert_close(found[1], denoise(flow, x[1:], variance=0.01)[0])


def test_an_order_needs_a_rank():
    with refused(ValueError, "order 'eigenvalue' needs a rank, got none"):
        sample(coupling_flow(3, layers=1), 5, order="eigenvalue")
    with refused(ValueError, "num_samples must be"):
        sample(coupling_flow(3, layers=1), 0)
    with refused(TypeError, "chart must be a Chart, got int"):
        sample(coupling_flow(3, layers=1), 2, chart=3)
