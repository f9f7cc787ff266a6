"""What a host says about its layers: which preserve volume, which can be made to, and why the others cannot."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

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
        layers: the base classes of what is a layer, and not a net inside one.
        skipped: names of children that hold no layers.
        containers: made of other layers alone; they preserve volume if those do.
        kept: preserve volume as they are.
        converted: how the others are converted.
        refused: base classes of layers that cannot be, and why; the first that applies.
    """

    layers: tuple[type[nn.Module], ...]
    skipped: frozenset[str]
    containers: frozenset[type[nn.Module]]
    kept: frozenset[type[nn.Module]]
    converted: Mapping[type[nn.Module], Converter]
    refused: tuple[tuple[type[nn.Module], str], ...]

    def known(self, module: nn.Module) -> type[nn.Module]:
        """The class in these rules that the module is of, or is a subclass of without changing what it does.

        Raises:
            UnconvertibleError: there is none; with the reason.
        """
        kind = type(module)
        for position, base in enumerate(kind.__mro__):
            if base in self.containers | self.kept | self.converted.keys():
                changed = _changed_names(kind.__mro__[:position], base)
                if changed:
                    raise UnconvertibleError(f"it changes {', '.join(sorted(changed))} of {base.__name__}")
                return base
        raise UnconvertibleError(next((why for base, why in self.refused if isinstance(module, base)), UNKNOWN))

    def children(self, container: nn.Module) -> list[tuple[str, nn.Module]]:
        """The layers and lists of layers right inside a container, by name."""
        wanted = (*self.layers, nn.ModuleList)
        children = container.named_children()
        return [(name, child) for name, child in children if isinstance(child, wanted) and name not in self.skipped]


def _changed_names(subclasses: tuple[type, ...], base: type) -> set[str]:
    """What of a class its subclasses define anew, but for constructors and what belongs to every module."""
    names = {name for subclass in subclasses for name in vars(subclass) if not name.startswith("__")}
    return {name for name in names if hasattr(base, name) and (name == "forward" or not hasattr(nn.Module, name))}
