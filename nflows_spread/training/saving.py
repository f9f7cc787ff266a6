"""A trained flow in one file that a fresh process loads without running code from it."""

from __future__ import annotations

import copy
import inspect
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from torch import nn

from nflows_spread import models
from nflows_spread.argument_types import typed
from nflows_spread.factors import KINDS
from nflows_spread.hosts import base_of
from nflows_spread.hosts.bases import base_from, describe_base
from nflows_spread.training.archives import read_archive, write_archive
from nflows_spread.training.comparison import (
    architecture_of,
    check_same_architecture,
    check_same_results,
    check_same_shapes,
)
from nflows_spread.training.randomness import isolated_randomness

_KIND = "model"
_VERSION = 1

Builder = Callable[..., nn.Module]


def save_model(path: str | Path, flow: nn.Module, *, build: Builder, config: Mapping[str, Any]) -> None:
    """Write a flow to a file: how it is built, as JSON, and its tensors.

    Args:
        path: the file. It is replaced in one go, or not at all.
        flow: the trained flow.
        build: the function that built it, ``coupling_flow`` for example, or one of your own, which
            ``load_model`` then needs too.
        config: its keyword arguments but for ``base`` and generators: numbers, texts, lists and dictionaries.

    Raises:
        TypeError: ``config`` has values that JSON has not, or the base is of no kind that can be written down.
        ValueError: ``build(**config)`` is another model than ``flow``: in its tensors, its parts, or what it computes.
        OSError: the file cannot be written.

    Example:
        >>> import tempfile, torch
        >>> from nflows_spread.models import coupling_flow
        >>> config = {"features": 2, "layers": 2}
        >>> flow = coupling_flow(**config)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_model(f"{folder}/flow.pt", flow, build=coupling_flow, config=config)
        ...     again = load_model(f"{folder}/flow.pt")
        >>> bool((again.log_prob(torch.ones(1, 2)) == flow.log_prob(torch.ones(1, 2))).all())
        True
    """
    base = _describe(base_of(flow), build)
    try:
        text = json.dumps({"config": dict(config), "base": base})
    except TypeError as error:
        raise TypeError(f"config must hold numbers, texts, lists and dictionaries alone, got {dict(config)}") from error
    rebuilt, source = _build(build, json.loads(text)), "build(**config)"
    tensors = {name: tensor.detach().cpu() for name, tensor in flow.state_dict().items()}
    check_same_shapes(source, rebuilt.state_dict(), flow)
    check_same_architecture(source, architecture_of(rebuilt), flow)
    rebuilt.load_state_dict(tensors, assign=True)
    check_same_results(source, rebuilt, flow)
    content = {"builder": _name_of(build), "architecture": text, "tensors": tensors, "parts": architecture_of(flow)}
    write_archive(Path(path), _KIND, _VERSION, content)


@typed
def load_model(path: str | Path, *, build: Builder | None = None, flow: nn.Module | None = None) -> nn.Module:
    """The flow that ``save_model`` wrote, on the CPU and in evaluation mode.

    Args:
        path: the file.
        build: the function that builds the flow, where it is not one of ``nflows_spread.models``.
        flow: give the tensors to this flow and return it, in place of building one.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, a pickle, of another kind, or of another model than ``flow``.
    """
    content = read_archive(path, _KIND, _VERSION)
    tensors = content["tensors"]
    builder = build or _library_builders().get(content["builder"])
    if builder is None and flow is None:
        raise ValueError(
            f"{path} must come with the function that builds its flow, got none; pass build ({content['builder']})"
        )
    rebuilt = None
    if builder is not None:
        rebuilt = _build(builder, json.loads(content["architecture"]))
        check_same_shapes(str(path), tensors, rebuilt)
        if build is not None and "parts" in content:  # older versions did not write them
            check_same_architecture(str(path), content["parts"], rebuilt)
        rebuilt.load_state_dict(tensors, assign=True)  # so it takes each tensor's dtype as it was saved
    if flow is None:
        return cast(nn.Module, rebuilt).eval()
    check_same_shapes(str(path), tensors, flow)
    if "parts" in content:
        check_same_architecture(str(path), content["parts"], flow)
    before = copy.deepcopy(flow.state_dict())
    flow.load_state_dict(tensors)
    if rebuilt is not None:
        try:
            check_same_results(str(path), rebuilt, flow)
        except ValueError:
            flow.load_state_dict(before)
            raise
    return flow.eval()


def _library_builders() -> dict[str, Builder]:
    named = {name: getattr(models, name) for name in models.__all__}
    return {name: function for name, function in named.items() if inspect.isfunction(function)}


def _name_of(build: Builder) -> str:
    names = [name for name, function in _library_builders().items() if function is build]
    return names[0] if names else f"your {getattr(build, '__name__', 'function')}"


def _build(build: Builder, architecture: Mapping[str, Any]) -> nn.Module:
    """What the builder makes of its arguments. Its first values are written over, so no draw of them may be missed."""
    base = architecture["base"]
    with isolated_randomness():
        arguments = {} if base is None else {"base": base_from(base)}
        return build(**architecture["config"], **arguments)


def _describe(base: nn.Module, build: Builder) -> dict[str, Any] | None:
    """What ``base_from`` needs, or None for a builder that makes the base itself."""
    if "base" not in inspect.signature(build).parameters:
        return None
    description = describe_base(base)
    if description is None:
        raise TypeError(
            "the base must be a Gaussian of the flow's library whose class its adapter names, as StandardNormal, or a "
            f"DegenerateGaussian with a factor of {', '.join(KINDS)}, got {type(base).__name__}; use a build of your "
            "own that makes the base itself, or make a kind of factor of your own known by "
            "nflows_spread.factors.KINDS.register"
        )
    return description
