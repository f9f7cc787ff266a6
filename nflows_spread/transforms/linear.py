"""Learnable linear maps in LU form, for vectors and for the channels of images, and those of determinant ±1."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from nflows.transforms import LULinear, OneByOneConvolution
from nflows.transforms.linear import Linear
from torch import Tensor
from torch.nn import functional as F

from nflows_spread import validation
from nflows_spread.argument_types import typed
from nflows_spread.linalg.autocast import full_precision

_ORTHOGONAL = 1e-4


class FullPrecisionLinear(Linear):
    """One of nflows' linear maps that keeps the dtype of its inputs under ``torch.autocast``.

    With ``using_cache``, what is kept in evaluation mode is the weight of the parameters as they are: nflows' own
    goes on with the old one after ``load_state_dict`` or ``to``. Where a gradient is wanted nothing is kept, as one
    graph does not serve two backward passes.
    """

    _cached_from: tuple[Tensor, ...] = ()

    def forward(self, inputs: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        with full_precision(inputs):
            forward = super().forward if self._has_cache() else self.forward_no_cache
            result: tuple[Tensor, Tensor] = forward(inputs)
        return result

    def inverse(self, inputs: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        with full_precision(inputs):
            inverse = super().inverse if self._has_cache() else self.inverse_no_cache
            result: tuple[Tensor, Tensor] = inverse(inputs)
        return result

    def _has_cache(self) -> bool:
        """Whether a cached weight may be used, which is emptied first if it is not that of these parameters."""
        if self.training or not self.using_cache or torch.is_grad_enabled() or torch.compiler.is_compiling():
            return False
        parameters = tuple(self.parameters())
        if not _are_equal(parameters, self._cached_from):
            self.cache.invalidate()
            self._cached_from = tuple(parameter.detach().clone() for parameter in parameters)
        return True


def _are_equal(tensors: Sequence[Tensor], others: Sequence[Tensor]) -> bool:
    if [(tensor.dtype, tensor.device) for tensor in tensors] != [(other.dtype, other.device) for other in others]:
        return False
    return all(torch.equal(tensor, other) for tensor, other in zip(tensors, others))


class _SolvedLU(FullPrecisionLinear, LULinear):
    """nflows' LU parametrisation W = LU, built without its NumPy indices, which stop a GPU, and inverted by solves.

    nflows still calls the deprecated ``torch.triangular_solve``.
    """

    @typed
    def __init__(self, features: int, *, using_cache: bool = False, identity_init: bool = True) -> None:
        super().__init__(
            validation.positive_int("features", features), using_cache=using_cache, identity_init=identity_init
        )
        rows, columns = torch.tril_indices(features, features, -1)
        self.register_buffer("_below_diagonal", rows * features + columns, persistent=False)
        rows, columns = torch.triu_indices(features, features, 1)
        self.register_buffer("_above_diagonal", rows * features + columns, persistent=False)

    def _create_lower_upper(self) -> tuple[Tensor, Tensor]:
        square = (self.features, self.features)
        lower = self._identity().flatten().index_copy(0, self._below_diagonal, self.lower_entries)
        upper = self.upper_diag.diag().flatten().index_copy(0, self._above_diagonal, self.upper_entries)
        return lower.view(square), upper.view(square)

    def inverse_no_cache(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        return (inputs - self.bias) @ self.weight_inverse().mT, inputs.new_zeros(len(inputs)) - self.logabsdet()

    def weight_inverse(self) -> Tensor:
        lower, upper = self._create_lower_upper()
        lower_inverse = torch.linalg.solve_triangular(lower, self._identity(), upper=False, unitriangular=True)
        return torch.linalg.solve_triangular(upper, lower_inverse, upper=True)

    def _identity(self) -> Tensor:
        return torch.eye(self.features, dtype=self.bias.dtype, device=self.bias.device)


class _CentredDiagonal(_SolvedLU):
    """W = LU with the logarithm of U's diagonal centred, so that |det W| = 1 (appendix C.6: log|s| − mean(log|s|))."""

    @property
    def upper_diag(self) -> Tensor:
        log_diagonal = torch.log(F.softplus(self.unconstrained_upper_diag) + self.eps)
        return torch.exp(log_diagonal - log_diagonal.mean())

    def logabsdet(self) -> Tensor:
        return self.bias.new_zeros(())


class VolumePreservingLULinear(_CentredDiagonal):
    """Linear map y = LUx + b with unit-diagonal L and |det U| = 1.

    Args:
        features: number of features.
        using_cache: keep the matrix between calls in evaluation mode without gradients, as long as it is that of
            the parameters.
        identity_init: start from the identity, else from random L and U.

    Shapes:
        inputs and outputs (n, features); log-determinants, exact zeros, (n,).
    """


