"""``torch.compile`` where it works: for the transforms of the flow, with the plain ones to fall back on."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from nflows.transforms import Transform
from torch import Tensor, nn

from nflows_spread.training.forwards import forwards_replaced
from nflows_spread.transforms import GlowStep

Forward = Callable[..., Any]


@contextmanager
def transforms_compiled(objective: nn.Module, *, enabled: bool) -> Iterator[None]:
    """Inside, the transforms of the objective run compiled in training, or as they are where that fails.

    Noise, prior and loss stay as they are: drawing, factorising and checking are what a graph breaks at. So do
    evaluations, which may want derivatives of derivatives.

    Args:
        objective: what is trained.
        enabled: whether to compile anything.

    Raises:
        ValueError: there is no transform that could be compiled.
    """
    transforms = compiled_transforms(objective) if enabled else []
    if enabled and not transforms:
        raise ValueError(
            f"compile needs a flow with transforms of nflows, got none in {type(objective).__name__}; leave compile out"
        )
    with forwards_replaced(transforms, lambda transform: CompiledInTraining(transform, transform.forward)):
        yield


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
    """A forward pass that is compiled in training mode, or the plain one, with one warning, if that cannot be done.

    A batch of a shape that has not been met is passed forward and backward as a rehearsal, after which random numbers
    and buffers are what they were: what fails then has changed nothing, and training goes on as it would have without.
    """

    def __init__(self, module: nn.Module, plain: Forward) -> None:
        self.module, self.plain = module, plain
        self._compiled: Forward | None = None
        self._rehearsed: set[tuple[torch.Size, ...]] = set()
        self._failed = False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._failed or not self.module.training or not torch.is_grad_enabled():
            return self.plain(*args, **kwargs)
        shapes = tuple(value.shape for value in (*args, *kwargs.values()) if isinstance(value, Tensor))
        if shapes not in self._rehearsed:
            try:
                self._rehearse(*args, **kwargs)
            except Exception as error:
                return self._fall_back(error, *args, **kwargs)
            self._rehearsed.add(shapes)
        return cast(Forward, self._compiled)(*args, **kwargs)

    def _rehearse(self, *args: Any, **kwargs: Any) -> None:
        if self._compiled is None:  # random numbers as torch draws them and not as the compiler would
            self._compiled = torch.compile(self.plain, dynamic=False, options={"fallback_random": True})
        buffers = {name: buffer.clone() for name, buffer in self.module.named_buffers()}
        parameters = [parameter for parameter in self.module.parameters() if parameter.requires_grad]
        try:
            with torch.random.fork_rng(range(torch.cuda.device_count())):
                z, logabsdet = self._compiled(*args, **kwargs)
                if parameters:
                    torch.autograd.grad(z.sum() + logabsdet.sum(), parameters, allow_unused=True)
        finally:
            with torch.no_grad():
                for name, buffer in self.module.named_buffers():
                    buffer.copy_(buffers[name])

    def _fall_back(self, error: Exception, *args: Any, **kwargs: Any) -> Any:
        outputs = self.plain(*args, **kwargs)  # an error that has nothing to do with compiling comes up here
        self._failed = True
        reason = " ".join(str(error).split("\n\n")[0].split())  # what torch advises to its developers comes after
        warnings.warn(
            f"compile needs a transform that torch.compile takes and, on a CPU, a C++ compiler; got "
            f"{type(error).__name__}: {reason}; training goes on without it, with the same results. Install a compiler "
            "such as g++, or leave compile out",
            stacklevel=2,
        )
        return outputs
