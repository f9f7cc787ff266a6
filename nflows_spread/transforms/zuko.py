"""Volume-preserving layers for zuko: wrapped nflows transforms, and its own couplings, autoregressive and affine ones.

All run data → latent, as everywhere in zuko. Needs the extra ``zuko``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from nflows import transforms as nflows
from torch import Tensor
from torch.distributions import Transform, constraints
from zuko.flows.autoregressive import MaskedAutoregressiveTransform
from zuko.flows.coupling import GeneralCouplingTransform
from zuko.flows.gaussianization import ElementWiseTransform
from zuko.lazy import LazyTransform
from zuko.transforms import LULinearTransform, MonotonicAffineTransform
from zuko.utils import broadcast


class LazyNflowsTransform(LazyTransform):
    """An nflows transform of vectors, data → latent, as a lazy transform.

    Args:
        transform: the transform, of nflows or of ``nflows_spread.transforms``, which keeps vectors of D features.

    Shapes:
        inputs (..., D), context (..., C); the leading dimensions follow zuko's rules.
    """

    def __init__(self, transform: nflows.Transform) -> None:
        super().__init__()
        self.transform = transform

    def forward(self, c: Tensor | None = None) -> Transform:
        return _NflowsTransform(self.transform, c)


class _OfVectors(Transform):
    """A transform of torch that takes vectors to vectors."""

    domain = constraints.real_vector
    codomain = constraints.real_vector
    bijective = True


class _NflowsTransform(_OfVectors):
    """An nflows transform given a context."""

    def __init__(self, transform: nflows.Transform, context: Tensor | None) -> None:
        super().__init__()
        self.transform, self.context = transform, context

    def call_and_ladj(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self._run(self.transform, x)

    def _call(self, x: Tensor) -> Tensor:
        return self._run(self.transform, x)[0]

    def _inverse(self, y: Tensor) -> Tensor:
        return self._run(self.transform.inverse, y)[0]

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return self._run(self.transform, x)[1]

    def _run(self, call: Callable[..., Any], x: Tensor) -> tuple[Tensor, Tensor]:
        context = self.context
        if context is not None:
            x, context = broadcast(x, context, ignore=1)
            context = context.reshape(-1, context.shape[-1])
        outputs, logabsdet = call(x.reshape(-1, x.shape[-1]), context)
        return outputs.view(*x.shape[:-1], outputs.shape[-1]), logabsdet.view(x.shape[:-1])


class CentredAffineTransform(_OfVectors):
    """x ↦ exp(s) x + b on vectors, with log-scales s of sum 0, so that the log-determinant is an exact 0.

    Args:
        shift: b, shape (..., D).
        log_scale: s, of the same shape.
    """

    def __init__(self, shift: Tensor, log_scale: Tensor) -> None:
        super().__init__()
        self.shift, self.log_scale = shift, log_scale

    def _call(self, x: Tensor) -> Tensor:
        return x * torch.exp(self.log_scale).to(x.dtype) + self.shift.to(x.dtype)

    def _inverse(self, y: Tensor) -> Tensor:
        return (y - self.shift.to(y.dtype)) * torch.exp(-self.log_scale).to(y.dtype)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return torch.zeros_like(x[..., 0])


class VolumePreservingAffineTransform(CentredAffineTransform):
    """zuko's ``MonotonicAffineTransform`` on vectors with its log-scales centred; for ``UnconditionalTransform``.

    Args:
        shift: b, shape (D,).
        scale: the unconstrained log-scales, shape (D,).
        slope: as zuko's.
    """

    def __init__(self, shift: Tensor, scale: Tensor, slope: float = 1e-3) -> None:
        log_scale = MonotonicAffineTransform(shift, scale, slope).log_scale
        super().__init__(shift, log_scale - log_scale.mean())


class VolumePreservingLULinearTransform(LULinearTransform):
    """zuko's ``LULinearTransform``, x ↦ LUx, over |det L|^(1/D) (appendix C.6); for ``UnconditionalTransform``.

    Args:
        LU: as zuko's, shape (D, D).
    """

    def __init__(self, LU: Tensor) -> None:  # noqa: N803, zuko's name
        super().__init__(LU)
        log_diagonal = LU.diagonal(dim1=-2, dim2=-1).abs().log()
        self.L: Tensor = torch.tril(LU) * torch.exp(-log_diagonal.mean(-1))[..., None, None]

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return torch.zeros_like(x[..., 0])


class VolumePreservingElementWiseTransform(ElementWiseTransform):
    """zuko's element-wise affine transform with log-scales, of the context if there is one, centred over the features.

    Args:
        features: D.
        context: number of context features.
        univariate: ``MonotonicAffineTransform``, or a ``partial`` of it.
        kwargs: of zuko's ``MLP``.

    Raises:
        ValueError: ``univariate`` is another one.
    """

    def __init__(
        self,
        features: int,
        context: int = 0,
        univariate: Callable[..., Transform] = MonotonicAffineTransform,
        **kwargs: Any,
    ) -> None:
        _check_affine(univariate)
        super().__init__(features, context, univariate, **kwargs)

    def forward(self, c: Tensor | None = None) -> Transform:
        return _centred(super().forward(c).base)


class VolumePreservingCouplingTransform(GeneralCouplingTransform):
    """zuko's affine coupling with the log-scales centred over the features that it transforms (equation 42).

    Args:
        features: D, at least 2.
        context: number of context features.
        mask: True where features pass unchanged; zuko's by default.
        univariate: ``MonotonicAffineTransform``, or a ``partial`` of it.
        kwargs: of zuko's ``MLP``.

    Raises:
        ValueError: ``univariate`` is another one, or ``features`` is below 2.
    """

    def __new__(cls, features: int | None = None, *args: Any, **kwargs: Any) -> VolumePreservingCouplingTransform:
        _check_features(features)
        made: VolumePreservingCouplingTransform = super().__new__(cls, features)
        return made

    def __init__(
        self,
        features: int,
        context: int = 0,
        mask: Tensor | None = None,
        univariate: Callable[..., Transform] = MonotonicAffineTransform,
        **kwargs: Any,
    ) -> None:
        _check_affine(univariate)
        super().__init__(features, context, mask, univariate, **kwargs)

    def meta(self, c: Tensor | None, x: Tensor) -> Transform:
        return _centred(super().meta(c, x).base)


class VolumePreservingAutoregressiveTransform(MaskedAutoregressiveTransform):
    """zuko's affine autoregressive transform with log-scales of sum 0, centred by what is known so far.

    The mean of all log-scales is not known when the inverse finds the first feature. So each log-scale is spread
    evenly over its own feature and all that come with it or after it in the order, s_i − Σ_{j ≤ i} s_j / R_j, where R_j
    features come with j or after it. That sums to 0, is autoregressive, and every autoregressive affine map of volume 1
    has this form. Where all features come together it is s − mean(s) (equation 42).

    Args:
        features: D, at least 2.
        context: number of context features.
        passes: as zuko's; 2 for a coupling.
        order: the order of the features, as zuko's.
        univariate: ``MonotonicAffineTransform``, or a ``partial`` of it.
        kwargs: of zuko's ``MaskedMLP``.

    Raises:
        ValueError: ``univariate`` is another one, or ``features`` is below 2.
    """

    def __new__(cls, features: int | None = None, *args: Any, **kwargs: Any) -> VolumePreservingAutoregressiveTransform:
        _check_features(features)
        made: VolumePreservingAutoregressiveTransform = super().__new__(cls, features)
        return made

    def __init__(
        self,
        features: int,
        context: int = 0,
        passes: int | None = None,
        order: Tensor | None = None,
        univariate: Callable[..., Transform] = MonotonicAffineTransform,
        **kwargs: Any,
    ) -> None:
        _check_affine(univariate)
        super().__init__(features, context, passes, order, None, univariate, **kwargs)

    def meta(self, c: Tensor | None, x: Tensor) -> Transform:
        affine = super().meta(c, x).base
        return CentredAffineTransform(affine.shift, centred_in_order(affine.log_scale, self.order))


def centred_in_order(s: Tensor, order: Tensor) -> Tensor:
    """s_i − Σ_{j ≤ i} s_j / R_j, of sum 0, of s (..., D) and the place of each feature (D,); several may have one."""
    count = torch.bincount(order)
    after = count.flip(0).cumsum(0).flip(0)  # features at a place or behind it
    shares = s.new_zeros(*s.shape[:-1], len(count)).index_add(-1, order, s / after[order].to(s.dtype))
    return s - shares.cumsum(-1)[..., order]


def _centred(affine: MonotonicAffineTransform) -> CentredAffineTransform:
    """The map with its log-scales centred over the features."""
    return CentredAffineTransform(affine.shift, affine.log_scale - affine.log_scale.mean(-1, keepdim=True))


def constructor_of(univariate: Callable[..., Any]) -> Callable[..., Any]:
    """What a ``partial``, or a ``partial`` of one, calls in the end."""
    while isinstance(univariate, partial):
        univariate = univariate.func
    return univariate


def _check_affine(univariate: Callable[..., Transform]) -> None:
    if constructor_of(univariate) is not MonotonicAffineTransform:
        raise ValueError(
            f"univariate must be MonotonicAffineTransform or a partial of it, got {univariate!r}; only affine "
            "transforms have a scale to centre"
        )


def _check_features(features: int | None) -> None:
    if features is not None and features < 2:  # None in copies
        raise ValueError(f"features must be at least 2, got {features}; a map of one feature of volume 1 is a shift")