class LUOneByOneConvolution(_SolvedLU, OneByOneConvolution):
    """1×1 convolution W = LUP with a fixed permutation P and unit-diagonal L (Glow's LU form).

    The map of nflows' ``OneByOneConvolution``, as one convolution. Under ``torch.autocast`` it keeps the
    dtype of its inputs: a map that rounds to 8 bits has no inverse.

    Args:
        num_channels: number of channels.
        identity_init: start L and U from the identity, else from random ones.
        generator: source of the permutation.

    Shapes:
        inputs and outputs (n, channels, height, width); log-determinants (n,).
    """

    @typed
    def __init__(
        self,
        num_channels: int,
        *,
        identity_init: bool = True,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(validation.positive_int("num_channels", num_channels), identity_init=identity_init)
        self.permutation._permutation.copy_(torch.randperm(num_channels, generator=generator))

    def kernel(self) -> Tensor:
        """W, shape (channels, channels), the permutation included."""
        weight = self.weight()
        return torch.empty_like(weight).index_copy(1, self.permutation._permutation, weight)

    @torch.no_grad()
    def assign(self, rotation: Tensor) -> None:
        """Take on an orthogonal matrix, each row up to its sign, and no bias; P becomes that of the pivots.

        With QᵀP = L'U' by partial pivoting, Q Pᵀ = (U'ᵀ D⁻¹)(D L'ᵀ), D the diagonal of U'. The diagonal of U has to
        be positive, which decides the signs.

        Args:
            rotation: Q, shape (channels, channels).

        Raises:
            ValueError: it has another shape or is not orthogonal.
        """
        square, precise = (self.features, self.features), rotation.double()
        if tuple(rotation.shape) != square:
            raise ValueError(f"rotation must have shape {square}, got {tuple(rotation.shape)}")
        error = float((precise @ precise.mT - torch.eye(len(precise)).to(precise)).abs().max())
        if not error < _ORTHOGONAL:
            raise ValueError(f"rotation must be orthogonal, got one whose product with its transpose is off by {error}")
        pivots, lower, upper = torch.linalg.lu(precise.mT)
        diagonal = upper.diagonal()
        signs = diagonal.sign()
        self.permutation._permutation.copy_(pivots.argmax(0))
        self.lower_entries.copy_((signs.unsqueeze(1) * upper.mT / diagonal * signs).flatten()[self._below_diagonal])
        upper = (signs * diagonal).unsqueeze(1) * lower.mT
        self.upper_entries.copy_(upper.flatten()[self._above_diagonal])
        self.unconstrained_upper_diag.copy_(torch.log(torch.expm1(diagonal.abs() - self.eps)))
        self.bias.zero_()

    def inverse_kernel(self) -> Tensor:
        """W⁻¹, shape (channels, channels)."""
        inverse = self.weight_inverse()
        return torch.empty_like(inverse).index_copy(0, self.permutation._permutation, inverse)

    def forward(self, inputs: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        check_channels(inputs, self.features)
        with full_precision(inputs):
            outputs = map_pixels(inputs, self.kernel(), self.bias)
        return outputs, self._logabsdet_of(inputs)

    def inverse(self, inputs: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        check_channels(inputs, self.features)
        with full_precision(inputs):
            inverse = self.inverse_kernel()
            outputs = map_pixels(inputs, inverse, -inverse @ self.bias)
        return outputs, -self._logabsdet_of(inputs)

    def _logabsdet_of(self, inputs: Tensor) -> Tensor:
        return inputs.new_zeros(len(inputs)) + inputs.shape[2:].numel() * self.logabsdet()


class VolumePreservingOneByOneConvolution(_CentredDiagonal, LUOneByOneConvolution):
    """1×1 convolution W = LUP with a fixed permutation P, unit-diagonal L and |det U| = 1 (appendix C.6).

    Log-determinants are exact zeros. Arguments and shapes are those of ``LUOneByOneConvolution``.
    """


def map_pixels(images: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
    """W x + b at each pixel, (n, channels, height, width), in the layout of the images.

    A 1×1 convolution by matrix products, which for so few channels take a third to all of the time of ``conv2d``.
    """
    if images.is_contiguous():
        rows = images.flatten(2)
        return torch.baddbmm(bias.view(1, -1, 1), kernel.expand(len(images), -1, -1), rows).view_as(images)
    return F.linear(images.permute(0, 2, 3, 1), kernel, bias).permute(0, 3, 1, 2)


def check_channels(inputs: Tensor, channels: int) -> None:
    """``ValueError`` unless these are images (n, channels, height, width)."""
    if inputs.dim() != 4 or inputs.shape[1] != channels:
        raise ValueError(f"inputs must have shape (n, {channels}, height, width), got {tuple(inputs.shape)}")
