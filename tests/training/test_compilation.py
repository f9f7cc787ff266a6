"""``fit(..., compile=True)``: what is compiled, that it changes nothing, and what happens where it cannot be done."""

import copy
import shutil
import warnings
from types import SimpleNamespace

import pytest
import torch
from nflows.flows import Flow
from nflows.transforms import ActNorm, CompositeTransform
from torch import nn

from nflows_spread import DegenerateGaussian, SpreadKLLoss
from nflows_spread.models import coupling_flow, volume_preserving_glow
from nflows_spread.training import compilation, fit
from nflows_spread.training.compilation import compiled_transforms, transforms_compiled
from nflows_spread.transforms import GlowStep, VolumePreservingLULinear

X = torch.randn(30, 2, generator=torch.Generator().manual_seed(5)) * torch.tensor([2.0, 0.2])
has_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="there is no C++ compiler")


def objective_of(*transforms):
    """An objective whose noise comes from torch's global generator."""
    if transforms:
        return SpreadKLLoss(Flow(CompositeTransform(list(transforms)), DegenerateGaussian([2])), data_noise=0.1)
    return SpreadKLLoss(coupling_flow(2, layers=1, hidden_features=(4,)), data_noise=0.1)


def trained(objective, **options):
    """Losses and parameters after three steps from the same start."""
    objective = copy.deepcopy(objective)
    torch.manual_seed(3)
    result = fit(objective, X, steps=3, batch_size=10, learning_rate=1e-2, progress=False, **options)
    return result.losses, [parameter.detach() for parameter in objective.parameters()], objective


def fails_at_once(function, **options):
    raise RuntimeError("torch.compile is not supported here\n\nand more")


def fails_when_called(function, **options):
    def compiled(*args, **kwargs):
        torch.rand(7)
        raise RuntimeError("torch.compile is not supported here")

    return compiled


def fails_backward(function, **options):
    class Failing(torch.autograd.Function):
        @staticmethod
        def forward(ctx, z):
            return z.clone()

        @staticmethod
        def backward(ctx, grad):
            raise RuntimeError("torch.compile is not supported here")

    def compiled(*args, **kwargs):
        z, logabsdet = function(*args, **kwargs)
        return Failing.apply(z), logabsdet

    return compiled


class Counting(VolumePreservingLULinear):
    """Draws random numbers and counts its batches, as dropout and batch norm do."""

    def __init__(self):
        super().__init__(2)
        self.register_buffer("count", torch.zeros(()))

    def forward(self, inputs, context=None):
        self.count += 1
        return super().forward(inputs + 1e-3 * torch.randn_like(inputs), context)


@pytest.mark.parametrize("broken", [fails_at_once, fails_when_called, fails_backward])
@pytest.mark.parametrize("build", [objective_of, lambda: objective_of(Counting())], ids=["coupling", "counting"])
def test_where_compiling_fails_training_goes_on_with_the_same_results_and_one_warning(broken, build, monkeypatch):
    objective = build()
    losses, parameters, plain = trained(objective)
    monkeypatch.setattr(compilation.torch, "compile", broken)
    with pytest.warns(UserWarning, match=r"got RuntimeError: torch.compile is not supported here; training") as found:
        compiled_losses, compiled_parameters, compiled = trained(objective, compile=True)
    assert sum("compile needs" in str(warning.message) for warning in found) == 1
    assert compiled_losses == losses
    assert all(map(torch.equal, compiled_parameters, parameters))
    assert all(map(torch.equal, compiled.buffers(), plain.buffers()))


def answers_wrongly(function, **options):
    def compiled(*args, **kwargs):
        z, logabsdet = function(*args, **kwargs)
        return 1.2 * z, logabsdet

    return compiled


