"""The loss that asks for a chart: its closed form for linear flows, every host, and what it makes of a bent one."""

import copy
import pickle

import pytest
import torch
from nflows.flows import Flow
from nflows.transforms import BatchNorm, CompositeTransform, LULinear, Transform
from torch import nn

from host_models import MODELS, inputs_for, spread_flow
from nflows_spread import ChartLoss, DegenerateGaussian, SpreadKLLoss, base_of, chart_of, swap_base
from nflows_spread.models import coupling_flow
from nflows_spread.training import fit
from support import randomize, refused

NOISE = 0.1


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def linear_flow(features=3):
    torch.manual_seed(0)
    return Flow(randomize(LULinear(features, identity_init=False)), DegenerateGaussian([features]))


def chart_loss(flow, x=None, context=None, *, rank=2, seed=3, **options):
    chart = chart_of(flow, x, rank=rank, context=context, data_noise=NOISE, generator=seeded())
    return ChartLoss(flow, chart, data_noise=NOISE, generator=seeded(seed), **options)


def term_of(objective, x, context=None):
    """What the loss has beyond ``SpreadKLLoss``, with the same draws."""
    plain = SpreadKLLoss(objective.flow, generator=seeded(3))
    return objective(x, context) - plain(x, context)


def affine(layer):
    """G and b of z = x G + b of a linear layer."""
    start = layer(torch.zeros(1, layer.features))[0]
    return layer(torch.eye(layer.features))[0] - start, start[0]


def test_of_a_linear_flow_it_is_the_noise_in_the_coordinates_and_the_data_beyond_them(float64):
    """R = G P Q G⁻¹: E‖x − x̂‖² = ‖(x − c)(I − R)‖² + σ² ‖R‖², c decoded from m."""
    objective = chart_loss(linear_flow(), weight=0.7)
    g, b = affine(objective.flow._transform)
    r = g @ objective.forth @ objective.back @ g.inverse()
    x = torch.tensor([[1.0, -2.0, 0.5]])
    beyond = (x - (objective.mean - b) @ g.inverse()) @ (torch.eye(3) - r)
    expected = 0.7 * (beyond.square().sum() + NOISE**2 * r.square().sum()) / (2 * NOISE**2)
    found = term_of(objective, x.expand(200_000, 3))
    torch.testing.assert_close(found, expected, rtol=0.01, atol=0)
    parameters = list(objective.flow._transform.parameters())
    mine, theirs = (torch.autograd.grad(value, parameters, allow_unused=True) for value in (found, expected))
    largest = max(float(gradient.abs().max()) for gradient in theirs if gradient is not None)
    for gradient, other in zip(mine, theirs):
        if other is not None:
            torch.testing.assert_close(gradient, other, rtol=0.02, atol=0.01 * largest)


def test_gradients_are_those_of_finite_differences(float64):
    flow = randomize(coupling_flow(3, layers=1, hidden_features=(2,)), 0.3)
    objective, x = chart_loss(flow), torch.randn(4, 3, generator=seeded())
    names, values = zip(*objective.named_parameters())

    def loss(*parameters):
        objective.generator.manual_seed(1)
        return torch.func.functional_call(objective, dict(zip(names, parameters)), (x,))

    assert torch.autograd.gradcheck(loss, [value.detach().clone().requires_grad_() for value in values])


@pytest.mark.parametrize("name", MODELS)
def test_in_every_host_it_is_the_error_of_the_chart_in_units_of_the_noise(name, float64):
    flow, (x, context) = spread_flow(name), inputs_for(name, 6)
    chart = chart_of(flow, x, rank=2, context=context, data_noise=NOISE, generator=seeded())
    objective = ChartLoss(flow, chart, weight=3.0, data_noise=NOISE, generator=seeded(3))
    noisy = x + NOISE * torch.empty_like(x).normal_(generator=seeded(3))
    expected = 3.0 * (chart.reconstruct(noisy, context) - x).flatten(1).square().sum(1).mean() / (2 * NOISE**2)
    found = term_of(objective, x, context)
    torch.testing.assert_close(found, expected)
    found.backward()
    assert all(bool(p.grad.isfinite().all()) for p in flow.parameters() if p.grad is not None)


def test_without_weight_it_is_the_spread_kl_divergence(float64):
    objective, x = chart_loss(coupling_flow(3, layers=2)), torch.randn(5, 3, generator=seeded())
    objective.weight = 0
    assert float(term_of(objective, x).detach()) == 0.0


def test_a_linear_flow_reaches_the_error_of_pca_from_a_chart_of_other_directions(float64):
    x = torch.randn(500, 3, generator=seeded()) * torch.tensor([0.3, 2.0, 1.0])
    x -= x.mean(0)
    objective = chart_loss(linear_flow(), rank=1)
    smallest = (torch.linalg.svdvals(x)[1:].square().sum() / len(x)).sqrt()

    def error():
        g, b = affine(objective.flow._transform)
        latents = (x @ g + b - objective.mean) @ objective.forth @ objective.back + objective.mean
        return ((latents - b) @ g.inverse() - x).square().sum(1).mean().sqrt()

    assert error() > 1.2 * smallest
    fit(objective, x, steps=700, batch_size=500, learning_rate=2e-2, progress=False, generator=seeded())
    assert smallest * (1 - 1e-9) <= error() < 1.02 * smallest
    errors = chart_of(objective.flow.eval(), x, generator=seeded()).reconstruction_error(x)
    assert errors[0] < 1.05 * smallest  # and the read-outs find the same direction


