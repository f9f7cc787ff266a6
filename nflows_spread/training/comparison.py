"""Whether two models are the same: the shapes of their tensors, what their parts are, and what they compute."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from nflows_spread.hosts import decode, encode_with_logabsdet, log_prob_of_base, samples_of_base
from nflows_spread.hosts.evaluation_mode import evaluating
from nflows_spread.hosts.registry import registered_packages
from nflows_spread.training.randomness import isolated_randomness

_ROWS = 4
"""Points at which results are compared: a choice, for time."""

_DIFFERENT = 1e-3
"""A result differs if it does so by this share of its size, which rounding does not reach."""

_OF_NO_EFFECT = ("training", "checkpointing", "using_cache", "inplace")
"""Attributes by which a part is computed otherwise, with the same result."""

Settings = Mapping[str, str]
_Value = TypeVar("_Value")


def check_same_shapes(source: str, tensors: Mapping[str, Any], module: nn.Module) -> None:
    """``ValueError`` unless ``tensors`` are those of ``module``, by name and shape; the first differences are named."""
    here = {name: tuple(value.shape) for name, value in module.state_dict().items() if isinstance(value, Tensor)}
    there = {name: tuple(value.shape) for name, value in tensors.items() if isinstance(value, Tensor)}
    for name, shape in there.items():  # the record of the data noise was one number once, and is read as such
        if name.endswith("_data_noise") and shape == () and here.get(name) == (2,):
            there[name] = (2,)
    differences = {
        name: f"{name} is {there.get(name, 'absent')} and not {here.get(name, 'absent')}"
        for name in {**here, **there}
        if here.get(name) != there.get(name)
    }
    _refuse(source, "tensors", differences)


def architecture_of(module: nn.Module) -> dict[str, dict[str, str]]:
    """What each part within a module is, by name: its class and, for classes of a library, its settings.

    Settings are the numbers, texts and functions among its public attributes, none of which a state dict holds:
    where a spline ends, which activation a net has. Attributes of a user's own class may be anything, and stay out.
    """
    return {name: dict(_described(part)) for name, part in module.named_modules() if name}


def check_same_architecture(source: str, parts: Mapping[str, Settings], module: nn.Module) -> None:
    """``ValueError`` unless the parts of ``module`` are these, in all settings that both know."""
    here, differences = architecture_of(module), {}
    for name in {**here, **parts}:
        if name not in here or name not in parts:
            differences[name] = f"{name} is {'absent' if name not in parts else 'there'}"
            continue
        for setting, value in parts[name].items():
            now = here[name].get(setting, value)
            if now != value:
                of_it = "" if setting == "class" else f".{setting}"
                differences[name] = f"{name}{of_it} is {value} and not {now}"
                break
    _refuse(source, "parts", differences)


@torch.no_grad()
def check_same_results(source: str, other: nn.Module, flow: nn.Module) -> None:
    """``ValueError`` if two flows with the same parameters differ in latents, log-determinants or densities.

    They are compared where the base of ``flow`` lets points lie. A flow that cannot be asked without more being known,
    as one whose context is of unknown shape, passes; and what a flow estimates by chance, as ``Residual`` of normflows
    its log-determinants, is not compared.
    """
    flow, other = _on_the_cpu(flow), _on_the_cpu(other)
    with evaluating(flow), evaluating(other), isolated_randomness(flow), isolated_randomness(other):
        for context in _contexts_for(flow):
            points = _attempt(_points_of, flow, context)
            expected = None if points is None else _attempt(_results, flow, points, context)
            if points is None or expected is None:
                continue
            found = _attempt(_results, other, points, context) or {}
            again = _attempt(_results, flow, points, context) or {}
            for name in expected:  # in this order: an intersection of keys would name another one in each process
                if name not in found or name not in again or _difference(again[name], expected[name]) > _DIFFERENT:
                    continue
                difference = _difference(found[name], expected[name])
                if difference > _DIFFERENT:
                    raise ValueError(
                        f"{source} must be of the same model, got one with the same tensors whose {name} differ by "
                        f"{difference:.3g} of their size; pass what this flow was built with"
                    )
            return


def _described(part: nn.Module) -> Iterator[tuple[str, str]]:
    kind = type(part)
    yield "class", kind.__qualname__
    if kind.__module__.partition(".")[0] not in ("nflows_spread", "torch", *registered_packages()):
        return
    for name, value in vars(part).items():
        if name.startswith("_") or name in _OF_NO_EFFECT:
            continue
        if isinstance(value, bool | int | float | str):
            yield name, repr(value)
        elif callable(value) and hasattr(value, "__name__") and not isinstance(value, nn.Module):
            yield name, value.__name__


def _refuse(source: str, kind: str, differences: Mapping[str, str]) -> None:
    if differences:
        shown = ", ".join(list(differences.values())[:3])
        raise ValueError(
            f"{source} must be of the same model, got {len(differences)} {kind} that differ: {shown}; build both alike"
        )


def _on_the_cpu(flow: nn.Module) -> nn.Module:
    """The flow, or a copy if it is elsewhere: two devices round differently."""
    if all(parameter.device.type == "cpu" for parameter in flow.parameters()):
        return flow
    return _attempt(_copied_to_the_cpu, flow) or flow


def _copied_to_the_cpu(flow: nn.Module) -> nn.Module:
    return copy.deepcopy(flow).cpu()


def _contexts_for(flow: nn.Module) -> Iterator[Tensor | None]:
    """None, and contexts of the widths that nets name."""
    yield None
    widths = {getattr(part, "context_features", None) for part in flow.modules()}
    like = next(flow.parameters())
    for width in sorted(width for width in widths if isinstance(width, int)):
        yield torch.randn(_ROWS, width, dtype=like.dtype, device=like.device)


def _points_of(flow: nn.Module, context: Tensor | None) -> Tensor:
    z = samples_of_base(flow, _ROWS)
    x = _attempt(decode, flow, z, context)
    return z if x is None else x  # a transform without an inverse, of vectors


def _results(flow: nn.Module, x: Tensor, context: Tensor | None) -> dict[str, Tensor]:
    z, logabsdet = encode_with_logabsdet(flow, x, context)
    log_prob = _attempt(log_prob_of_base, flow, z)
    densities = {} if log_prob is None else {"densities": log_prob + logabsdet}
    return {"latents": z, "log-determinants": logabsdet, **densities}


def _attempt(call: Callable[..., _Value], *args: Any) -> _Value | None:
    """What the call gives, or None where a flow cannot be asked this way, whatever it raises then."""
    try:
        return call(*args)
    except Exception:
        return None


def _difference(found: Tensor, expected: Tensor) -> float:
    """The largest difference over the largest value, at least 1, of what is finite; infinite where not both are."""
    finite = expected.isfinite()
    if not torch.equal(found.isfinite(), finite):
        return math.inf
    if not bool(finite.any()):
        return 0.0
    size = float(expected[finite].abs().max().clamp_min(1.0))
    return float((found - expected)[finite].abs().max()) / size
