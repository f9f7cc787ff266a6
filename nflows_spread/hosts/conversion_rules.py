"""Conversion rules of a flow library: layers that preserve volume, that can be made to, and why the others cannot."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from nflows_spread.hosts.overrides import overridden

Memo = dict[int, Any]
"""``copy.deepcopy``'s memory, so that what two layers share the converted layers share too."""

Converter = Callable[[nn.Module, Memo], nn.Module]

UNKNOWN = "it is not known to preserve volume, nor how it could be made to"


class UnconvertibleError(Exception):
    """Why one layer cannot be made volume-preserving."""


@dataclass(frozen=True)
class Rules:
    """A host's layers.

    Attributes:
        containers: made of other layers alone; they preserve volume if those do, all that they have under the
            attributes that are given here. A subclass may have more children, which take no part as long as it
            changes no method.
        kept: preserve volume as they are.
        converted: how the others are converted.
        refused: base classes of layers that cannot be, and why; the first that applies.
    """

    containers: Mapping[type[nn.Module], tuple[str, ...]]
    kept: frozenset[type[nn.Module]]
    converted: Mapping[type[nn.Module], Converter]
    refused: tuple[tuple[type[nn.Module], str], ...]

    def known(self, module: nn.Module) -> type[nn.Module]:
        """The class in these rules that the module is of, or is a subclass of without changing what it does.

        Raises:
            UnconvertibleError: there is none; with the reason.
        """
        for base in type(module).__mro__:
            if base in self.containers or base in self.kept or base in self.converted:
                held = self.containers.get(base, ())
                changed = [*overridden(module, base), *(name for name in held if hasattr(type(module), name))]
                if changed:
                    raise UnconvertibleError(f"it changes {', '.join(changed)} of {base.__name__}")
                return base
        raise UnconvertibleError(next((why for base, why in self.refused if isinstance(module, base)), UNKNOWN))

    def layers_in(self, container: nn.Module, kind: type[nn.Module]) -> list[tuple[str, object]]:
        """The layers and lists of layers right inside a container of a kind, by name."""
        held = [(name, getattr(container, name)) for name in self.containers[kind]]
        return [(name, layer) for name, layer in held if layer is not None]
