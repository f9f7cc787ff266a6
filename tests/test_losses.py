"""The training loss: algorithm 1 by hand, the log-determinant, the entropy, and the warning where nothing bounds it."""

import copy
import math
import pickle
import warnings

import pytest
import torch
from nflows.distributions import StandardNormal
from nflows.flows import Flow
from nflows.transforms import PointwiseAffineTransform

from nflows_spread import DegenerateGaussian, SpreadKLLoss, base_of
from nflows_spread.factors import RunningAverageFactor
from nflows_spread.hosts import encode_with_logabsdet
from nflows_spread.models import coupling_flow
from support import assert_same_state, kernel_entropy, randomize, refused
from swapped_flows import FEATURES, FLOWS, context_for, curve, swapped

every_flow = pytest.mark.parametrize("name", FLOWS)
WARNING = "this flow does not preserve volume and data_noise is 0"


def seeded(seed=3):
    return torch.Generator().manual_seed(seed)


def algorithm_1(flow, x, context, data_noise, generator):
    """The paper's algorithm 1 written out, in its order of draws, with the log-determinant of a free flow."""
    base = base_of(flow)
    noisy = x if data_noise == 0 else x + data_noise * torch.empty_like(x).normal_(generator=generator)
    z, logabsdet = encode_with_logabsdet(flow, noisy, context)
    spread = z + base.spread_variance.sqrt() * torch.empty_like(z).normal_(generator=generator)
    factor = base.factor.entries.tril()
    covariance = factor @ factor.T + base.spread_variance * torch.eye(FEATURES)
    prior = torch.distributions.MultivariateNormal(torch.zeros(FEATURES), covariance)
    return -(prior.log_prob(spread) + logabsdet).mean()


@every_flow
@pytest.mark.parametrize("data_noise", [0.0, 0.1])
def test_the_loss_and_its_gradients_are_algorithm_1(name, data_noise, float64):
    flow = randomize(swapped(name, spread_variance=1e-2), 0.1)
    x, context = curve(20), context_for(name, 20)
    objective = SpreadKLLoss(flow, data_noise=data_noise, generator=seeded())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loss = objective(x, context)
    expected = algorithm_1(flow, x, context, data_noise, seeded())
    torch.testing.assert_close(loss, expected, rtol=1e-10, atol=0)
    parameters = [p for p in flow.parameters() if p.requires_grad]
    ours = torch.autograd.grad(loss, parameters, allow_unused=True)
    theirs = torch.autograd.grad(expected, parameters, allow_unused=True)
    for mine, other in zip(ours, theirs):
        torch.testing.assert_close(mine, other, rtol=1e-7, atol=1e-9)


def test_the_log_determinant_is_kept():
    flow = randomize(swapped("SimpleRealNVP", spread_variance=1e-12), 0.1).double()
    x = torch.randn(30, FEATURES, dtype=torch.float64)
    noiseless = SpreadKLLoss(flow)
    with pytest.warns(UserWarning, match=WARNING):
        loss = noiseless(x)
    torch.testing.assert_close(loss, -flow.log_prob(x).mean(), rtol=1e-4, atol=0)
    assert encode_with_logabsdet(flow, x)[1].abs().mean() > 0.1


def test_with_noise_the_expected_loss_is_the_likelihood_of_the_noisy_data():
    """For the identity flow and A = I: ½ (tr Cov x̃ + σ_Z² D) / (1 + σ_Z²) + ½ D log 2π(1 + σ_Z²)."""
    flow = coupling_flow(2, layers=1, base=DegenerateGaussian([2], spread_variance=0.01)).double()
    with torch.no_grad():
        for parameter in flow._transform.parameters():
            parameter.zero_()
    x = torch.tensor([[1.0, -2.0]], dtype=torch.float64).expand(40_000, 2)
    loss = SpreadKLLoss(flow, data_noise=0.3, generator=seeded())(x)
    variance = torch.tensor(1.01, dtype=torch.float64)
    expected = 0.5 * (5.0 + 2 * 0.09 + 2 * 0.01) / variance + (2 * torch.pi * variance).log()
    torch.testing.assert_close(loss.detach(), expected, rtol=0, atol=0.01)


def test_the_entropy_option_adds_equation_39(float64):
    flow = randomize(coupling_flow(FEATURES, layers=2, base=DegenerateGaussian([FEATURES], spread_variance=0.05)))
    x = curve(25)
    plain, full = (SpreadKLLoss(flow, entropy=e, generator=seeded()) for e in (False, True))
    expected = kernel_entropy(encode_with_logabsdet(flow, x)[0], 0.05)
    torch.testing.assert_close(full(x) - plain(x), expected)


def test_it_warns_once_when_nothing_bounds_the_loss():
    objective, x = SpreadKLLoss(randomize(swapped("SimpleRealNVP"), 0.1)), curve(10)
    with pytest.warns(UserWarning, match=f"{WARNING}.*set data_noise above 0, or use volume-preserving transforms"):
        objective(x)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        objective(x)


