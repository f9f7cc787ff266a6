"""The prior in pieces as the base of flows of every host: loss, training, read-outs, saving, first values from data."""

import copy

import pytest
import torch
from nflows.flows import Flow
from nflows.transforms import IdentityTransform
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from host_models import MODELS, inputs_for, spread_flow
from mixtures import covariances_of, every_kind, means_of, mixture_of, tied_or_not
from nflows_spread import (
    DegenerateGaussianMixture,
    SpreadKLLoss,
    base_of,
    chart_of,
    encode,
    initialize_prior,
    manifold_log_prob,
    project,
    reconstruct,
    sample,
    spectrum,
    swap_base,
)
from nflows_spread.chart import ChartLoss
from nflows_spread.factors import LowRankFactor, SpreadCholeskyFactor
from nflows_spread.hosts import log_prob
from nflows_spread.hosts.bases import base_from, describe_base
from nflows_spread.models import coupling_flow
from nflows_spread.training import fit, load_model, save_model
from nflows_spread.training.optimization import parameter_groups
from support import assert_same_state, refused

every_model = pytest.mark.parametrize("name", MODELS)


def flow_in_pieces(name, dtype=torch.float64, **options):
    base = DegenerateGaussianMixture([MODELS[name].features], 3, **options)
    with torch.no_grad():
        base.locs.normal_(0.0, 0.3)
    return swap_base(spread_flow(name, dtype), base)


@every_model
def test_the_loss_is_the_mean_negative_log_density_and_trains_every_parameter_of_the_prior(name):
    flow, (x, context) = flow_in_pieces(name), inputs_for(name, 6)
    base = base_of(flow)
    assert base.logits.dtype == torch.float64
    objective = SpreadKLLoss(flow, data_noise=0.0)
    base.spread = lambda z, generator: z  # so that both see the same latents
    loss = objective.eval()(x, context)
    expected = -log_prob(flow, x, context).mean()
    torch.testing.assert_close(loss, expected)
    loss.backward()
    assert all(parameter.grad.isfinite().all() and parameter.grad.any() for parameter in base.parameters())


@every_model
def test_read_outs_see_the_mean_and_the_covariance_of_the_whole(name):
    flow, (x, context) = flow_in_pieces(name), inputs_for(name, 12)
    base = base_of(flow)
    base.data_noise = 0.1
    found = spectrum(flow, x, context=context)
    torch.testing.assert_close(found.eigenvalues, base.eigenvalues)
    assert found.spread_variance == float(base.spread_variance)
    assert project(flow, x, rank=2, context=context).shape == (12, 2)
    assert reconstruct(flow, x, rank=2, context=context).shape == x.shape
    maps = chart_of(flow, rank=2, order="eigenvalue").maps
    torch.testing.assert_close(maps.mean, base.mean().detach().flatten())
    torch.testing.assert_close(maps.forth, base.eigenvectors[:, :2])


def test_a_chart_is_that_of_one_gaussian_of_the_same_moments():
    flow = flow_in_pieces("nflows_spread: coupling_flow")
    base = base_of(flow)
    base.data_noise = 0.1
    single = copy.deepcopy(base.piece(0))
    single.loc.copy_(base.mean())
    single.factor.assign(torch.linalg.cholesky(base.covariance.detach()), base.spread_variance)
    one, other = chart_of(flow), chart_of(swap_base(flow, single))
    torch.testing.assert_close(one.noisy_variances, other.noisy_variances)
    torch.testing.assert_close(one.maps.forth, other.maps.forth)


