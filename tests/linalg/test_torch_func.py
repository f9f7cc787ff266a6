"""``torch.func`` and forward-mode differentiation through every prior, against ``MultivariateNormal`` in float64."""

import copy

import pytest
import torch
from torch.autograd import forward_ad
from torch.distributions import MultivariateNormal
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, stack_module_state, vmap

from factor_kinds import FACTORS, base_of_kind, every_kind, points_of, random_root
from nflows_spread import DegenerateGaussian, SpreadKLLoss
from nflows_spread.factors import RunningAverageFactor
from nflows_spread.linalg.torch_func import gradients_of_plain
from nflows_spread.models import coupling_flow
from support import assert_same_state, randomize

pytestmark = pytest.mark.usefixtures("float64")
sizes = pytest.mark.parametrize("features", [6, 40])  # small priors have arithmetic of their own


def peer_of(base):
    """The same density by torch's own class, as a function of points (n, D)."""
    covariance = base.covariance.detach() + base.spread_variance * torch.eye(base.features)
    return MultivariateNormal(torch.zeros(base.features), covariance).log_prob


def density_of(log_prob):
    """Of one point, (D,)."""
    return lambda z: log_prob(z.unsqueeze(0)).squeeze(0)


@every_kind
@sizes
def test_gradients_of_each_point_are_those_of_a_normal(kind, features):
    base = base_of_kind(kind, random_root(features), spread_variance=0.1)
    z = points_of(base).detach()
    ours, theirs = (vmap(grad(density_of(f)))(z) for f in (base.log_prob, peer_of(base)))
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(vmap(density_of(base.log_prob))(z), peer_of(base)(z))


@every_kind
@sizes
@pytest.mark.parametrize("twice", [hessian, lambda f: jacrev(jacrev(f)), lambda f: jacrev(jacfwd(f))])
def test_the_hessian_is_the_negative_precision_also_at_the_mode(kind, features, twice):
    base = base_of_kind(kind, random_root(features), spread_variance=0.1)
    precision = torch.linalg.inv(base.covariance.detach() + 0.1 * torch.eye(features))
    for z in (points_of(base)[0].detach(), torch.zeros(features)):
        torch.testing.assert_close(twice(density_of(base.log_prob))(z), -precision)


@every_kind
@sizes
def test_forward_mode_is_the_gradient_times_the_direction(kind, features):
    base = base_of_kind(kind, random_root(features), spread_variance=0.1)
    z, direction = points_of(base).detach(), torch.randn(8, features)
    expected = (grad(lambda z: peer_of(base)(z).sum())(z) * direction).sum(1)
    torch.testing.assert_close(jvp(base.log_prob, (z,), (direction,))[1], expected)
    with forward_ad.dual_level():
        value = base.log_prob(forward_ad.make_dual(z, direction))
        torch.testing.assert_close(forward_ad.unpack_dual(value).tangent, expected)


@every_kind
@sizes
def test_all_derivatives_in_the_parameters_are_those_of_ordinary_autograd(kind, features):
    base = base_of_kind(kind, random_root(features), spread_variance=0.1)
    z = points_of(base).detach()
    names = [name for name, _ in base.named_parameters()]
    if not names:
        pytest.skip("no parameters")
    base.forward = lambda z: base.log_prob(z)
    values = {name: value.detach() for name, value in base.named_parameters()}

    def loss(values):
        return functional_call(base, values, (z,)).mean()

    ordinary = torch.autograd.grad(base.log_prob(z).mean(), list(base.parameters()))
    directions = {name: torch.randn_like(value) for name, value in values.items()}
    reverse, slope = grad(loss)(values), jvp(loss, (values,), (directions,))[1]
    for name, expected in zip(names, ordinary):
        torch.testing.assert_close(reverse[name], expected)
    expected = sum((gradient * directions[name]).sum() for name, gradient in zip(names, ordinary))
    torch.testing.assert_close(slope, expected)
    curvature = jvp(grad(loss), (values,), (directions,))[1]
    first = torch.autograd.grad(base.log_prob(z).mean(), list(base.parameters()), create_graph=True)
    along = sum((gradient * directions[name]).sum() for name, gradient in zip(names, first))
    for name, second in zip(names, torch.autograd.grad(along, list(base.parameters()))):
        torch.testing.assert_close(curvature[name], second)


