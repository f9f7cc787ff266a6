"""Adapter of zuko: a ``Flow`` is a lazy distribution, whose transform runs data → latent, and ``base`` is its base."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from nflows.transforms.linear import Linear
from torch import Tensor, nn
from zuko.distributions import DiagNormal, NormalizingFlow
from zuko.flows import GMM, NCSF
from zuko.lazy import Flow, LazyDistribution, LazyTransform, UnconditionalDistribution

from nflows_spread import validation
from nflows_spread.hosts.caches import forget_caches
from nflows_spread.hosts.conversion_rules import Rules
from nflows_spread.hosts.interface import Density, Host, Method, SavedBase
from nflows_spread.hosts.overrides import overridden
from nflows_spread.hosts.swapping import with_base
from nflows_spread.hosts.zuko.conversion import RULES
from nflows_spread.hosts.zuko.layers import (
    ENCODE,
    bisections,
    context_features_of,
    down,
    encoder_of,
    gradients_of_all_parameters,
)
from nflows_spread.linalg.torch_func import under_transforms

_FAR = 1e-2
"""How far a latent may be from that of its point, over its size or 1: a choice, far above what float32 leaves."""


class Zuko(Host):
    """The host for ``zuko.flows.Flow`` and its subclasses, conditional or not, and for all lazy transforms."""

    flow_classes = (Flow,)
    layer_classes = (LazyTransform,)
    encoding_method = ENCODE
    net_attributes = ("hyper",)
    saved_bases = (
        SavedBase(
            UnconditionalDistribution,
            describe=lambda base: _describe_normal(base),
            build=lambda arguments: UnconditionalDistribution(
                DiagNormal,
                loc=torch.zeros(arguments["shape"]),
                scale=torch.ones(arguments["shape"]),
                buffer=not arguments["trainable"],
            ),
        ),
    )

    def is_flow(self, module: nn.Module) -> bool:
        if isinstance(module, NormalizingFlow):
            raise TypeError(
                "flow must be a Flow of zuko itself, got the NormalizingFlow that it returns when it is called; pass "
                "the Flow, and as context what it was called with"
            )
        if isinstance(module, NCSF):
            raise TypeError(
                "flow must have latents in the whole space, got an NCSF, whose latents are angles that no Gaussian "
                "is a base of; take an NSF, or sines and cosines of the angles as data"
            )
        if isinstance(module, GMM):
            raise TypeError(
                "flow must have a transform, got a GMM of zuko, which is a base; build zuko.flows.Flow(transform, base)"
            )
        return super().is_flow(module)

    def encode(self, flow: Flow, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        with _differentiable(flow, x, context) as (inputs, given):
            z, logabsdet = encoder_of(flow.transform)(inputs, given)
        return z, logabsdet

    def decode(self, flow: Flow, z: Tensor, context: Tensor | None) -> Tensor:
        with _differentiable(flow, z, context) as (latents, given), bisections() as sought:
            x = down(flow.transform, latents, given)
        if sought and not under_transforms(x):
            self._warn_of_ends(flow, x, z, context, float(sought[0].bound))
        return x

    @torch.no_grad()
    def _warn_of_ends(self, flow: Flow, x: Tensor, z: Tensor, context: Tensor | None, bound: float) -> None:
        """Say how many latents no point of the interval is mapped to in which their inverse was sought."""
        again, _ = self.encode(flow, x.detach(), context)
        off = ((again - z.detach()).abs() > _FAR * z.detach().abs().clamp_min(1.0)).flatten(1).any(1)
        if bool(off.any()):
            validation.warn(
                f"latents must be those of data from {-bound:g} to {bound:g}, between which zuko seeks an inverse, got "
                f"{int(off.sum())} of {len(x)} that are not, the first at index {int(off.nonzero()[0])}: their points "
                "are an end of that interval; bring the data to a standard deviation of about 1, or train longer"
            )

    def base_of(self, flow: Flow) -> nn.Module:
        base: nn.Module = flow.base
        return base

    def layers_of(self, flow: Flow) -> list[nn.Module]:
        return [flow.transform]

    def swap_base(self, flow: Flow, base: nn.Module) -> Flow:
        return with_base(flow, "base", base, {})

    def variances_of(self, base: nn.Module) -> Tensor | None:
        return None if _describe_normal(base) is None else base().variance.flatten().double()

    def log_prob_of_base(self, base: nn.Module, z: Tensor) -> Tensor:
        distribution: Density = base() if isinstance(base, LazyDistribution) else cast(Density, base)
        return distribution.log_prob(z)

    def samples_of_base(self, base: nn.Module, num_samples: int) -> Tensor:
        if not isinstance(base, LazyDistribution):
            return super().samples_of_base(base, num_samples)
        samples: Tensor = base().sample((num_samples,))
        return samples

    def method_of(self, layer: nn.Module, name: str) -> Callable[..., Any] | None:
        if name == ENCODE and isinstance(layer, LazyTransform):
            return encoder_of(layer)
        return super().method_of(layer, name)

    def encoder_methods(self, layer: nn.Module) -> Iterator[Method]:
        yield layer, ENCODE

    def conversion_rules(self) -> Rules:
        return RULES


@contextmanager
def _differentiable(flow: Flow, x: Tensor, context: Tensor | None) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Inputs in a mode in which a flow can take the derivatives that it needs for itself."""
    forget_caches(flow, Linear)
    try:
        with gradients_of_all_parameters(flow):
            if not torch.is_inference_mode_enabled():
                yield x, context
                return
            with torch.inference_mode(False), torch.no_grad():
                yield x.clone(), None if context is None else context.clone()
    except (RuntimeError, AttributeError) as error:
        found = 0 if context is None else context.shape[-1]
        wanted = context_features_of(flow)
        if wanted - {found}:
            raise ValueError(
                f"context must have the features that each layer of the flow was built with, {min(wanted - {found})}, "
                f"got {found}; pass context of shape (n, features), or leave it out where there are 0"
            ) from error
        raise


def _describe_normal(base: nn.Module) -> dict[str, Any] | None:
    """The arguments of zuko's own base of its flows, N(loc, scale²) of independent entries, or None for any other."""
    if not isinstance(base, UnconditionalDistribution) or overridden(base, UnconditionalDistribution):
        return None
    if base.f is not DiagNormal or set(base.kwargs) != {"loc", "scale"}:
        return None
    loc = base.loc
    if not isinstance(loc, Tensor) or loc.dim() != 1:
        return None
    return {"shape": list(loc.shape), "trainable": isinstance(loc, nn.Parameter)}


HOST = Zuko()