def learns_wrongly(function, **options):
    def compiled(*args, **kwargs):
        z, logabsdet = function(*args, **kwargs)
        return z.detach() + 0.5 * (z - z.detach()), logabsdet

    return compiled


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [(answers_wrongly, r"its outputs differ .* by 20\.0%"), (learns_wrongly, "its gradients differ")],
)
def test_what_does_not_do_what_the_plain_pass_does_is_left_alone(wrong, expected, monkeypatch):
    objective = objective_of()
    losses, _, _ = trained(objective)
    monkeypatch.setattr(compilation.torch, "compile", wrong)
    with pytest.warns(UserWarning, match=f"RuntimeError: {expected}"):
        compiled_losses, _, _ = trained(objective, compile=True)
    assert compiled_losses == losses


@pytest.mark.parametrize("failing", [fails_at_once, fails_when_called, fails_backward, answers_wrongly])
def test_where_cuda_graphs_fail_training_goes_on_compiled_and_says_so(failing, monkeypatch):
    objective = objective_of(Counting())
    losses, _, plain = trained(objective)
    asked = []

    def compiling(function, **options):
        asked.append(options["options"].get("triton.cudagraphs", False))
        return failing(function) if asked[-1] else function

    monkeypatch.setattr(compilation.torch, "compile", compiling)
    monkeypatch.setattr(compilation, "ways_for", lambda transforms: [compilation.GRAPHED, compilation.COMPILED])
    expected = (
        "compile with CUDA graphs needs .*; got RuntimeError: .*; training goes on compiled without CUDA graphs, with"
    )
    with pytest.warns(UserWarning, match=expected) as found:
        graphed_losses, _, graphed = trained(objective, compile=True)
    assert sum("training goes on" in str(warning.message) for warning in found) == 1
    assert asked == [True, False]
    assert graphed_losses == losses
    assert all(map(torch.equal, graphed.buffers(), plain.buffers()))


def test_cuda_graphs_are_rehearsed_until_they_are_replayed(monkeypatch):
    """The first pass warms up, the second records, and the third is what training will see."""
    calls = []

    def counting(function, **options):
        return lambda *args, **kwargs: calls.append(0) or function(*args, **kwargs)

    monkeypatch.setattr(compilation.torch, "compile", counting)
    monkeypatch.setattr(compilation, "ways_for", lambda transforms: [compilation.GRAPHED])
    objective = objective_of()
    with transforms_compiled(objective, enabled=True, graphs=True):
        objective(X)
    assert len(calls) == 3 + 1


def test_cuda_graphs_are_for_one_transform_that_is_on_a_gpu():
    on_cpu, on_gpu = objective_of().flow._transform, SimpleNamespace(parameters=lambda: [parameter])
    parameter = SimpleNamespace(device=torch.device("cuda"))
    assert compilation.ways_for([on_cpu]) == compilation.ways_for([on_gpu, on_gpu]) == [compilation.COMPILED]
    assert compilation.ways_for([on_gpu]) == [compilation.GRAPHED, compilation.COMPILED]


def small_glow():
    glow = volume_preserving_glow((1, 4, 4), blocks=1, layers=2, hidden_channels=2)
    return SpreadKLLoss(Flow(glow, DegenerateGaussian([16])))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize(("build", "shape"), [(objective_of, (2,)), (small_glow, (1, 4, 4))], ids=["coupling", "glow"])
def test_on_a_gpu_compiled_training_has_the_losses_of_plain_training(build, shape):
    objective, x = build(), torch.randn(40, *shape, generator=torch.Generator().manual_seed(5))
    found = []
    for enabled in (False, True):
        twin = copy.deepcopy(objective)
        torch.manual_seed(3)
        with warnings.catch_warnings():
            warnings.filterwarnings("error", "compile")
            result = fit(twin, x, steps=20, batch_size=10, progress=False, device="cuda", compile=enabled)
        found.append(result.losses)
    assert found[1] == pytest.approx(found[0], rel=1e-3)