@every_kind
@sizes
def test_jacobians_of_gradients_many_rows_at_a_time_are_those_one_by_one(kind, features):
    """``vectorize=True`` maps over the backward pass of a forward pass that knew nothing of it."""
    base = base_of_kind(kind, random_root(features), spread_variance=0.1)
    z = points_of(base, 3).detach()
    for derivative in (torch.autograd.functional.jacobian, torch.autograd.functional.hessian):
        function = (
            base.log_prob if derivative is torch.autograd.functional.jacobian else lambda z: base.log_prob(z).sum()
        )
        torch.testing.assert_close(derivative(function, z, vectorize=True), derivative(function, z))


@every_kind
def test_an_ensemble_of_priors_is_mapped_over(kind):
    bases = [base_of_kind(kind, random_root(), spread_variance=0.1) for _ in range(3)]
    z = torch.randn(5, bases[0].features)
    parameters, buffers = stack_module_state(bases)
    bases[0].forward = lambda z: bases[0].log_prob(z)

    def log_prob(parameters, buffers):
        return functional_call(bases[0], (parameters, buffers), (z,))

    torch.testing.assert_close(vmap(log_prob)(parameters, buffers), torch.stack([base.log_prob(z) for base in bases]))


@pytest.mark.parametrize("scale", [1.0, 1e4, 1e8])
def test_flat_directions_are_not_lost_under_a_transform(scale):
    base = base_of_kind("LowerTriangularFactor", torch.nn.functional.pad(random_root(40, 5, scale), (0, 35)))
    z = points_of(base).detach()
    ordinary = base.log_prob(z)
    torch.testing.assert_close(vmap(density_of(base.log_prob))(z), ordinary, rtol=1e-8, atol=0.0)


def test_a_running_average_with_a_lag_answers_without_one_and_stays_as_it_is():
    base = DegenerateGaussian([4], factor=RunningAverageFactor.of_decay(0.9, lag=0.5))
    base.observe(torch.randn(50, 4))
    before = copy.deepcopy(base.state_dict())
    z = torch.randn(3, 4)
    torch.testing.assert_close(vmap(density_of(base.log_prob))(z), peer_of(base)(z))
    assert_same_state(base.state_dict(), before)


@every_kind
def test_whole_flows_can_be_transformed(kind):
    factor = FACTORS[kind]
    flow = randomize(coupling_flow(6, layers=3), 0.3)
    flow._distribution = DegenerateGaussian([6], factor=factor, spread_variance=0.1)
    x = torch.randn(5, 6)
    leaves = x.clone().requires_grad_()
    (expected,) = torch.autograd.grad(flow.log_prob(leaves).sum(), leaves)
    torch.testing.assert_close(vmap(grad(density_of(flow.log_prob)))(x), expected)
    direction = torch.randn(5, 6)
    torch.testing.assert_close(jvp(flow.log_prob, (x,), (direction,))[1], (expected * direction).sum(1))
    torch.testing.assert_close(
        vmap(hessian(density_of(flow.log_prob)))(x)[0],
        torch.autograd.functional.hessian(density_of(flow.log_prob), x[0]),
    )


def test_gradients_of_the_loss_of_each_row_are_taken_at_once():
    objective = SpreadKLLoss(randomize(coupling_flow(4, layers=2)), data_noise=0.0)
    x = torch.randn(3, 4)
    values = {name: value.detach() for name, value in objective.named_parameters()}

    def loss(values, row):
        return functional_call(objective, values, (row.unsqueeze(0),))

    each = vmap(grad(loss), in_dims=(None, 0), randomness="different")(values, x)
    for name, parameter in objective.named_parameters():  # noise of the spread is too small to matter for the shifts
        one_by_one = torch.stack([torch.autograd.grad(objective(row[None]), parameter)[0] for row in x])
        torch.testing.assert_close(each[name], one_by_one, rtol=0.2, atol=0.05 * float(one_by_one.abs().max()))


def test_gradients_of_plain_operations_are_those_that_are_needed_each_in_its_place():
    a, b, c = (torch.randn(3).requires_grad_() for _ in range(3))
    found = gradients_of_plain(lambda a, b, c: a * b + c.sin(), (a, b, c), (True, False, True, True), torch.ones(3))
    assert found[1] is None
    torch.testing.assert_close(found[0], b)
    torch.testing.assert_close(found[2], c.cos())
    torch.testing.assert_close(torch.autograd.grad(found[2].sum(), c)[0], -c.sin())