def test_samples_and_densities_of_a_chart_are_those_of_the_pieces():
    """Of a flow that does nothing and all D coordinates: the prior itself, and without the noise of each piece."""
    generator = torch.Generator().manual_seed(0)
    base = DegenerateGaussianMixture([3], 2, spread_variance=1e-12).double()
    means = 3.0 * torch.randn(2, 3, generator=generator, dtype=torch.float64)
    roots = torch.randn(2, 3, 3, generator=generator, dtype=torch.float64) + 2.0 * torch.eye(3)
    base.assign(torch.tensor([0.3, 0.7], dtype=torch.float64), means, roots)
    base.data_noise = 0.2
    flow = Flow(IdentityTransform(), base)
    x = base.sample(20).detach()
    chart = chart_of(flow)
    log_scale = torch.linalg.slogdet(chart.maps.forth).logabsdet
    oracle = MixtureSameFamily(Categorical(base.weights.detach()), MultivariateNormal(means, roots @ roots.mT))
    torch.testing.assert_close(chart.coordinate_log_prob(x), oracle.log_prob(x) - log_scale)
    clean = MixtureSameFamily(
        Categorical(base.weights.detach()), MultivariateNormal(means, roots @ roots.mT - 0.04 * torch.eye(3))
    )
    torch.testing.assert_close(chart.log_prob(x), clean.log_prob(x))
    samples = sample(flow, 100_000, rank=3, generator=generator)
    torch.testing.assert_close(samples.mean(0), clean.mean, atol=0.05, rtol=0)
    torch.testing.assert_close(samples.var(0), clean.variance, atol=0, rtol=0.03)
    torch.testing.assert_close(manifold_log_prob(flow, x, rank=3), chart.coordinate_log_prob(x))


@pytest.mark.parametrize("order", ["signal-to-noise", "eigenvalue"])
def test_flat_pieces_have_samples_in_their_own_plane(order):
    base = DegenerateGaussianMixture([3], 2, spread_variance=1e-12).double()
    plane = torch.diag(torch.tensor([1.0, 0.5, 0.0], dtype=torch.float64))
    base.assign(
        torch.tensor([0.5, 0.5]), torch.tensor([[4.0, 0.0, 0.0], [-4.0, 0.0, 0.0]]), torch.stack([plane, plane])
    )
    base.data_noise = 1e-6
    flow = Flow(IdentityTransform(), base)
    chart = chart_of(flow, rank=2, order=order)
    samples = chart.sample(1000, generator=torch.Generator().manual_seed(0))
    assert float(samples[:, 2].abs().max()) < 1e-6
    assert float((samples[:, 0].abs() - 4.0).mean()) == pytest.approx(0.0, abs=0.1)
    assert bool(chart.log_prob(samples).isfinite().all())


def test_it_trains_a_flow_to_the_entropy_of_two_clusters():
    generator = torch.Generator().manual_seed(0)
    x = 0.1 * torch.randn(2_000, 2, generator=generator)
    x[:1_000, 0] += 1.0
    torch.manual_seed(0)
    flow = Flow(IdentityTransform(), DegenerateGaussianMixture([2], 2))
    initialize_prior(flow, x, data_noise=0.05, generator=generator)
    objective = SpreadKLLoss(flow, data_noise=0.05, generator=generator)
    fit(objective, x, steps=50, batch_size=500)
    variance = 0.1**2 + 0.05**2 + float(base_of(flow).spread_variance)
    entropy = torch.log(torch.tensor(2.0)) + torch.log(2 * torch.pi * torch.e * torch.tensor(variance))
    held_out = SpreadKLLoss(flow, generator=generator).eval()(x)
    torch.testing.assert_close(held_out, entropy, atol=0.05, rtol=0.0)


@every_kind
@tied_or_not
@pytest.mark.parametrize("learn_mean", [True, False])
def test_a_saved_flow_comes_back_bit_for_bit(kind, tied, learn_mean, tmp_path):
    base = mixture_of(kind, features=4, tied=tied, learn_mean=learn_mean, dtype=torch.float32)
    flow, x = coupling_flow(4, layers=2, base=base).eval(), torch.randn(5, 4)
    base.data_noise = 0.1
    config = {"features": 4, "layers": 2}
    save_model(tmp_path / "flow.pt", flow, build=coupling_flow, config=config)
    again = load_model(tmp_path / "flow.pt")
    assert torch.equal(again.log_prob(x), flow.log_prob(x))
    assert_same_state(base_of(again).state_dict(), base.state_dict())
    assert base_of(again).data_noise == 0.1


def test_a_kind_of_factor_that_is_not_known_has_no_description():
    class Own(SpreadCholeskyFactor):
        pass

    assert describe_base(DegenerateGaussianMixture([2], 2, factor=Own)) is None
    described = describe_base(DegenerateGaussianMixture((2, 3), 4, factor=LowRankFactor.of_rank(2), tied=True))
    again = base_from(described)
    assert (again.shape, again.pieces, again.tied) == ((2, 3), 4, True)
    assert again.factors.kind.entries.shape == (6, 2)