@pytest.mark.parametrize(("options", "expected"), [({}, True), ({"accumulate": 2}, False)], ids=str)
def test_cuda_graphs_are_not_asked_for_where_gradients_accumulate(options, expected, monkeypatch):
    asked = []
    monkeypatch.setattr(compilation, "ways_for", lambda transforms: asked.append(True) or [])
    trained(objective_of(), compile=True, **options)
    assert bool(asked) == expected


@has_compiler
def test_without_a_working_compiler_the_warning_says_so(tmp_path):
    torch._dynamo.reset()
    objective = objective_of()
    losses, _, _ = trained(objective)
    absent = {"cpp.cxx": (str(tmp_path / "no-such-compiler"),), "force_disable_caches": True}
    expected = r"compile needs .* a C\+\+ compiler; got .*InvalidCxxCompiler: .* Install a compiler such as g\+\+"
    with torch._inductor.config.patch(absent), pytest.warns(UserWarning, match=expected):
        compiled_losses, _, _ = trained(objective, compile=True)
    assert compiled_losses == losses
    torch._dynamo.reset()


@has_compiler
def test_compiled_training_has_the_losses_and_gradients_of_plain_training():
    torch._dynamo.reset()
    objective = objective_of()
    twin = copy.deepcopy(objective)
    found = []
    for each, enabled in ((objective, False), (twin, True)):
        with transforms_compiled(each, enabled=enabled), warnings.catch_warnings():
            warnings.filterwarnings("error", "compile needs")
            torch.manual_seed(4)
            loss = each(X)
            loss.backward()
        found.append([loss.detach(), *(parameter.grad for parameter in each.parameters())])
    for ours, plain in zip(*found):
        torch.testing.assert_close(ours, plain, rtol=1e-5, atol=1e-6)
    assert "forward" not in vars(twin.flow._transform)
    torch._dynamo.reset()


@has_compiler
def test_layers_that_start_from_their_first_batch_start_from_it_once():
    torch._dynamo.reset()
    objective = objective_of(ActNorm(2), VolumePreservingLULinear(2))
    losses, _, _ = trained(objective)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "compile")
        compiled_losses, _, compiled = trained(objective, compile=True)
    assert compiled_losses == pytest.approx(losses, rel=1e-5)
    assert all(flag for name, flag in compiled.named_buffers() if name.endswith("initialized"))
    torch._dynamo.reset()


def test_evaluations_and_everything_after_training_are_plain(monkeypatch):
    calls = []

    def counting(function, **options):
        return lambda *args, **kwargs: calls.append(0) or function(*args, **kwargs)

    monkeypatch.setattr(compilation.torch, "compile", counting)
    objective = objective_of()
    with transforms_compiled(objective, enabled=True):
        objective(X)
        assert len(calls) == 2  # a rehearsal, and the step
        objective.eval()(X)
        with torch.no_grad():
            objective.train()(X)
        objective(X)
        assert len(calls) == 3
    objective(X)
    assert len(calls) == 3


def test_errors_of_the_transform_itself_come_through(monkeypatch, recwarn):
    class Refusing(Counting):
        def forward(self, inputs, context=None):
            raise ValueError("no such inputs")

    monkeypatch.setattr(compilation.torch, "compile", lambda function, **options: function)
    objective = objective_of(Refusing())
    with pytest.raises(ValueError, match="no such inputs"):
        trained(objective, compile=True)
    assert not recwarn.list


def test_the_steps_of_a_glow_are_compiled_one_by_one_and_other_flows_as_a_whole():
    objective = small_glow()
    assert len(compiled_transforms(objective)) == 2
    assert all(isinstance(step, GlowStep) for step in compiled_transforms(objective))
    coupling = objective_of()
    assert compiled_transforms(coupling) == [coupling.flow._transform]


def test_an_objective_without_transforms_is_refused():
    class Plain(nn.Linear):
        def forward(self, x):
            return super().forward(x).square().mean()

    with pytest.raises(ValueError, match="compile needs a flow with transforms of nflows, got none in Plain"):
        fit(Plain(2, 2), X, steps=1, batch_size=5, compile=True)
