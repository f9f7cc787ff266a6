"""Volume-preserving layers for normflows: wrapped nflows transforms, and its own couplings and linear maps.

Their ``forward`` is latent → data, as everywhere in normflows. For its blocks of several layers, such as
``AffineCouplingBlock``, ``GlowBlock`` and ``LULinearPermute``, build normflows' own and pass it through
``nflows_spread.to_volume_preserving``. Needs the extra ``normflows``.
"""

from __future__ import annotations

from typing import cast

import torch
from nflows.transforms import Transform
from normflows.flows import AffineConstFlow, AffineCoupling, Flow, Invertible1x1Conv, InvertibleAffine, MaskedAffineFlow
from torch import Tensor, nn
from torch.nn import functional as F

from nflows_spread.linalg.autocast import full_precision


class TransformFlow(Flow):
    """An nflows transform, data → latent, as a normflows flow.

    Args:
        transform: the transform, of nflows or of ``nflows_spread.transforms``.

    Shapes:
        those of the transform; the context is handed to it.
    """

    def __init__(self, transform: Transform) -> None:
        super().__init__()
        self.transform = transform

    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        result: tuple[Tensor, Tensor] = self.transform.inverse(z, context)
        return result

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        result: tuple[Tensor, Tensor] = self.transform(z, context)
        return result


class VolumePreservingAffineCoupling(AffineCoupling):
    """normflows' coupling of a pair [z₁, z₂] with the log-scale of z₂ centred over its entries (equation 42).

    Args:
        param_map: the net, whose output alternates between shifts and raw scales.
        scale_map: how the raw scale becomes the scale: "exp", "sigmoid" or "sigmoid_inv".

    Shapes:
        a list of two tensors (n, ...); log-determinants, exact zeros, (n,).

    Raises:
        ValueError: there is no such scale map.
    """

    def __init__(self, param_map: nn.Module, scale_map: str = "exp") -> None:
        if scale_map not in ("exp", "sigmoid", "sigmoid_inv"):
            raise ValueError(f"scale_map must be 'exp', 'sigmoid' or 'sigmoid_inv', got {scale_map!r}")
        super().__init__(param_map, scale=True, scale_map=scale_map)

    def forward(self, z: list[Tensor]) -> tuple[list[Tensor], Tensor]:
        shift, s = self._shift_and_log_scale(z[0])
        return [z[0], z[1] * torch.exp(s) + shift], z[1].new_zeros(len(z[1]))

    def inverse(self, z: list[Tensor]) -> tuple[list[Tensor], Tensor]:
        shift, s = self._shift_and_log_scale(z[0])
        return [z[0], (z[1] - shift) * torch.exp(-s)], z[1].new_zeros(len(z[1]))

    def _shift_and_log_scale(self, condition: Tensor) -> tuple[Tensor, Tensor]:
        parameters = self.param_map(condition).to(condition.dtype)  # a net under autocast returns 16 bits
        shift, s = parameters[:, 0::2], parameters[:, 1::2]
        if self.scale_map != "exp":
            s = F.logsigmoid(s + 2.0) * (-1.0 if self.scale_map == "sigmoid" else 1.0)
        return shift, s - s.mean(tuple(range(1, s.dim())), keepdim=True)


class VolumePreservingMaskedAffineFlow(MaskedAffineFlow):
    """normflows' masked coupling with the log-scale centred over the entries that it transforms (equation 42).

    Args:
        b: mask of the shape of one latent, 1 where it passes unchanged and 0 where it is transformed.
        t: net for the shift, or None for none.
        s: net for the log-scale, or None for none.

    Shapes:
        inputs and outputs (n, *b.shape); log-determinants, exact zeros, (n,).

    Raises:
        ValueError: the mask leaves nothing to transform.
    """

    def __init__(self, b: Tensor, t: nn.Module | None = None, s: nn.Module | None = None) -> None:
        if not bool((b == 0).any()):
            raise ValueError(f"b must be 0 somewhere, to leave an entry to transform, got {b.tolist()}")
        super().__init__(b, t, s)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        shift, s = self._shift_and_log_scale(z)
        return torch.where(self.b > 0, z, z * torch.exp(s) + shift), z.new_zeros(len(z))

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        shift, s = self._shift_and_log_scale(z)
        return torch.where(self.b > 0, z, (z - shift) * torch.exp(-s)), z.new_zeros(len(z))

    def _shift_and_log_scale(self, z: Tensor) -> tuple[Tensor, Tensor]:
        fixed = self.b * z
        free = (self.b == 0).to(z.dtype)
        shift, s = self.t(fixed).to(z.dtype), self.s(fixed).to(z.dtype) * free
        dims = tuple(range(1, s.dim()))
        return shift, (s - s.sum(dims, keepdim=True) / free.sum(dims, keepdim=True)) * free


class VolumePreservingAffineConst(AffineConstFlow):
    """normflows' constant affine layer with a centred log-scale. It never takes statistics from data.

    Args:
        shape: shape of scale and shift; dimensions of size 1 are shared, as in normflows.
    """

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return z * torch.exp(self._log_scale()) + self.t, z.new_zeros(len(z))

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return (z - self.t) * torch.exp(-self._log_scale()), z.new_zeros(len(z))

    def _log_scale(self) -> Tensor:
        s = cast(Tensor, self.s)
        return s - s.mean()


def unit_weight(layer: nn.Module) -> Tensor:
    """The matrix of an ``Invertible1x1Conv`` or ``InvertibleAffine``, data → latent, over |det|^(1/D): (D, D).

    For the LU form the diagonal alone is centred, log|s| − mean(log|s|) (appendix C.6).
    """
    if not layer.use_lu:
        weight = cast(Tensor, layer.W)
        return weight * torch.exp(-torch.linalg.slogdet(weight).logabsdet / len(weight))
    log_s = cast(Tensor, layer.log_S)
    lower = cast(Tensor, layer.L).tril(-1) + cast(Tensor, layer.eye)
    diagonal = cast(Tensor, layer.sign_S) * torch.exp(log_s - log_s.mean())
    return cast(Tensor, layer.P) @ lower @ (cast(Tensor, layer.U).triu(1) + torch.diag(diagonal))


class VolumePreservingInvertible1x1Conv(Invertible1x1Conv):
    """normflows' 1×1 convolution with |det W| = 1 (appendix C.6).

    Args:
        num_channels: number of channels.
        use_lu: learn the factors P, L and U, with P fixed, instead of W.

    Shapes:
        inputs and outputs (n, channels, height, width); log-determinants, exact zeros, (n,).
    """

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        with full_precision(z):
            return F.conv2d(z, _inverted(unit_weight(self))[:, :, None, None]), z.new_zeros(len(z))

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        with full_precision(z):
            return F.conv2d(z, unit_weight(self)[:, :, None, None]), z.new_zeros(len(z))


class VolumePreservingInvertibleAffine(InvertibleAffine):
    """normflows' linear map of row vectors with |det W| = 1.

    Args:
        num_channels: number of features.
        use_lu: learn the factors P, L and U, with P fixed, instead of W.

    Shapes:
        inputs and outputs (n, features); log-determinants, exact zeros, (n,).
    """

    def forward(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        with full_precision(z):
            return z @ _inverted(unit_weight(self)), z.new_zeros(len(z))

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        with full_precision(z):
            return z @ unit_weight(self), z.new_zeros(len(z))


def _inverted(weight: Tensor) -> Tensor:
    return torch.linalg.inv(weight.double()).to(weight.dtype)