def test_a_bent_curve_is_reconstructed_better_than_the_likelihood_alone_would():
    torch.manual_seed(0)
    t = 6.0 * torch.rand(1000, generator=seeded()) - 3.0
    x = torch.stack([t, torch.sin(2 * t)], dim=1)
    flow = coupling_flow(2, layers=4)
    options = {"steps": 200, "batch_size": 200, "learning_rate": 2e-3, "gradient_clip": 5.0, "progress": False}
    fit(SpreadKLLoss(flow, data_noise=NOISE), x, generator=seeded(), **options)
    twin = copy.deepcopy(flow)
    fit(SpreadKLLoss(twin), x, generator=seeded(), **options)
    chart = chart_of(flow, x, rank=1)
    fit(ChartLoss(flow, chart), x, generator=seeded(), **options)
    without, with_it = (float(chart_of(f.eval(), rank=1).reconstruction_error(x)[0]) for f in (twin, flow))
    assert with_it < 0.8 * without


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))])
def test_copies_give_the_same_loss_and_train_their_own_flow(clone):
    objective, x = chart_loss(coupling_flow(3, layers=2), weight=0.5), torch.randn(5, 3, generator=seeded())
    twin = clone(objective)
    assert (twin.weight, twin.rank) == (0.5, 2)
    assert torch.equal(objective(x), twin(x))
    assert twin.flow is not objective.flow


def test_the_maps_are_part_of_the_state():
    flow = coupling_flow(3, layers=2)
    first = chart_loss(flow, torch.randn(50, 3, generator=seeded()))
    other = chart_loss(copy.deepcopy(flow), torch.randn(50, 3, generator=seeded(1)))
    assert not torch.equal(first.forth, other.forth)
    other.load_state_dict(first.state_dict())
    assert torch.equal(first.forth, other.forth)
    assert torch.equal(first.back, other.back)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_it_moves_to_another_dtype(dtype):
    objective = chart_loss(coupling_flow(3, layers=2)).to(dtype)
    assert objective(torch.randn(5, 3, dtype=dtype)).dtype == dtype


def test_the_compiled_loss_is_the_loss():
    torch._dynamo.reset()
    objective, x = chart_loss(coupling_flow(3, layers=2)), torch.randn(10, 3, generator=seeded())
    expected = objective(x)
    objective.generator.manual_seed(3)
    torch.testing.assert_close(torch.compile(objective, backend="eager")(x), expected)


def test_the_check_of_the_inverse_leaves_every_mode_and_number_as_it_is():
    flow = linear_flow()
    flow._transform.eval()
    objective = chart_loss(flow)
    before = {name: value.clone() for name, value in objective.state_dict().items()}
    objective(torch.randn(5, 3))
    assert flow.training
    assert not flow._transform.training
    assert all(torch.equal(value, before[name]) for name, value in objective.state_dict().items())


class Flattened(Transform):
    """It forgets the last column."""

    def forward(self, inputs, context=None):
        return inputs * torch.tensor([1.0, 1.0, 0.0]), inputs.new_zeros(len(inputs))

    def inverse(self, inputs, context=None):
        return inputs, inputs.new_zeros(len(inputs))


def test_a_flow_without_inverse_on_the_data_is_refused():
    flow, x = Flow(Flattened(), DegenerateGaussian([3])), 7.0 * torch.ones(4, 3)
    chart = chart_of(linear_flow(), rank=2, data_noise=NOISE)
    chart.__dict__["flow"] = flow
    objective = ChartLoss(flow, chart, data_noise=NOISE)
    with refused(
        ValueError, "must be x to within the data noise of 0.1", "off by 4.04 a feature; train a", unchanged=objective
    ):
        objective(x)
    flow = Flow(CompositeTransform([BatchNorm(3), LULinear(3)]), DegenerateGaussian([3])).eval()
    objective = chart_loss(flow).train()
    with refused(
        ValueError,
        "an inverse in the mode in which it is trained",
        "only available in eval mode",
        "call flow.eval(), also to train on",
        "ActNorm",
    ):
        objective(torch.randn(4, 3))
    flow.eval()  # the first remedy is one that works
    assert objective(torch.randn(4, 3)).isfinite()


def test_bad_input_is_refused_and_changes_nothing():
    flow, other = coupling_flow(3, layers=2), coupling_flow(3, layers=2)
    chart = chart_of(flow, rank=2, data_noise=NOISE)
    with refused(ValueError, "chart must be of the flow that is given, got one of another Flow; make it by"):
        ChartLoss(other, chart, data_noise=NOISE)
    with refused(TypeError, "chart must be a Chart, got int; make it by chart_of(flow, x, rank=K)"):
        ChartLoss(flow, 2, data_noise=NOISE)
    with refused(ValueError, "weight must be a finite number of at least 0, got -1", unchanged=flow):
        ChartLoss(flow, chart, weight=-1, data_noise=NOISE)
    with refused(
        ValueError, "data_noise must be above 0 for reconstructions", "got 0; pass data_noise=", unchanged=flow
    ):
        ChartLoss(flow, chart)
    with refused(ValueError, "data_noise must be a finite number of at least 0, got -1", unchanged=flow):
        ChartLoss(flow, chart, data_noise=-1)
    assert base_of(flow).data_noise is None
    objective = ChartLoss(flow, chart, data_noise=NOISE)
    assert base_of(flow).data_noise == NOISE
    with refused(ValueError, "weight must be a finite number", unchanged=objective):
        objective.weight = float("nan")
    objective.data_noise = 0.0
    with refused(ValueError, "data_noise must be above 0", unchanged=objective):
        objective(torch.randn(4, 3))
    fixed = swap_base(flow, nn.Identity())
    chart.__dict__["flow"] = fixed
    with refused(TypeError, "must be a DegenerateGaussian, got Identity"):
        ChartLoss(fixed, chart, data_noise=NOISE)
