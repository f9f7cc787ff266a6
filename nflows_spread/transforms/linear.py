"""Learnable linear maps of determinant ±1, for vectors and for the channels of images."""

from __future__ import annotations

import torch
from nflows.transforms import LULinear, OneByOneConvolution
from torch import Tensor
from torch.nn import functional as F


class _CentredDiagonal(LULinear):
    """nflows' LU parametrisation W = LU with the logarithm of U's diagonal centred, so that |det W| = 1.

    Appendix C.6: log|s| − mean(log|s|). The inverse uses ``torch.linalg.solve_triangular`` where
    nflows still calls the deprecated ``torch.triangular_solve``.
    """

    @property
    def upper_diag(self) -> Tensor:
        log_diagonal = super().upper_diag.log()
        return torch.exp(log_diagonal - log_diagonal.mean())

    def logabsdet(self) -> Tensor:
        return self.bias.new_zeros(())

    def inverse_no_cache(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        return (inputs - self.bias) @ self.weight_inverse().mT, inputs.new_zeros(len(inputs))

    def weight_inverse(self) -> Tensor:
        lower, upper = self._create_lower_upper()
        identity = torch.eye(self.features, dtype=lower.dtype, device=lower.device)
        lower_inverse = torch.linalg.solve_triangular(lower, identity, upper=False, unitriangular=True)
        return torch.linalg.solve_triangular(upper, lower_inverse, upper=True)


class VolumePreservingLULinear(_CentredDiagonal):
    """Linear map y = LUx + b with unit-diagonal L and |det U| = 1.

    Args:
        features: number of features.
        using_cache: keep the matrix between calls in evaluation mode, as nflows' ``Linear`` does.
        identity_init: start from the identity, else from random L and U.

    Shapes:
        inputs and outputs (n, features); log-determinants, exact zeros, (n,).
    """

    def __init__(self, features: int, *, using_cache: bool = False, identity_init: bool = True) -> None:
        super().__init__(features, using_cache=using_cache, identity_init=identity_init)


class VolumePreservingOneByOneConvolution(_CentredDiagonal, OneByOneConvolution):
    """1×1 convolution W = LUP with a fixed permutation P, unit-diagonal L and |det U| = 1 (appendix C.6).

    Args:
        num_channels: number of channels.
        identity_init: start L and U from the identity, else from random ones.
        generator: source of the permutation.

    Shapes:
        inputs and outputs (n, channels, height, width); log-determinants, exact zeros, (n,).
    """

    def __init__(
        self,
        num_channels: int,
        *,
        identity_init: bool = True,
        generator: torch.Generator | None = None,
    ) -> None:
        OneByOneConvolution.__init__(self, num_channels, identity_init=identity_init)
        self.permutation._permutation.copy_(torch.randperm(num_channels, generator=generator))

    def forward(self, inputs: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self._check(inputs)
        lower, upper = self._create_lower_upper()
        weight = (lower @ upper)[:, self.permutation._inverse_permutation]
        outputs = F.conv2d(inputs, weight[:, :, None, None], self.bias)
        return outputs, inputs.new_zeros(len(inputs))

    def inverse(self, inputs: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self._check(inputs)
        inverse = self.weight_inverse()[self.permutation._inverse_permutation]
        outputs = F.conv2d(inputs - self.bias.view(-1, 1, 1), inverse[:, :, None, None])
        return outputs, inputs.new_zeros(len(inputs))

    def _check(self, inputs: Tensor) -> None:
        if inputs.dim() != 4 or inputs.shape[1] != self.features:
            raise ValueError(f"inputs must have shape (n, {self.features}, height, width), got {tuple(inputs.shape)}")
