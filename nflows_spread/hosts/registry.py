"""Registry of flow libraries: which adapter serves a flow or a layer, and how to add one.

An adapter is found by the package that a class, or one of its base classes, is defined in. It is imported when a
module of that package first arrives, so that a library that is not installed costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any, cast

import torch
from torch import nn

from nflows_spread.hosts.advice import advice_on_a_flow, name_of
from nflows_spread.hosts.interface import Host, Method
from nflows_spread.hosts.overrides import overridden

_HOSTS: dict[str, Host | str] = {
    "nflows": "nflows_spread.hosts.nflows.adapter:HOST",
    "normflows": "nflows_spread.hosts.normflows.adapter:HOST",
    "zuko": "nflows_spread.hosts.zuko.adapter:HOST",
}


def register_host(package: str, host: Host | str) -> None:
    """Let an adapter serve the flows and layers of a library, in the place of any that served them before.

    Args:
        package: the top-level package in which the library defines its classes, ``"normflows"`` for example.
        host: the adapter, or where it is found when it is first needed, as ``"module:name"``.

    Raises:
        TypeError: ``host`` is neither.
        ValueError: ``package`` is no name of a top-level package, or the text has not the form ``"module:name"``.
    """
    if not isinstance(package, str) or not package.isidentifier():
        raise ValueError(f"package must be the name of a top-level package, got {package!r}")
    if not isinstance(host, Host | str):
        raise TypeError(f"host must be a Host or where to find one, 'module:name', got {host!r}; pass an instance")
    if isinstance(host, str) and not all(host.partition(":")):
        raise ValueError(f"host must be of the form 'module:name', got {host!r}")
    _HOSTS[package] = host


def registered_packages() -> tuple[str, ...]:
    """The libraries that have an adapter, whether they are installed or not."""
    return tuple(_HOSTS)


def host_named(package: str) -> Host:
    """The adapter of a library, imported if need be.

    Raises:
        ValueError: there is none.
    """
    host = _HOSTS.get(package)
    if host is None:
        raise ValueError(
            f"the flow library must be one of {', '.join(_HOSTS)}, got {package!r}; "
            "register its adapter by nflows_spread.hosts.register_host"
        )
    if isinstance(host, str):
        module, _, name = host.partition(":")
        host = _HOSTS[package] = cast(Host, getattr(import_module(module), name))
    return host


def packages_of(kind: type) -> list[str]:
    """The libraries with an adapter that a class and its base classes are defined in, the nearest first."""
    found = (base.__module__.partition(".")[0] for base in kind.__mro__)
    return list(dict.fromkeys(package for package in found if package in _HOSTS))


def hosts_for(kind: type) -> Iterator[Host]:
    """The adapters of these libraries, in the same order."""
    return map(host_named, packages_of(kind))


def host_of(flow: nn.Module) -> Host:
    """The host that a flow belongs to.

    Raises:
        TypeError: the flow is of no host that is known here, or of a subclass with a density of its own.
    """
    host = _host_or_none(flow)
    if host is None:
        raise TypeError(
            f"flow must be a flow of one of: {', '.join(_HOSTS)}; got {name_of(type(flow))}"
            f"{advice_on_a_flow(flow, _is_flow)}"
        )
    if not torch.compiler.is_compiling():
        _check_known(flow, host)
    return host


def host_of_layer(module: nn.Module) -> Host | None:
    """The host that a layer belongs to, or None for what is no layer: nets, distributions, whole flows."""
    return next((host for host in hosts_for(type(module)) if isinstance(module, host.layer_classes)), None)


def encoder_methods(objective: nn.Module) -> list[Method]:
    """The methods by which the libraries of the layers in a module encode, each once; see ``Host.encoder_methods``."""
    found: dict[tuple[int, str], Method] = {}
    waiting = [objective]
    while waiting:
        module = waiting.pop(0)
        host = host_of_layer(module)
        if host is None:
            waiting.extend(module.children())
        else:
            found |= {(id(layer), name): (layer, name) for layer, name in host.encoder_methods(module)}
    return list(found.values())


def method_of(module: nn.Module, name: str) -> Callable[..., Any]:
    """A method of a layer, see ``Host.method_of``, or of a net."""
    found = (host.method_of(module, name) for host in hosts_for(type(module)))
    method = next((each for each in found if each is not None), None)
    return cast(Callable[..., Any], getattr(module, name) if method is None else method)


def nets_of(objective: nn.Module) -> list[nn.Module]:
    """The nets of the layers in a module, each once; see ``Host.nets_of``."""
    layers = ((module, host_of_layer(module)) for module in objective.modules())
    nets = (net for layer, host in layers if host is not None for net in host.nets_of(layer))
    return list({id(net): net for net in nets}.values())


def _host_or_none(flow: nn.Module) -> Host | None:
    return next((host for host in hosts_for(type(flow)) if host.is_flow(flow)), None)


def _is_flow(module: nn.Module) -> bool:
    try:
        return _host_or_none(module) is not None
    except TypeError:  # a kind that its host refuses
        return False


def _check_known(flow: nn.Module, host: Host) -> None:
    """``TypeError`` for a flow that is more than its transform and its base, which is all that is looked at."""
    kind = next((base for base in type(flow).__mro__ if base in host.flow_classes), type(flow))
    changed = overridden(flow, kind)
    if changed:
        raise TypeError(
            f"flow must be what its transform and base make of it, got {name_of(type(flow))}, which changes "
            f"{', '.join(changed)} of {kind.__name__}; write what it adds as a layer, and build a {kind.__name__}"
        )
