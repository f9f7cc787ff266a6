"""Interface of an adapter of a flow library: all that this package asks about flows, layers and bases of a library."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

from torch import Tensor, nn

from nflows_spread.hosts.conversion_rules import Rules

Method = tuple[nn.Module, str]
"""A module and the name of one of its methods."""


class Density(Protocol):
    """What a base distribution of every host has."""

    def log_prob(self, z: Tensor) -> Tensor:
        """Log-density of latents (n, ...), shape (n,)."""


@dataclass(frozen=True)
class SavedBase:
    """How a class of base distributions is written down in a saved model.

    Attributes:
        base_class: the class.
        describe: the arguments of a base as numbers, texts, lists and dictionaries, or None if it has no such ones.
        build: a base of the same kind from these arguments; its tensors are loaded afterwards.
    """

    base_class: type[nn.Module]
    describe: Callable[[Any], dict[str, Any] | None]
    build: Callable[[Mapping[str, Any]], nn.Module]


class Host(ABC):
    """One flow library. A subclass states the facts and answers the questions; ``register_host`` makes it known.

    Two facts and five questions must be answered. The rest has an answer that is right where a library has nothing
    of the kind.

    Attributes:
        flow_classes: the classes of flows, whose parts are known.
        layer_classes: the base classes of whatever is a layer of a flow, and not a net inside one.
        encoding_method: the method by which a layer takes data towards the latent, for ``initialize``.
        net_attributes: under which names layers hold their nets, for ``precision="bf16-mixed"``.
        saved_bases: the library's own base distributions that ``save_model`` can write down.
    """

    flow_classes: tuple[type[nn.Module], ...]
    layer_classes: tuple[type[nn.Module], ...]
    encoding_method: str = "forward"
    net_attributes: tuple[str, ...] = ()
    saved_bases: tuple[SavedBase, ...] = ()

    @abstractmethod
    def encode(self, flow: nn.Module, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """(z, log|det J|) with z = g(x) and J the Jacobian of g at x; shapes (n, ...) and (n,)."""

    @abstractmethod
    def decode(self, flow: nn.Module, z: Tensor, context: Tensor | None) -> Tensor:
        """f(z), shape (n, ...)."""

    @abstractmethod
    def base_of(self, flow: nn.Module) -> nn.Module:
        """The base distribution."""

    @abstractmethod
    def layers_of(self, flow: nn.Module) -> list[nn.Module]:
        """What the encoder runs through, without base, target and embedding net."""

    @abstractmethod
    def swap_base(self, flow: nn.Module, base: nn.Module) -> nn.Module:
        """A flow with the same transform and another base; ``hosts.swapping.with_base`` serves most classes."""

    def is_flow(self, module: nn.Module) -> bool:
        """Whether the module is a flow of this library.

        Raises:
            TypeError: it is one of a kind that cannot be served; with the remedy.
        """
        return isinstance(module, type(self).flow_classes)  # torch 2.4 compiles no attribute of an instance here

    def variances_of(self, base: nn.Module) -> Tensor | None:
        """The variances, shape (D,), of a Gaussian base whose entries are independent, or None for any other base."""
        return None

    def log_prob_of_base(self, base: nn.Module, z: Tensor) -> Tensor:
        """Log-density of latents (n, ...) under a base that does not see the context, shape (n,)."""
        return cast(Density, base).log_prob(z)

    def samples_of_base(self, base: nn.Module, num_samples: int) -> Tensor:
        """So many latents of a base that does not see the context, (num_samples, ...)."""
        samples: Tensor = base.sample(num_samples)  # type: ignore[operator]
        return samples

    def method_of(self, layer: nn.Module, name: str) -> Callable[..., Any] | None:
        """A method of a layer, of those that ``encoding_method`` and ``encoder_methods`` name; None if it has none.

        Where a library's layers have no method that takes data towards the latent, the adapter gives one under a
        name of its own; it must ask ``vars(layer)`` for what stands in its place, as calls of methods do.
        """
        method: Callable[..., Any] | None = getattr(layer, name, None)
        return method

    def nets_of(self, layer: nn.Module) -> list[nn.Module]:
        """The nets that a layer itself holds, whose outputs may be rounded to bf16 without harm to the flow."""
        held = (getattr(layer, name, None) for name in self.net_attributes)
        return [net for net in held if isinstance(net, nn.Module)]

    def encoder_methods(self, layer: nn.Module) -> Iterator[Method]:
        """The methods, of a layer or of layers in it, that ``encode`` calls and ``torch.compile`` is asked for.

        Each takes a tensor (and a context) and returns one and the log-determinant. A layer is an outermost one.
        """
        yield layer, "forward"

    def conversion_rules(self) -> Rules | None:
        """What ``to_volume_preserving`` makes of the layers, or None if no layer of this library is to be converted."""
        return None
