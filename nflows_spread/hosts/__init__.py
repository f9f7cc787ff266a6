"""One way to speak to a flow, whichever library it comes from.

``encode`` is g, data → latent, and ``decode`` is f = g⁻¹, latent → data, for every host; which way
the host's own ``forward`` runs and what its private attributes are called is known to the host's
module here and to nobody else. A host's module is imported when a flow of that host first arrives.
"""

from __future__ import annotations

from importlib import import_module
from typing import Protocol, cast

from torch import Tensor, nn

from nflows_spread import validation

_MODULES = {"nflows": "nflows_spread.hosts.nflows", "normflows": "nflows_spread.hosts.normflows"}


class Host(Protocol):
    """What a host's module answers about a flow of that host."""

    def encode(self, flow: nn.Module, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """(z, log|det J|) with z = g(x) and J the Jacobian of g at x; shapes (n, ...) and (n,)."""

    def decode(self, flow: nn.Module, z: Tensor, context: Tensor | None) -> Tensor:
        """f(z), shape (n, ...)."""

    def base_of(self, flow: nn.Module) -> nn.Module:
        """The base distribution."""

    def swap_base(self, flow: nn.Module, base: nn.Module) -> nn.Module:
        """A flow with the same transform and another base."""

    def variances_of(self, base: nn.Module) -> Tensor | None:
        """The variances, shape (D,), of a Gaussian base whose entries are independent, or None for any other base."""


class Density(Protocol):
    """What a base distribution of every host has."""

    def log_prob(self, z: Tensor) -> Tensor:
        """Log-density of latents (n, ...), shape (n,)."""


def host_of(flow: nn.Module) -> Host:
    """The host that a flow belongs to.

    Raises:
        TypeError: the flow is of no host that is known here.
    """
    for base in type(flow).__mro__:
        module = _MODULES.get(base.__module__.partition(".")[0])
        if module is not None:
            host = cast(Host | None, import_module(module).host_for(flow))
            if host is not None:
                return host
    raise TypeError(f"flow must be a flow of one of: {', '.join(_MODULES)}; got {type(flow).__qualname__}")


def encode(flow: nn.Module, x: Tensor, context: Tensor | None = None) -> Tensor:
    """The latent z = g(x).

    Args:
        flow: an nflows ``Flow``, or a normflows ``NormalizingFlow``, ``ConditionalNormalizingFlow`` or
            ``MultiscaleFlow``; the latent of the last is a vector of all levels, the coarsest first.
        x: data, shape (n, ...).
        context: conditioning inputs, one row for each row of ``x``, before any embedding net.

    Returns:
        Latents, shape (n, ...).

    Raises:
        TypeError: ``x`` has another dtype than the flow, or is on another device.
        ValueError: ``context`` has another number of rows than ``x``.
    """
    return encode_with_logabsdet(flow, x, context)[0]


def encode_with_logabsdet(flow: nn.Module, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The latent z = g(x) and log|det J|, J the Jacobian of g at x; shapes (n, ...) and (n,)."""
    validation.context_of(len(x), context)
    try:
        return host_of(flow).encode(flow, x, context)
    except RuntimeError as error:
        _explain("x", x, flow, error)
        raise


def decode(flow: nn.Module, z: Tensor, context: Tensor | None = None) -> Tensor:
    """The data x = f(z) that the flow's encoder maps to z.

    Args:
        flow: a flow of any host, as for ``encode``.
        z: latents, shape (n, ...).
        context: conditioning inputs, one row for each row of ``z``, before any embedding net.

    Returns:
        Data, shape (n, ...).
    """
    validation.context_of(len(z), context)
    try:
        return host_of(flow).decode(flow, z, context)
    except RuntimeError as error:
        _explain("z", z, flow, error)
        raise


def _explain(name: str, value: Tensor, flow: nn.Module, error: RuntimeError) -> None:
    """``TypeError`` if what torch did not compute has another dtype than the flow, or is on another device."""
    parameter = next((p for p in flow.parameters() if p.is_floating_point()), None)
    if parameter is None or (value.dtype, value.device) == (parameter.dtype, parameter.device):
        return
    raise TypeError(
        f"{name} must have the dtype of the flow and be on its device, {parameter.dtype} on {parameter.device}, "
        f"got {value.dtype} on {value.device}; pass {name}.to({parameter.dtype}), or move the flow"
    ) from error


def log_prob(flow: nn.Module, x: Tensor, context: Tensor | None = None) -> Tensor:
    """log p(x) = log p_Z(g(x)) + log|det J|, shape (n,), for a flow whose base does not see the context."""
    z, logabsdet = encode_with_logabsdet(flow, x, context)
    base = cast(Density, base_of(flow))
    return base.log_prob(z) + logabsdet


def base_of(flow: nn.Module) -> nn.Module:
    """The base distribution of a flow.

    Raises:
        TypeError: the flow has no base for its whole latent, as normflows' ``MultiscaleFlow``.
    """
    return host_of(flow).base_of(flow)


def variances_of_base(flow: nn.Module) -> Tensor | None:
    """The variances (D,) of the host's own Gaussian base with independent entries, or None for any other base."""
    return host_of(flow).variances_of(base_of(flow))


def swap_base(flow: nn.Module, base: nn.Module) -> nn.Module:
    """A flow with the same transform (and embedding net), shared and not copied, and another base.

    For models whose class builds its own base, such as nflows' ``SimpleRealNVP``, and for normflows'
    ``MultiscaleFlow``, which becomes a ``NormalizingFlow`` of one multiscale layer and one base over all
    levels. Class labels belong to the bases of a class-conditional flow and go with them. The flow that
    is given stays as it is.

    Raises:
        TypeError: ``flow`` is of no known host, or ``base`` is no module.
    """
    if not isinstance(base, nn.Module):
        raise TypeError(f"base must be a distribution that is an nn.Module, got {base!r}; build it first")
    return host_of(flow).swap_base(flow, base)