@tied_or_not
def test_nothing_of_it_decays(tied):
    flow = coupling_flow(3, layers=2, base=DegenerateGaussianMixture([3], 2, tied=tied))
    decaying, free = parameter_groups(SpreadKLLoss(flow), 0.1)
    own = {id(parameter) for parameter in base_of(flow).parameters()}
    assert own <= {id(parameter) for parameter in free["params"]}
    assert not own & {id(parameter) for parameter in decaying["params"]}


def test_a_chart_loss_takes_it():
    torch.manual_seed(0)
    flow = coupling_flow(3, layers=2, base=DegenerateGaussianMixture([3], 2))
    base_of(flow).data_noise = 0.1
    x = torch.randn(20, 3)
    objective = ChartLoss(flow, chart_of(flow, x, rank=2))
    objective(x).backward()
    assert base_of(flow).logits.grad is not None


@every_kind
@tied_or_not
def test_first_values_from_data_are_the_pieces_of_the_latents(kind, tied):
    generator = torch.Generator().manual_seed(0)
    x = 0.1 * torch.randn(900, 3, generator=generator)
    x[:300, 0] += 2.0
    x[300:600, 1] += 2.0
    flow = Flow(IdentityTransform(), mixture_of(kind, features=3, tied=tied, dtype=torch.float32))
    initialize_prior(flow, x, data_noise=0.1, generator=generator)
    base = base_of(flow)
    torch.testing.assert_close(base.weights, torch.full((3,), 1 / 3, dtype=torch.float64), atol=1e-3, rtol=0.0)
    expected = torch.tensor([[0.0, 0.0, 0.0], [2.0, 0.0, 0.0], [0.0, 2.0, 0.0]], dtype=torch.float64)
    assert torch.cdist(means_of(base), expected).min(1).values.max() < 0.03
    variances = covariances_of(base).diagonal(dim1=1, dim2=2)
    torch.testing.assert_close(variances, torch.full((3, 3), 0.02, dtype=torch.float64), rtol=0.25, atol=0.0)


def test_pieces_of_many_features_are_found_in_the_principal_coordinates():
    generator = torch.Generator().manual_seed(0)
    z = 0.1 * torch.randn(400, 100, generator=generator)
    z[:100] += torch.randn(100, generator=generator)
    base = DegenerateGaussianMixture([100], 2)
    base.fit_pieces(z, generator=generator)
    torch.testing.assert_close(
        base.weights.sort().values, torch.tensor([0.25, 0.75], dtype=torch.float64), atol=1e-3, rtol=0.0
    )
    responsibilities = base.responsibilities(z)
    assert torch.equal(responsibilities[:100].argmax(1).unique(), responsibilities[:100].argmax(1)[:1])
    assert base.log_prob(z).mean().item() > base.piece(0).log_prob(z).mean().item()


def test_latents_that_cannot_be_fitted_are_refused_and_change_nothing():
    base = DegenerateGaussianMixture([2], 3)
    with refused(ValueError, "pieces must be between 1 and 2, the number of rows, got 3", unchanged=base):
        base.fit_pieces(torch.randn(2, 2))
    with refused(ValueError, "rows must not all be equal", unchanged=base):
        base.fit_pieces(torch.ones(9, 2))
    with refused(ValueError, "latents must have shape (n, 2), got (9, 3)", unchanged=base):
        base.fit_pieces(torch.randn(9, 3))


@every_model
def test_a_flow_in_float32_moves_to_float64_as_a_whole(name):
    flow, (x, context) = flow_in_pieces(name, torch.float32), inputs_for(name, 4, torch.float32)
    before = log_prob(flow, x, context)
    assert before.dtype == torch.float32
    double = copy.deepcopy(flow).double()
    after = log_prob(double, x.double(), None if context is None else context.double())
    torch.testing.assert_close(before.double(), after, rtol=1e-3, atol=1e-3)
    assert encode(double, x.double(), None if context is None else context.double()).dtype == torch.float64
