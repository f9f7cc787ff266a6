"""Learnable linear maps of determinant ±1 built on Householder reflections."""

from __future__ import annotations

import torch
from nflows.transforms import QRLinear, SVDLinear
from torch import Tensor

from nflows_spread import validation
from nflows_spread.argument_types import typed
from nflows_spread.transforms.linear import FullPrecisionLinear


class VolumePreservingQRLinear(FullPrecisionLinear, QRLinear):
    """Linear map y = QRx + b with Q a product of reflections and the logarithm of R's diagonal centred.

    The inverse uses ``torch.linalg.solve_triangular`` where nflows still calls the deprecated
    ``torch.triangular_solve``, and follows the dtype of the parameters where nflows' is float32.

    Args:
        features: number of features.
        num_householder: number of reflections.
        using_cache: keep the matrix between calls in evaluation mode without gradients, as long as it is that of
            the parameters.

    Shapes:
        inputs and outputs (n, features); log-determinants, exact zeros, (n,).
    """

    def _create_upper(self) -> Tensor:
        upper: Tensor = self.upper_entries.new_zeros(self.features, self.features)
        upper[self.upper_indices[0], self.upper_indices[1]] = self.upper_entries
        return upper + torch.diag(torch.exp(self.log_upper_diag - self.log_upper_diag.mean()))

    def inverse_no_cache(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        rotated = self.orthogonal.inverse(inputs - self.bias)[0]
        outputs = torch.linalg.solve_triangular(self._create_upper(), rotated.mT, upper=True).mT
        return outputs, inputs.new_zeros(len(inputs))

    def weight_inverse(self) -> Tensor:
        identity = torch.eye(self.features, dtype=self.bias.dtype, device=self.bias.device)
        inverse: Tensor = self.orthogonal(torch.linalg.solve_triangular(self._create_upper(), identity, upper=True))[0]
        return inverse

    def logabsdet(self) -> Tensor:
        zero: Tensor = self.bias.new_zeros(())
        return zero


class VolumePreservingSVDLinear(FullPrecisionLinear, SVDLinear):
    """Linear map y = USVᵀx + b with U and V products of reflections and the logarithm of S centred.

    Args:
        features: number of features.
        num_householder: number of reflections in each of U and V, even.
        using_cache: keep the matrix between calls in evaluation mode without gradients, as long as it is that of
            the parameters.
        identity_init: start S from the identity, else from random values.

    Shapes:
        inputs and outputs (n, features); log-determinants, exact zeros, (n,).
    """

    @typed
    def __init__(
        self, features: int, num_householder: int, *, using_cache: bool = False, identity_init: bool = True
    ) -> None:
        validation.positive_int("features", features)
        validation.positive_int("num_householder", num_householder)
        super().__init__(features, num_householder, using_cache=using_cache, identity_init=identity_init)

    @property
    def diagonal(self) -> Tensor:
        log_diagonal = super().diagonal.log()
        return torch.exp(log_diagonal - log_diagonal.mean())

    def logabsdet(self) -> Tensor:
        zero: Tensor = self.bias.new_zeros(())
        return zero
