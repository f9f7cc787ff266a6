"""``torch.compile`` of the flow's layers in training, checked against the plain ones, which are the fall-back."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from nflows_spread import validation
from nflows_spread.hosts.registry import encoder_methods
from nflows_spread.training.overridden_forward import Forward, overridden_forward

_ROUNDING = 0.05
"""The largest relative difference to the plain pass: nets in 16 bits stay below it (a convention)."""


@dataclass(frozen=True)
class CompileStrategy:
    """How ``torch.compile`` is asked, and what a warning says where it fails.

    Args:
        options: of ``torch.compile``.
        passes: until nothing is new: CUDA graphs come after a warm-up and a recording.
        warning: what it is, what it takes, how training goes on without it, and what can be done.
    """

    options: dict[str, Any]
    passes: int
    warning: str


COMPILED = CompileStrategy(
    options={"fallback_random": True},  # random numbers as torch draws them and not as the compiler would
    passes=1,
    warning="compile needs layers that torch.compile takes and, on a CPU, a C++ compiler; got {}; training goes on "
    "without it, with the same results. Install a compiler such as g++, or leave compile out",
)
GRAPHED = CompileStrategy(
    options={**COMPILED.options, "triton.cudagraphs": True, "triton.cudagraph_or_error": True},
    passes=3,
    warning="compile with CUDA graphs needs a transform that stays on one GPU and reads nothing back from it; got {}; "
    "training goes on compiled without CUDA graphs, with the same results. Nothing has to be done: they only spare "
    "launches",
)


@contextmanager
def layers_compiled(objective: nn.Module, *, enabled: bool, graphs: bool = False) -> Iterator[None]:
    """Inside, the layers of the objective's flow encode compiled in training, or as they are where that fails.

    Noise, prior and loss stay as they are: drawing, factorising and checking are what a graph breaks at. So do
    evaluations, which may want derivatives of derivatives.

    Args:
        objective: what is trained.
        enabled: whether to compile anything.
        graphs: on a GPU, replay a flow that is compiled as a whole as CUDA graphs. Their memory is written over
            from step to step, so no gradient may be kept for the next one: none is accumulated.

    Raises:
        ValueError: there is no layer that could be compiled.
    """
    methods = encoder_methods(objective) if enabled else []
    if enabled and not methods:
        raise ValueError(
            f"compile needs a flow with layers of a known library, got none in {type(objective).__name__}; leave "
            "compile out"
        )
    strategies = strategies_for([layer for layer, _ in methods]) if graphs else [COMPILED]
    with overridden_forward(methods, partial(CompiledInTraining, strategies=strategies)):
        yield


def strategies_for(layers: Sequence[nn.Module]) -> list[CompileStrategy]:
    """CUDA graphs first for one layer on a GPU; what one of many writes, the next one's rehearsal would undo."""
    devices = {parameter.device.type for layer in layers for parameter in layer.parameters()}
    return [GRAPHED, COMPILED] if len(layers) == 1 and devices == {"cuda"} else [COMPILED]


class CompiledInTraining:
    """A layer's pass in training mode by the first strategy that works, or the plain one; each failure is one warning.

    A batch of a shape that has not been met is passed forward and backward as a rehearsal, plainly and by the strategy
    in question, and the two must agree. Random numbers and buffers are afterwards what they were, and layers that start
    from their first batch have started from this one: what fails then has changed nothing.
    """

    def __init__(self, layer: nn.Module, plain: Forward, strategies: Sequence[CompileStrategy]) -> None:
        self.layer, self.plain = layer, plain
        self._strategies = list(strategies)
        self._compiled: Forward | None = None
        self._rehearsed: set[tuple[torch.Size, ...]] = set()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not self._strategies or not self.layer.training or not torch.is_grad_enabled():
            return self.plain(*args, **kwargs)
        shapes = tuple(value.shape for value in (*args, *kwargs.values()) if isinstance(value, Tensor))
        if shapes not in self._rehearsed:
            self._rehearse(*args, **kwargs)
            self._rehearsed.add(shapes)
        return (self._compiled or self.plain)(*args, **kwargs)

    def _rehearse(self, *args: Any, **kwargs: Any) -> None:
        """Find the first of the strategies that are left which does what the plain pass does."""
        expected = self._pass(self.plain, *args, **kwargs)  # its own errors have nothing to do with compiling
        while self._strategies:
            strategy = self._strategies[0]
            try:
                if self._compiled is None:
                    self._compiled = torch.compile(self.plain, dynamic=False, options=strategy.options)
                for _ in range(strategy.passes):
                    found = self._pass(self._compiled, *args, **kwargs)
                _check_agreement(found, expected)
                return
            except Exception as error:
                self._strategies.pop(0)
                self._compiled = None
                self._rehearsed.clear()
                reason = textwrap.shorten(str(error).split("\n\n")[0], 300)  # torch's advice to developers comes after
                validation.warn(strategy.warning.format(f"{type(error).__name__}: {reason}"))

    def _pass(self, forward: Forward, *args: Any, **kwargs: Any) -> list[Tensor]:
        """The outputs, and the gradients of the parameters, each as one vector in float64."""
        parameters = [parameter for parameter in self.layer.parameters() if parameter.requires_grad]
        gradients: Sequence[Tensor] = ()
        with torch.random.fork_rng(range(torch.cuda.device_count())), _buffers_restored(self.layer):
            inputs = {name: _cut_off(value) for name, value in kwargs.items()}
            z, logabsdet = map(torch.as_tensor, forward(*map(_cut_off, args), **inputs))
            energy = 0.5 * z.square().sum() + logabsdet.sum()  # of latents that are normal
            if parameters and energy.requires_grad:
                gradients = torch.autograd.grad(energy, parameters, allow_unused=True, materialize_grads=True)
        whole = ([z, logabsdet], gradients or [torch.zeros(0)])
        return [torch.cat([part.detach().flatten().to("cpu", torch.float64) for part in parts]) for parts in whole]


def _cut_off(value: Any) -> Any:
    """A copy of a tensor, as some layers change their input, from which no gradient reaches what it was made by.

    Another layer may have made it with parameters of this one, and needs its graph for the step to come.
    """
    return value.detach().requires_grad_(value.requires_grad).clone() if isinstance(value, Tensor) else value


@contextmanager
def _buffers_restored(layer: nn.Module) -> Iterator[None]:
    """Afterwards buffers are what they were, but for those of parts that have set their parameters from this batch."""
    before = [
        (
            part,
            [parameter.detach().clone() for parameter in part.parameters(recurse=False)],
            {name: buffer.clone() for name, buffer in part.named_buffers(recurse=False)},
        )
        for part in layer.modules()
    ]
    try:
        yield
    finally:
        with torch.no_grad():
            for part, parameters, buffers in before:
                if all(map(torch.equal, part.parameters(recurse=False), parameters)):
                    for name, buffer in part.named_buffers(recurse=False):
                        buffer.copy_(buffers[name])


def _check_agreement(found: Sequence[Tensor], expected: Sequence[Tensor]) -> None:
    """``RuntimeError`` where vectors differ by more than rounding, that of nets in 16 bits included."""
    for what, ours, plain in zip(("outputs", "gradients"), found, expected):
        differs = float(torch.linalg.vector_norm(ours - plain) / torch.linalg.vector_norm(plain).clamp_min(1e-6))
        if differs > _ROUNDING:  # what is not finite is for the loop to report
            raise RuntimeError(f"its {what} differ from those without it by {differs:.1%}")
