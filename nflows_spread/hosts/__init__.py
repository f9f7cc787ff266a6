"""Adapters of the flow libraries: ``encode`` and ``decode`` for a flow, whichever library it comes from.

``encode`` is g, data → latent, and ``decode`` is f = g⁻¹, latent → data, for every host; which way
the host's own ``forward`` runs, what its private attributes are called and what its layers can be asked for is
known to the host's folder here and to nobody else. ``interface`` has the questions that an adapter answers, and
``register_host`` adds one for another library.
"""

from __future__ import annotations

import re

from torch import Tensor, nn

from nflows_spread import validation
from nflows_spread.argument_types import typed
from nflows_spread.data_noise import hand_on_data_noise
from nflows_spread.hosts.interface import Density, Host
from nflows_spread.hosts.placement import Placement, move, placement_of
from nflows_spread.hosts.registry import host_of, register_host
from nflows_spread.hosts.remedies import NO_INVERSE, without_inverse

__all__ = [
    "Density",
    "Host",
    "base_of",
    "decode",
    "encode",
    "encode_with_logabsdet",
    "host_of",
    "log_prob",
    "log_prob_of_base",
    "register_host",
    "samples_of_base",
    "swap_base",
    "variances_of_base",
]


def encode(flow: nn.Module, x: Tensor, context: Tensor | None = None) -> Tensor:
    """The latent z = g(x).

    Args:
        flow: an nflows ``Flow``, a normflows ``NormalizingFlow``, ``ConditionalNormalizingFlow`` or
            ``MultiscaleFlow``, or a zuko ``Flow``; the latent of a ``MultiscaleFlow`` is a vector of all levels, the
            coarsest first.
        x: data, shape (n, ...).
        context: conditioning inputs, one row for each row of ``x``, or one for all, before any embedding net.

    Returns:
        Latents, shape (n, ...).

    Raises:
        TypeError: ``x`` is no tensor, has another dtype than the flow, or is on another device.
        ValueError: ``context`` has another number of rows than ``x``.
    """
    return encode_with_logabsdet(flow, x, context)[0]


def encode_with_logabsdet(flow: nn.Module, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The latent z = g(x) and log|det J|, J the Jacobian of g at x; shapes (n, ...) and (n,)."""
    context = validation.context_of(len(validation.tensor("x", x)), context)
    host = host_of(flow)
    try:
        return host.encode(flow, x, context)
    except (RuntimeError, TypeError, *NO_INVERSE) as error:
        _explain("x", x, context, flow, host, error)
        raise


def decode(flow: nn.Module, z: Tensor, context: Tensor | None = None) -> Tensor:
    """The data x = f(z) that the flow's encoder maps to z.

    Args:
        flow: a flow of any host, as for ``encode``.
        z: latents, shape (n, ...).
        context: conditioning inputs, one row for each row of ``z``, or one for all, before any embedding net.

    Returns:
        Data, shape (n, ...).
    """
    context = validation.context_of(len(validation.tensor("z", z)), context)
    host = host_of(flow)
    try:
        return host.decode(flow, z, context)
    except (RuntimeError, TypeError, *NO_INVERSE) as error:
        _explain("z", z, context, flow, host, error)
        raise


_OF_NONE, _OF_SHAPES = re.compile("NoneType"), re.compile("cannot be multiplied|size of tensor|Sizes of tensors")
"""What torch says of a net that gets no context, and of inputs of another number of features."""

_OF_DTYPES = re.compile("not implemented for|Could not run|not currently implemented")
"""What torch says where it has no such operation for a dtype or a device."""


def _explain(name: str, value: Tensor, context: Tensor | None, flow: nn.Module, host: Host, error: Exception) -> None:
    """An error for what torch did not compute.

    Raises:
        TypeError: it has another dtype than the flow, or is on another device.
        ValueError: the context has other features than the flow was built for, or is missing; or a layer has no
            inverse.
    """
    layers = placement_of(*host.layers_of(flow))
    if None in layers or layers.holds(value):
        if (_OF_NONE if context is None else _OF_SHAPES).search(str(error)):
            given = "no context" if context is None else f"a context of shape {tuple(context.shape)}"
            raise ValueError(
                f"{name} and the context must have the features that the flow was built for, got {name} of shape "
                f"{tuple(value.shape)} and {given}, of which a layer says {str(error)!r}; pass one, (n, features), "
                "to a flow that was built for one, and to no other"
            ) from error
        if isinstance(error, NO_INVERSE) and not _OF_DTYPES.search(str(error)):
            raise without_inverse(flow, error) from error
        return
    if isinstance(error, TypeError):
        return
    got = f"{value.dtype} on {value.device}"
    if _is_as_the_base(value, flow, host):
        raise TypeError(
            f"the base of the flow must have the dtype of its layers and be on their device, {layers}, got a base of "
            f"{got}; move the flow as a whole: flow.to({str(layers.device)!r}, {layers.dtype})"
        ) from error
    raise TypeError(
        f"{name} must have the dtype of the flow and be on its device, {layers}, got {got}; "
        f"pass {name}.to({layers.dtype}), or move the flow"
    ) from error


def _is_as_the_base(value: Tensor, flow: nn.Module, host: Host) -> bool:
    try:
        return placement_of(host.base_of(flow)).holds(value)
    except TypeError:  # a flow without a base for its whole latent
        return False


def log_prob(flow: nn.Module, x: Tensor, context: Tensor | None = None) -> Tensor:
    """log p(x) = log p_Z(g(x)) + log|det J|, shape (n,), for a flow whose base does not see the context."""
    z, logabsdet = encode_with_logabsdet(flow, x, context)
    return log_prob_of_base(flow, z) + logabsdet


def log_prob_of_base(flow: nn.Module, z: Tensor) -> Tensor:
    """log p_Z(z), shape (n,), of latents (n, ...) under the base of a flow, which does not see the context."""
    return host_of(flow).log_prob_of_base(base_of(flow), validation.floating("z", z))


@typed
def samples_of_base(flow: nn.Module, num_samples: int) -> Tensor:
    """So many latents of the base of a flow, (num_samples, ...); it does not see the context."""
    return host_of(flow).samples_of_base(base_of(flow), num_samples)


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
    levels. All others keep their class, their attributes and their mode. Class labels belong to the bases of a
    class-conditional flow and go with them. The flow that is given stays as it is; the base is brought to the
    dtype and device of the flow's layers, and into its mode, and knows the σ_x that the base before it knew.

    Raises:
        TypeError: ``flow`` is of no known host, or of a subclass with a density of its own, or ``base`` is no
            module.
    """
    if not isinstance(base, nn.Module):
        raise TypeError(f"base must be a distribution that is an nn.Module, got {base!r}; build it first")
    host = host_of(flow)
    swapped = host.swap_base(flow, base)
    layers, whole = placement_of(*host.layers_of(flow)), placement_of(flow)
    move(base, Placement(layers.dtype or whole.dtype, layers.device or whole.device))
    base.train(flow.training)
    hand_on_data_noise(flow, base)
    return swapped
