"""``fit(..., compile=True)``: that it changes nothing, and what happens where it cannot be done."""

import shutil
import warnings
from types import SimpleNamespace

import pytest
import torch
from nflows.transforms import ActNorm
from torch import nn

from compiled_toys import Counting, X, compiled_as, objective_of, trained
from nflows_spread.training import compilation, fit
from nflows_spread.training.compilation import COMPILED, GRAPHED, layers_compiled, strategies_for
from nflows_spread.transforms import VolumePreservingLULinear

has_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="there is no C++ compiler")


@pytest.fixture
def fresh_compiler():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def fails_at_once(function):
    raise RuntimeError("torch.compile is not supported here\n\nand more")


def fails_when_called(function):
    def compiled(*args, **kwargs):
        torch.rand(7)
        raise RuntimeError("torch.compile is not supported here")

    return compiled


def fails_backward(function):
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


def with_latents(change):
    """A compiler whose latents are something else."""

    def compiling(function):
        def compiled(*args, **kwargs):
            z, logabsdet = function(*args, **kwargs)
            return change(z), logabsdet

        return compiled

    return compiling


answers_wrongly = with_latents(lambda z: 1.2 * z)
learns_wrongly = with_latents(lambda z: z.detach() + 0.5 * (z - z.detach()))


@pytest.mark.parametrize("broken", [fails_at_once, fails_when_called, fails_backward])
@pytest.mark.parametrize("build", [objective_of, lambda: objective_of(Counting())], ids=["coupling", "counting"])
def test_where_compiling_fails_training_goes_on_with_the_same_results_and_one_warning(broken, build, monkeypatch):
    objective = build()
    losses, parameters, plain = trained(objective)
    compiled_as(broken, monkeypatch)
    with pytest.warns(UserWarning, match=r"got RuntimeError: torch.compile is not supported here; training") as found:
        compiled_losses, compiled_parameters, compiled = trained(objective, compile=True)
    assert sum("compile needs" in str(warning.message) for warning in found) == 1
    assert compiled_losses == losses
    assert all(map(torch.equal, compiled_parameters, parameters))
    assert all(map(torch.equal, compiled.buffers(), plain.buffers()))


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [(answers_wrongly, r"its outputs differ .* by 20\.0%"), (learns_wrongly, "its gradients differ")],
)
def test_what_does_not_do_what_the_plain_pass_does_is_left_alone(wrong, expected, monkeypatch):
    objective = objective_of()
    losses, _, _ = trained(objective)
    compiled_as(wrong, monkeypatch)
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
    monkeypatch.setattr(compilation, "strategies_for", lambda layers: [GRAPHED, COMPILED])
    expected = "compile with CUDA graphs needs .*; got RuntimeError: .*; training goes on compiled without CUDA graphs"
    with pytest.warns(UserWarning, match=expected) as found:
        graphed_losses, _, graphed = trained(objective, compile=True)
    assert sum("training goes on" in str(warning.message) for warning in found) == 1
    assert asked == [True, False]
    assert graphed_losses == losses
    assert all(map(torch.equal, graphed.buffers(), plain.buffers()))


def test_cuda_graphs_are_rehearsed_until_they_are_replayed(monkeypatch):
    """The first pass warms up, the second records, and the third is what training will see."""
    calls = compiled_as(None, monkeypatch)
    monkeypatch.setattr(compilation, "strategies_for", lambda layers: [GRAPHED])
    objective = objective_of()
    with layers_compiled(objective, enabled=True, graphs=True):
        objective(X)
    assert len(calls) == 3 + 1


def test_cuda_graphs_are_for_one_layer_that_is_on_a_gpu():
    parameter = SimpleNamespace(device=torch.device("cuda"))
    on_cpu, on_gpu = objective_of().flow, SimpleNamespace(parameters=lambda: [parameter])
    assert strategies_for([on_cpu]) == strategies_for([on_gpu, on_gpu]) == [COMPILED]
    assert strategies_for([on_gpu]) == [GRAPHED, COMPILED]


@pytest.mark.parametrize(("options", "expected"), [({}, True), ({"accumulate": 2}, False)], ids=str)
def test_cuda_graphs_are_not_asked_for_where_gradients_accumulate(options, expected, monkeypatch):
    asked = []
    compiled_as(None, monkeypatch)
    monkeypatch.setattr(compilation, "strategies_for", lambda layers: asked.append(True) or [])
    trained(objective_of(), compile=True, **options)
    assert bool(asked) == expected


@has_compiler
@pytest.mark.usefixtures("fresh_compiler")
def test_without_a_working_compiler_the_warning_says_so(tmp_path):
    objective = objective_of()
    losses, _, _ = trained(objective)
    absent = {"cpp.cxx": (str(tmp_path / "no-such-compiler"),), "force_disable_caches": True}
    expected = r"compile needs .* a C\+\+ compiler; got .*InvalidCxxCompiler: .* Install a compiler such as g\+\+"
    with torch._inductor.config.patch(absent), pytest.warns(UserWarning, match=expected):
        compiled_losses, _, _ = trained(objective, compile=True)
    assert compiled_losses == losses


@has_compiler
@pytest.mark.usefixtures("fresh_compiler")
def test_layers_that_start_from_their_first_batch_start_from_it_once():
    objective = objective_of(ActNorm(2), VolumePreservingLULinear(2))
    losses, _, _ = trained(objective)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "compile needs")
        compiled_losses, _, compiled = trained(objective, compile=True)
    assert compiled_losses == pytest.approx(losses, rel=1e-5)
    assert all(flag for name, flag in compiled.named_buffers() if name.endswith("initialized"))


def test_evaluations_and_everything_after_training_are_plain(monkeypatch):
    calls = compiled_as(None, monkeypatch)
    objective = objective_of()
    with layers_compiled(objective, enabled=True):
        objective(X)
        assert len(calls) == 2  # a rehearsal, and the step
        objective.eval()(X)
        with torch.no_grad():
            objective.train()(X)
        objective(X)
        assert len(calls) == 3
    objective(X)
    assert len(calls) == 3


def test_errors_of_the_layer_itself_come_through(monkeypatch, recwarn):
    class Refusing(Counting):
        def forward(self, inputs, context=None):
            raise ValueError("no such inputs")

    compiled_as(None, monkeypatch)
    with pytest.raises(ValueError, match="no such inputs"):
        trained(objective_of(Refusing()), compile=True)
    assert not recwarn.list


def test_an_objective_without_layers_is_refused():
    class Plain(nn.Linear):
        def forward(self, x):
            return super().forward(x).square().mean()

    with pytest.raises(ValueError, match="compile needs a flow with layers of a known library, got none in Plain"):
        fit(Plain(2, 2), X, steps=1, batch_size=5, compile=True)
