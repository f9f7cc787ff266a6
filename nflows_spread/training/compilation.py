"""``torch.compile`` where it works: for the transforms of the flow, with the plain ones to fall back on."""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from nflows.transforms import Transform
from torch import Tensor, nn

from nflows_spread.training.forwards import forwards_replaced
from nflows_spread.transforms import GlowStep

Forward = Callable[..., Any]

_ROUNDING = 0.05


@dataclass(frozen=True)
class Way:
    """How ``torch.compile`` is asked, and what a warning says where it fails.

    Args:
        options: of ``torch.compile``.
        passes: until nothing is new: CUDA graphs come after a warm-up and a recording.
        name, needs, otherwise, remedy: what it is, what it takes, how training goes on without it, and what can be
            done.
    """

    options: dict[str, Any]
    passes: int
    name: str
    needs: str
    otherwise: str
    remedy: str


COMPILED = Way(
    options={"fallback_random": True},  # random numbers as torch draws them and not as the compiler would
    passes=1,
    name="compile",
    needs="a transform that torch.compile takes and, on a CPU, a C++ compiler",
    otherwise="without it",
    remedy="Install a compiler such as g++, or leave compile out",
)
GRAPHED = Way(
    options={**COMPILED.options, "triton.cudagraphs": True, "triton.cudagraph_or_error": True},
    passes=3,
    name="compile with CUDA graphs",
    needs="a transform that stays on one GPU and reads nothing back from it",
    otherwise="compiled without CUDA graphs",
    remedy="Nothing has to be done: they only spare launches",
)


@contextmanager
def transforms_compiled(objective: nn.Module, *, enabled: bool, graphs: bool = False) -> Iterator[None]:
    """Inside, the transforms of the objective run compiled in training, or as they are where that fails.

    Noise, prior and loss stay as they are: drawing, factorising and checking are what a graph breaks at. So do
    evaluations, which may want derivatives of derivatives.

    Args:
        objective: what is trained.
        enabled: whether to compile anything.
        graphs: on a GPU, replay a transform that is compiled as a whole as CUDA graphs. Their memory is written over
            from step to step, so no gradient may be kept for the next one: none is accumulated.

    Raises:
        ValueError: there is no transform that could be compiled.
    """
    transforms = compiled_transforms(objective) if enabled else []
    if enabled and not transforms:
        raise ValueError(
            f"compile needs a flow with transforms of nflows, got none in {type(objective).__name__}; leave compile out"
        )
    ways = ways_for(transforms) if graphs else [COMPILED]
    with forwards_replaced(transforms, lambda transform: CompiledInTraining(transform, transform.forward, ways)):
        yield


def ways_for(transforms: Sequence[nn.Module]) -> list[Way]:
    """CUDA graphs first for one transform on a GPU; what one of many writes, the next one's rehearsal would undo."""
    devices = {parameter.device.type for transform in transforms for parameter in transform.parameters()}
    return [GRAPHED, COMPILED] if len(transforms) == 1 and devices == {"cuda"} else [COMPILED]


def compiled_transforms(objective: nn.Module) -> list[nn.Module]:
    """The steps of a Glow, of which all of one shape share one compilation, or else the outermost transforms."""
    steps: list[nn.Module] = [module for module in objective.modules() if isinstance(module, GlowStep)]
    return steps or _outermost_transforms(objective)


def _outermost_transforms(objective: nn.Module) -> list[nn.Module]:
    """Those that are no part of another one."""
    found: list[nn.Module] = []
    waiting = [objective]
    while waiting:
        module = waiting.pop()
        if not isinstance(module, Transform):
            waiting.extend(module.children())
        elif module not in found:
            found.append(module)
    return found