def test_the_warning_points_at_the_line_that_called_the_loss():
    objective = SpreadKLLoss(randomize(swapped("SimpleRealNVP"), 0.1))
    with pytest.warns(UserWarning, match=WARNING) as caught:
        objective(curve(10))
    assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.parametrize(("name", "data_noise"), [("SimpleRealNVP", 0.1), ("volume-preserving coupling flow", 0.0)])
def test_it_does_not_warn_when_something_does(name, data_noise):
    objective = SpreadKLLoss(randomize(swapped(name), 0.1), data_noise=data_noise)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        objective(curve(10))


@pytest.mark.parametrize(("volume", "warns"), [(5e-4, False), (2e-3, True)])
def test_a_volume_within_rounding_is_preserved(volume, warns):
    scale = torch.full((FEATURES,), math.exp(volume / FEATURES))
    flow = Flow(PointwiseAffineTransform(scale=scale), DegenerateGaussian([FEATURES]))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        SpreadKLLoss(flow)(curve(10))
    assert bool(caught) == warns


def test_it_still_warns_when_the_noise_is_annealed_to_nothing():
    objective, x = SpreadKLLoss(randomize(swapped("SimpleRealNVP"), 0.1), data_noise=0.1), curve(10)
    objective(x)
    objective.data_noise = 0.0
    with pytest.warns(UserWarning, match=WARNING):
        objective(x)


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))])
def test_copies_are_independent_and_give_the_same_loss(clone):
    objective = SpreadKLLoss(coupling_flow(FEATURES, layers=2), data_noise=0.1)
    counterpart, x = clone(objective), curve(10)
    losses = []
    for each in (objective, counterpart):
        torch.manual_seed(7)
        losses.append(each(x).detach())
    assert torch.equal(*losses)
    counterpart.data_noise = 0.5
    assert objective.data_noise == 0.1
    assert counterpart.base is not objective.base


def test_a_swap_of_the_base_after_construction_is_seen():
    flow = coupling_flow(FEATURES, layers=2)
    objective = SpreadKLLoss(flow)
    flow._distribution = DegenerateGaussian([FEATURES])
    assert objective.base is flow._distribution


@pytest.mark.parametrize(("training", "gradients"), [(True, True), (True, False), (False, True), (False, False)])
def test_a_prior_of_running_averages_learns_in_training_alone_and_where_there_are_gradients(training, gradients):
    flow = coupling_flow(FEATURES, layers=2, base=DegenerateGaussian([FEATURES], factor=RunningAverageFactor))
    objective = SpreadKLLoss(flow, data_noise=0.1).train(training)
    before = base_of(flow).covariance.clone()
    with torch.set_grad_enabled(gradients):
        objective(curve(10))
    assert torch.equal(base_of(flow).covariance, before) != (training and gradients)


@pytest.mark.parametrize("transform", [torch.func.grad, lambda loss: torch.func.vmap(loss, randomness="different")])
def test_transforms_of_torch_func_find_the_loss_and_change_nothing(transform):
    flow = coupling_flow(FEATURES, layers=2, base=DegenerateGaussian([FEATURES], factor=RunningAverageFactor))
    objective = SpreadKLLoss(flow, data_noise=0.1)
    before = copy.deepcopy(objective.state_dict())
    found = transform(objective)(curve(10) if transform is torch.func.grad else curve(30).view(3, 10, -1))
    assert found.isfinite().all()
    assert_same_state(objective.state_dict(), before)


def test_what_is_not_data_is_refused_by_name():
    objective, x = SpreadKLLoss(coupling_flow(FEATURES, layers=1)), curve(4)
    x[2, 1] = math.nan
    with refused(ValueError, "x must be finite", "1 of 4 rows, the first at index 2", unchanged=objective):
        objective(x)
    with refused(TypeError, "x must", unchanged=objective):
        objective(x.long())


def test_the_compiled_loss_is_the_loss():
    torch._dynamo.reset()
    objective, x = SpreadKLLoss(coupling_flow(FEATURES, layers=2), data_noise=0.1), curve(10)
    compiled = torch.compile(objective, backend="eager")
    losses, gradients = [], []
    for each in (objective, compiled):
        torch.manual_seed(7)
        loss = each(x)
        losses.append(loss.detach())
        gradients.append(torch.autograd.grad(loss, base_of(objective.flow).factor.entries)[0])
    torch.testing.assert_close(*losses)
    torch.testing.assert_close(*gradients)


def test_another_base_is_refused():
    with refused(TypeError, "must be a DegenerateGaussian", "got StandardNormal", "build the flow with"):
        SpreadKLLoss(coupling_flow(2, layers=1, base=StandardNormal([2])))
