"""``fit(..., compile=True)`` for every library of flows: what is compiled is what the encoder runs through."""

import copy
import shutil
import warnings

import pytest
import torch
from nflows.flows import Flow

from compiled_toys import compiled_as, objective_of, trained
from host_models import MODELS, inputs_for, mlp, normflows, spread_flow
from nflows_spread import DegenerateGaussian, SpreadKLLoss, base_of, encode
from nflows_spread.hosts.registry import encoder_methods
from nflows_spread.models import volume_preserving_glow
from nflows_spread.training import fit
from nflows_spread.training.compilation import layers_compiled
from nflows_spread.transforms import GlowStep
from support import assert_same_state

has_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="there is no C++ compiler")


@pytest.mark.parametrize("name", MODELS)
def test_the_encoder_calls_each_compiled_method_in_training(name, monkeypatch):
    flow, (x, context) = spread_flow(name, torch.float32), inputs_for(name, 6, torch.float32)
    expected, state = encode(flow.train(), x, context), copy.deepcopy(flow.state_dict())
    methods, calls = encoder_methods(flow), compiled_as(None, monkeypatch)
    with layers_compiled(flow, enabled=True):
        assert torch.equal(encode(flow, x, context), expected)
    layers = {id(layer) for layer, _ in methods}
    assert {id(layer) for layer in calls} == layers
    assert len(calls) == 2 * len(layers)  # a rehearsal, and the step
    assert all(name not in vars(layer) for layer, name in methods)
    assert_same_state(flow.state_dict(), state)
    left = ids_of(flow) - ids_of(base_of(flow)) - set().union(*(ids_of(layer) for layer, _ in methods))
    assert left == (ids_of(flow._embedding_net) if "embedding" in name else set())


def ids_of(module):
    return {id(parameter) for parameter in module.parameters()}


def test_the_steps_of_a_glow_are_compiled_one_by_one_and_other_flows_of_nflows_as_a_whole():
    steps = encoder_methods(Flow(volume_preserving_glow((1, 4, 4), blocks=1, layers=2), DegenerateGaussian([16])))
    assert [(type(step), name) for step, name in steps] == [(GlowStep, "forward")] * 2
    coupling = objective_of()
    assert encoder_methods(coupling) == [(coupling.flow._transform, "forward")]


def test_layers_of_normflows_are_compiled_one_by_one_in_the_direction_of_the_encoder():
    nf = normflows()
    masked, linear = nf.flows.MaskedAffineFlow(torch.tensor([1.0, 0.0]), mlp(2, 2)), nf.flows.InvertibleAffine(2)
    layers = [nf.flows.Composite([masked, nf.flows.Permute(2)]), nf.flows.Reverse(linear), nf.transforms.Shift()]
    flow = nf.NormalizingFlow(DegenerateGaussian([2]), layers)
    assert encoder_methods(flow) == [(masked, "inverse"), (linear, "forward")]


def normflows_objective(kind="coupling"):
    nf = normflows()
    mask = torch.tensor([1.0, 0.0])
    coupling = nf.flows.MaskedAffineFlow(mask, mlp(2, 2), mlp(2, 2))

    class InPlace(nf.flows.AffineConstFlow):
        """Changes what it is given, and has a plain number as its log-determinant."""

        def inverse(self, z):
            z += 0.5
            return super().inverse(z)[0], 0

    layers = {
        "coupling": lambda: [coupling],
        "actnorm": lambda: [coupling, nf.flows.ActNorm(2)],
        "reversed": lambda: [nf.flows.Composite([nf.flows.Reverse(coupling), nf.transforms.Shift(0.5)])],
        "changed in place": lambda: [coupling, InPlace(2, scale=False)],
        "one net in two layers": lambda: [coupling, nf.flows.Permute(2), nf.flows.MaskedAffineFlow(mask, coupling.s)],
        "in both directions": lambda: [coupling, nf.flows.Permute(2), nf.flows.Reverse(coupling)],
    }
    return SpreadKLLoss(nf.NormalizingFlow(DegenerateGaussian([2]), layers[kind]()), data_noise=0.1)


@has_compiler
@pytest.mark.parametrize("build", [objective_of, normflows_objective], ids=["nflows", "normflows"])
def test_compiled_training_has_the_losses_and_parameters_of_plain_training(build):
    torch._dynamo.reset()
    objective = build()
    losses, parameters, _ = trained(objective)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "compile needs")
        compiled_losses, compiled_parameters, _ = trained(objective, compile=True)
    assert compiled_losses == pytest.approx(losses, rel=1e-5)
    for ours, plain in zip(compiled_parameters, parameters):
        torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-5)
    torch._dynamo.reset()


def fails(function):
    raise RuntimeError("torch.compile is not supported here")


@pytest.mark.parametrize("compiling", [None, fails], ids=["works", "fails"])
@pytest.mark.parametrize(
    "kind", ["actnorm", "reversed", "changed in place", "one net in two layers", "in both directions"]
)
@pytest.mark.filterwarnings("ignore:compile needs")
def test_a_rehearsal_leaves_a_flow_of_normflows_as_a_step_without_it_would(kind, compiling, monkeypatch):
    objective = normflows_objective(kind)
    losses, parameters, plain = trained(objective)
    calls = compiled_as(compiling, monkeypatch)
    compiled_losses, compiled_parameters, compiled = trained(objective, compile=True)
    assert bool(calls) == (compiling is None)
    assert compiled_losses == losses
    assert all(map(torch.equal, compiled_parameters, parameters))
    assert_same_state(compiled.state_dict(), plain.state_dict())


def small_glow():
    glow = volume_preserving_glow((1, 4, 4), blocks=1, layers=2, hidden_channels=2)
    return SpreadKLLoss(Flow(glow, DegenerateGaussian([16])))


ON_A_GPU = {
    "nflows": (objective_of, (2,)),
    "Glow": (small_glow, (1, 4, 4)),
    "normflows": (normflows_objective, (2,)),
}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize(("build", "shape"), ON_A_GPU.values(), ids=ON_A_GPU)
def test_on_a_gpu_compiled_training_has_the_losses_of_plain_training(build, shape):
    objective, x = build(), torch.randn(40, *shape, generator=torch.Generator().manual_seed(5))
    found = []
    for enabled in (False, True):
        counterpart = copy.deepcopy(objective)
        torch.manual_seed(3)
        with warnings.catch_warnings():
            warnings.filterwarnings("error", "compile")
            result = fit(counterpart, x, steps=20, batch_size=10, progress=False, device="cuda", compile=enabled)
        found.append(result.losses)
    assert found[1] == pytest.approx(found[0], rel=1e-3)