class CompiledInTraining:
    """A forward pass in training mode by the first way that works, or the plain one; each failure is one warning.

    A batch of a shape that has not been met is passed forward and backward as a rehearsal, plainly and by the way in
    question, and the two must agree. Random numbers and buffers are afterwards what they were, and layers that start
    from their first batch have started from this one: what fails then has changed nothing, and training goes on as it
    would have without.
    """

    def __init__(self, module: nn.Module, plain: Forward, ways: Sequence[Way]) -> None:
        self.module, self.plain = module, plain
        self._ways = list(ways)
        self._compiled: Forward | None = None
        self._rehearsed: set[tuple[torch.Size, ...]] = set()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not self._ways or not self.module.training or not torch.is_grad_enabled():
            return self.plain(*args, **kwargs)
        shapes = tuple(value.shape for value in (*args, *kwargs.values()) if isinstance(value, Tensor))
        if shapes not in self._rehearsed:
            self._rehearse(*args, **kwargs)
            self._rehearsed.add(shapes)
        return (self._compiled or self.plain)(*args, **kwargs)

    def _rehearse(self, *args: Any, **kwargs: Any) -> None:
        """Find the first of the ways that are left which does what the plain pass does."""
        expected = self._pass(self.plain, *args, **kwargs)  # its own errors have nothing to do with compiling
        while self._ways:
            way = self._ways[0]
            try:
                if self._compiled is None:
                    self._compiled = torch.compile(self.plain, dynamic=False, options=way.options)
                for _ in range(way.passes):
                    found = self._pass(self._compiled, *args, **kwargs)
                _check_agreement(found, expected)
                return
            except Exception as error:
                self._ways.pop(0)
                self._compiled = None
                self._rehearsed.clear()
                _warn(way, error)

    def _pass(self, forward: Forward, *args: Any, **kwargs: Any) -> list[Tensor]:
        """Copies of the outputs, and of the gradients of the parameters, each as one vector in float64."""
        parameters = [parameter for parameter in self.module.parameters() if parameter.requires_grad]
        gradients: Sequence[Tensor] = ()
        with torch.random.fork_rng(range(torch.cuda.device_count())), _buffers_restored(self.module):
            z, logabsdet = forward(*args, **kwargs)
            if parameters:
                energy = 0.5 * z.square().sum() + logabsdet.sum()  # of latents that are normal
                gradients = torch.autograd.grad(energy, parameters, allow_unused=True, materialize_grads=True)
        return [_copied([z, logabsdet]), _copied(gradients)]


@contextmanager
def _buffers_restored(module: nn.Module) -> Iterator[None]:
    """Afterwards buffers are what they were, but for those of layers that have changed their own parameters.

    nflows' ``ActNorm`` starts from the first batch that it meets. It has now met it.
    """
    before = [
        (
            layer,
            [parameter.detach().clone() for parameter in layer.parameters(recurse=False)],
            {name: buffer.clone() for name, buffer in layer.named_buffers(recurse=False)},
        )
        for layer in module.modules()
    ]
    try:
        yield
    finally:
        with torch.no_grad():
            for layer, parameters, buffers in before:
                if all(map(torch.equal, layer.parameters(recurse=False), parameters)):
                    for name, buffer in layer.named_buffers(recurse=False):
                        buffer.copy_(buffers[name])


def _copied(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([torch.zeros(0), *(tensor.detach().flatten().to("cpu", torch.float64) for tensor in tensors)])


def _check_agreement(found: Sequence[Tensor], expected: Sequence[Tensor]) -> None:
    """``RuntimeError`` where vectors differ by more than rounding, that of nets in 16 bits included."""
    for what, ours, plain in zip(("outputs", "gradients"), found, expected):
        differs = float(torch.linalg.vector_norm(ours - plain) / torch.linalg.vector_norm(plain).clamp_min(1e-6))
        if differs > _ROUNDING:  # what is not finite is for the loop to report
            raise RuntimeError(f"its {what} differ from those without it by {differs:.1%}")


def _warn(way: Way, error: Exception) -> None:
    reason = textwrap.shorten(str(error).split("\n\n")[0], 300)  # what torch advises to its developers comes after
    warnings.warn(
        f"{way.name} needs {way.needs}; got {type(error).__name__}: {reason}; training goes on {way.otherwise}, "
        f"with the same results. {way.remedy}",
        stacklevel=2,
    )
