"""The covariance AAᵀ + σ_Z² I in float64: its Cholesky factor, its solves, and the density that they give."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

LOG_2PI = math.log(2.0 * math.pi)

_LARGEST_RATIO = 1e3
"""The norm of L over its smallest diagonal entry up to which the sum is formed; its square, six digits, is lost."""


def spread_cholesky(factor: Tensor, spread_variance: Tensor) -> Tensor:
    """Lower Cholesky factor of AAᵀ + σ_Z² I in float64, (D, D), for any A of shape (D, r).

    Two cases take the factor from the QR decomposition of [A, σ_Z I]ᵀ, which never forms AAᵀ, keeps
    all digits of the flat directions, and costs several times as much: where rounding has made the
    sum indefinite, and where a float64 factor, whose owner asks for that precision, is so large
    against σ_Z that the sum would lose more than six digits of them.
    """
    a = factor.double()
    spread = plus_noise(a @ a.mT, spread_variance).mT  # symmetric, and by columns
    return cholesky_or_qr(a, spread, float(spread_variance), exact=factor.dtype == torch.float64)


def cholesky_or_qr(a: Tensor, spread: Tensor, spread_variance: float, *, exact: bool) -> Tensor:
    """``spread_cholesky`` given AAᵀ + σ_Z² I, whose lower triangle is read; ``exact`` where six digits are too few.

    The sum may be written over.
    """
    cholesky, info = cholesky_of(spread)
    if int(info) == 0 and (not exact or bool(keeps_flat_directions(cholesky))):
        return cholesky
    return cholesky_by_qr(a, math.sqrt(spread_variance))


def cholesky_by_qr(a: Tensor, noise: Tensor | float) -> Tensor:
    """Lower Cholesky factor of AAᵀ + noise² I for A (D, r) in float64, of which no sum is formed."""
    identity = torch.eye(len(a), dtype=a.dtype, device=a.device)
    return lower_factor_of(torch.cat([a, noise * identity], dim=1))


def cholesky_of(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Lower Cholesky factor of a positive definite matrix, (D, D), whose lower triangle is read, and LAPACK's info.

    A matrix that lies by columns, as LAPACK wants it, is written over where nobody differentiates. For a new one
    torch would copy the triangle, which takes as long by columns as the decomposition.
    """
    if not matrix.mT.is_contiguous() or (matrix.requires_grad and torch.is_grad_enabled()):
        return torch.linalg.cholesky_ex(matrix)
    info = torch.empty((), dtype=torch.int32, device=matrix.device)
    torch.linalg.cholesky_ex(matrix, out=(matrix, info))
    return matrix, info


def lower_factor_of(root: Tensor) -> Tensor:
    """The lower-triangular A, (D, D) in float64, with AAᵀ = RRᵀ for a root R of shape (D, r), singular or not.

    From Rᵀ = QU it is Uᵀ, with columns of zeros where r < D; its diagonal is not negative.
    """
    upper = torch.linalg.qr(root.double().mT, mode="r").R
    upper = upper * torch.where(upper.diagonal() < 0, -1.0, 1.0).to(upper.dtype).unsqueeze(1)
    return torch.nn.functional.pad(upper.mT, (0, root.shape[0] - upper.shape[0]))


def plus_noise(gram: Tensor, spread_variance: Tensor) -> Tensor:
    """Adds σ_Z² to the diagonal, in place."""
    gram.diagonal().add_(spread_variance.double())
    return gram


def keeps_flat_directions(cholesky: Tensor) -> Tensor:
    """Whether ‖L‖² times the float64 resolution, the error of the sum, is small against its flattest direction.

    For one L, (D, D), or for each of many, (M, D, D).
    """
    return cholesky.norm(dim=(-2, -1)) <= _LARGEST_RATIO * cholesky.diagonal(dim1=-2, dim2=-1).amin(-1)


def spread_solve(rhs: Tensor, factor: Tensor, cholesky: Tensor) -> Tensor:
    """(FFᵀ + σ_Z² I)⁻¹ rhs for float64 F (D, r) and rhs (D, m), given the Cholesky factor of the sum.

    Can be differentiated in ``rhs`` and ``factor`` as often as one likes; the Cholesky factor, whichever
    way it was found, serves as a number at every order and is never differentiated.
    """
    solution: Tensor = _SpreadSolve.apply(rhs, factor, cholesky)  # type: ignore[no-untyped-call]
    return solution


class _SpreadSolve(torch.autograd.Function):
    """X = Σ⁻¹B with Σ = FFᵀ + σ² I. For a gradient G of X: Ḃ = Σ⁻¹G and Ḟ = −(ḂXᵀ + XḂᵀ)F.

    Nothing here looks at numbers, so that ``vmap`` can follow it: Jacobians of gradients are taken many rows at a time.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(rhs: Tensor, factor: Tensor, cholesky: Tensor) -> Tensor:
        return torch.cholesky_solve(rhs, cholesky)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(output, *inputs[1:])

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, Tensor | None, None]:
        solution, factor, cholesky = ctx.saved_tensors
        grad_rhs = spread_solve(grad_outputs[0], factor, cholesky)
        grad_factor = None
        if ctx.needs_input_grad[1]:
            grad_factor = -(grad_rhs @ (solution.mT @ factor) + solution @ (grad_rhs.mT @ factor))
        return grad_rhs, grad_factor, None


def spread_gradients(weights: Tensor, z: Tensor, factor: Tensor, cholesky: Tensor) -> tuple[Tensor, Tensor]:
    """The gradients of Σ_n w_n log N(z_n; 0, AAᵀ + σ_Z² I) in z and in A, as differentiable functions of w, z and A.

    At the full cost of the formulas in ``dense``; shapes and dtypes of ``z`` (n, D) and of ``factor`` (D, r).
    """
    a = factor.double()
    y = spread_solve(z.double().mT, a, cholesky)
    weighted = y * weights
    grad = weighted @ (y.mT @ a) - weights.sum() * spread_solve(a, a, cholesky)
    return -weighted.mT.type_as(z), grad.type_as(factor)


def log_prob_of_whitened(whitened: Tensor, diagonal: Tensor) -> Tensor:
    """log N(z; 0, LLᵀ), (n,), from L⁻¹zᵀ, (D, n), and the diagonal of L."""
    return log_prob_of(torch.linalg.vector_norm(whitened, dim=0), diagonal, len(diagonal) * LOG_2PI)


def log_prob_of(norms: Tensor, diagonal: Tensor, constant: float) -> Tensor:
    """−½ (norms² + log det LLᵀ + constant), of the shape of ``norms``, without waiting for the device."""
    at_most = torch.rsub(diagonal.log().sum(), -0.5 * constant)
    return torch.addcmul(at_most, norms, norms, value=-0.5)
