"""The lazy transforms of zuko, run one by one in either direction.

Not through the distribution, because some of what zuko does on the way would spoil a result: monotonic transforms are
inverted by bisection to 1e-6, integrals pass no gradient to the weights of their nets in evaluation mode and have
second derivatives that are wrong without an error, and what they keep from ``torch.inference_mode`` cannot be trained.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import MethodType

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Transform
from torch.distributions.transforms import _InverseTransform
from zuko.flows.autoregressive import MaskedAutoregressiveTransform
from zuko.flows.continuous import FFJTransform
from zuko.flows.coupling import GeneralCouplingTransform
from zuko.flows.gaussianization import ElementWiseTransform
from zuko.lazy import Flow, LazyComposedTransform, LazyInverse
from zuko.transforms import (
    AutoregressiveTransform,
    ComposedTransform,
    CouplingTransform,
    DependentTransform,
    MonotonicTransform,
    UnconstrainedMonotonicTransform,
)

from nflows_spread.hosts.overrides import overridden

ENCODE = "encode_rows"
"""The name under which a call of a layer's encoder can be replaced; zuko's layers have no such method."""

_NEWTON_STEPS = 2
"""Steps after a bisection to 1e-6, each of which squares the error: beyond what float64 resolves."""

_TRUSTED_STEP = 1e-4
"""The longest of these steps, 100 times what bisection leaves: where it is longer, bisection met the end of its
interval. A choice."""

_sought: ContextVar[list[MonotonicTransform] | None] = ContextVar("sought", default=None)
"""The transforms that were inverted by bisection since somebody asked."""

Encoder = Callable[[Tensor, Tensor | None], tuple[Tensor, Tensor]]


def encoder_of(layer: nn.Module) -> Encoder:
    """What takes rows (n, D) and a context through a layer: what stands in ``vars`` of it, or ``up``."""
    replaced: Encoder | None = vars(layer).get(ENCODE)
    return MethodType(up, layer) if replaced is None else replaced


def up(layer: nn.Module, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Data → latent through one lazy transform, and log|det J|: shapes (n, D) and (n,)."""
    if isinstance(layer, LazyComposedTransform) and not overridden(layer, LazyComposedTransform):
        total = x.new_zeros(len(x))
        for part in layer.transforms:
            x, logabsdet = encoder_of(part)(x, context)
            total = total + logabsdet
        return x, total
    if isinstance(layer, LazyInverse) and not overridden(layer, LazyInverse):
        z = down(layer.transform, x, context)
        return z, -up(layer.transform, z, context)[1]
    z, logabsdet = _applied(layer(context), x)
    return z, logabsdet if logabsdet.dim() == 1 else logabsdet.flatten(1).sum(1)


def down(layer: nn.Module, z: Tensor, context: Tensor | None = None) -> Tensor:
    """Latent → data through one lazy transform."""
    if isinstance(layer, LazyComposedTransform) and not overridden(layer, LazyComposedTransform):
        for part in reversed(layer.transforms):
            z = down(part, z, context)
        return z
    if isinstance(layer, LazyInverse) and not overridden(layer, LazyInverse):
        return up(layer.transform, z, context)[0]
    return _inverted(layer(context), z)


@contextmanager
def gradients_of_all_parameters(flow: Flow) -> Iterator[None]:
    """Inside, differential equations pass gradients to the weights of their nets, as otherwise in training alone."""
    held = [part for part in flow.transform.modules() if isinstance(part, FFJTransform) and not part.training]
    for part in held:
        part.training = True  # of this module alone: nothing else in it depends on it
    try:
        yield
    finally:
        for part in held:
            part.training = False


@contextmanager
def bisections() -> Iterator[list[MonotonicTransform]]:
    """A list to which each transform comes that is inverted by bisection, and may meet the end of its interval."""
    sought: list[MonotonicTransform] = []
    token = _sought.set(sought)
    try:
        yield sought
    finally:
        _sought.reset(token)


