"""The signal-to-noise spectrum: generalised eigenvalues μ of S v = μ N v, in float64."""

from __future__ import annotations

import torch
from torch import Tensor

from nflows_spread.linalg.eigen import decomposable, with_fixed_signs
from nflows_spread.linalg.spread_covariance import cholesky_of


def generalised_eigh(signal: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Solutions of S v = μ N v: μ in descending order (D,), and V with VᵀNV = I and VᵀSV = diag(μ), in float64.

    Under any invertible linear map M of the space both matrices become M S Mᵀ and M N Mᵀ, and μ
    stays what it is.

    Args:
        signal: S, symmetric positive semi-definite, shape (D, D).
        noise: N, symmetric positive definite, shape (D, D).

    Raises:
        ValueError: N is not positive definite, or S or N is not finite.
    """
    root, scale = _scaled_root(noise)
    whitened = _whiten(root, scale, _whiten(root, scale, decomposable(signal).double()).mT)
    values, vectors = torch.linalg.eigh(0.5 * (whitened + whitened.mT))
    back = scale.unsqueeze(1) * torch.linalg.solve_triangular(root.mT, vectors, upper=True)
    return values.flip(0).clamp_min(0.0), with_fixed_signs(back.flip(1))


def low_rank_generalised_eigenvalues(root: Tensor, noise: Tensor) -> Tensor:
    """The μ of ``generalised_eigh`` for S = RRᵀ, (D,), from a root R of shape (D, n), at one Cholesky decomposition.

    Raises:
        ValueError: N is not positive definite.
    """
    values = torch.linalg.svdvals(_whiten(*_scaled_root(noise), decomposable(root).double())).square()
    return torch.nn.functional.pad(values, (0, len(root) - len(values)))


def log_pointwise_signal_to_noise(signal: Tensor, jacobians: Tensor) -> Tensor:
    """log of the solutions μ of S v = μ J Jᵀ v at each point, in descending order, shape (n, D), float64.

    With S = LLᵀ they are −2 log s for the singular values s of L⁻¹J.

    Args:
        signal: S, symmetric positive definite, shape (D, D).
        jacobians: J at each point, invertible, shape (n, D, D).

    Raises:
        ValueError: S is not positive definite.
    """
    return -2.0 * torch.linalg.svdvals(_whiten(*_scaled_root(signal), decomposable(jacobians).double())).flip(1).log()


def _whiten(root: Tensor, scale: Tensor, columns: Tensor) -> Tensor:
    """L⁻¹ columns, for the covariance LLᵀ of ``_scaled_root``."""
    return torch.linalg.solve_triangular(root, scale.unsqueeze(1) * columns, upper=False)


def _scaled_root(covariance: Tensor) -> tuple[Tensor, Tensor]:
    """The Cholesky factor of a covariance that was brought to unit diagonal, and the scale (D,) that brought it there.

    So latents of very different scale do not cost precision.
    """
    scale = decomposable(covariance).double().diagonal().clamp_min(torch.finfo(torch.float64).tiny).rsqrt()
    cholesky, info = cholesky_of((scale.unsqueeze(1) * covariance.double() * scale).mT)
    if int(info) != 0:
        raise ValueError(
            f"the latents' covariance and response must be positive definite, got a singular matrix of size "
            f"{tuple(covariance.shape)}; use more points, set data_noise, or check that the flow is invertible on them"
        )
    return cholesky, scale