def context_features_of(flow: Flow) -> set[int]:
    """The numbers of context features that the layers of a flow were built with, of those that tell."""
    found = set[int]()
    for layer in flow.transform.modules():
        hyper = getattr(layer, "hyper", None)
        if isinstance(layer, ElementWiseTransform):
            own: int | None = 0
        elif isinstance(layer, GeneralCouplingTransform):
            own = int(layer.mask.sum())
        elif isinstance(layer, MaskedAutoregressiveTransform):
            own = None if layer.order is None else len(layer.order)
        else:
            continue
        width = getattr(hyper, "in_features", None if hyper is not None else 0)
        if own is not None and width is not None:
            found.add(width - own)
    return found


def _applied(transform: Transform, x: Tensor) -> tuple[Tensor, Tensor]:
    """f(x) and its log-determinant, as ``transform.call_and_ladj`` finds them, and integrals by plain operations."""
    if isinstance(transform, ComposedTransform) and transform.domain.event_dim == 0:
        total = torch.zeros_like(x)
        for part in transform.transforms:
            x, logabsdet = _applied(part, x)
            total = total + logabsdet
        return x, total
    if isinstance(transform, DependentTransform):
        y, logabsdet = _applied(transform.base, x)
        return y, logabsdet.flatten(-transform.reinterpreted).sum(-1)
    if isinstance(transform, AutoregressiveTransform):
        return _applied(transform.meta(x), x)
    if isinstance(transform, CouplingTransform):
        kept, changed = transform.split(x)
        y, logabsdet = _applied(transform.meta(kept), changed)
        return transform.merge(kept, y, x.shape), logabsdet
    if isinstance(transform, UnconstrainedMonotonicTransform):
        return _integral(transform.g, x, transform.n), transform.g(x).log()
    result: tuple[Tensor, Tensor] = transform.call_and_ladj(x)  # type: ignore[attr-defined]
    return result


def _integral(function: Callable[[Tensor], Tensor], x: Tensor, points: int) -> Tensor:
    """∫₀ˣ of a function by Gauss and Legendre's rule, as in zuko, with the function as its derivative.

    Plain operations, which can be differentiated twice: the midpoint rule over no width adds nothing but derivatives.
    """
    end = x.detach()
    nodes, weights = (x.new_tensor(values) for values in np.polynomial.legendre.leggauss(points))
    values = function(0.5 * end * (nodes.view(-1, *[1] * x.dim()) + 1.0))
    return 0.5 * end * torch.tensordot(weights, values, dims=1) + (x - end) * function(0.5 * (x + end))


def _inverted(transform: Transform, y: Tensor) -> Tensor:
    """x with f(x) = y, as ``transform.inv`` finds it, and monotonic functions to the precision of the dtype."""
    if isinstance(transform, ComposedTransform):
        for part in reversed(transform.transforms):
            y = _inverted(part, y)
        return y
    if isinstance(transform, _InverseTransform):
        return transform.inv(y)
    if isinstance(transform, DependentTransform):
        return _inverted(transform.base, y)
    if isinstance(transform, AutoregressiveTransform):
        x = torch.zeros_like(y)
        for _ in range(transform.passes):
            x = _inverted(transform.meta(x), y)
        return x
    if isinstance(transform, CouplingTransform):
        kept, changed = transform.split(y)
        return transform.merge(kept, _inverted(transform.meta(kept), changed), y.shape)
    x = transform.inv(y)
    if not isinstance(transform, MonotonicTransform):
        return x
    if (sought := _sought.get()) is not None:
        sought.append(transform)
    return _refined(transform, x, y)


def _refined(transform: MonotonicTransform, x: Tensor, y: Tensor) -> Tensor:
    """Newton's steps x + (y − f(x)) / f′(x) from what bisection found, with the derivatives of an inverse function."""
    found, x = x, x.detach()
    for _ in range(_NEWTON_STEPS):
        value, log_slope = _applied(transform, x)
        with torch.no_grad():
            near = ((y - value) * torch.exp(-log_slope)).abs() <= _TRUSTED_STEP
        step = torch.where(near, y - value, 0.0) * torch.exp(-torch.where(near, log_slope, 0.0))
        x = torch.where(near, x + step, found)
    return x


LAYERS_IN: dict[type[nn.Module], tuple[str, ...]] = {
    Flow: ("transform",),
    LazyComposedTransform: ("transforms",),
    LazyInverse: ("transform",),
}
"""What is made of other layers alone, and the attributes under which it has them."""
