"""The spread prior of a dense lower-triangular A, and of a covariance that is given."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from nflows_spread.linalg.spectra import positive_root
from nflows_spread.linalg.triangular import lower_cholesky_solve, lower_double, lower_gram, lower_product

LOG_2PI = math.log(2.0 * math.pi)


def spread_covariance(factor: Tensor, spread_variance: Tensor) -> Tensor:
    """AAᵀ + σ_Z² I in float64, shape (D, D), for any A of shape (D, r)."""
    a = factor.double()
    return _plus_noise(a @ a.mT, spread_variance)


def spread_cholesky(factor: Tensor, spread_variance: Tensor) -> Tensor:
    """Lower Cholesky factor of AAᵀ + σ_Z² I in float64, (D, D), for any A of shape (D, r).

    Two cases take the factor from the QR decomposition of [A, σ_Z I]ᵀ, which never forms AAᵀ, keeps
    all digits of the flat directions, and costs several times as much: where rounding has made the
    sum indefinite, and where a float64 factor, whose owner asks for that precision, is so large
    against σ_Z that the sum would lose more than six digits of them.
    """
    a = factor.double()
    return cholesky_or_qr(a, a @ a.mT, spread_variance, exact=factor.dtype == torch.float64)


def cholesky_or_qr(a: Tensor, gram: Tensor, spread_variance: Tensor, *, exact: bool) -> Tensor:
    """``spread_cholesky`` given AAᵀ, of which the lower triangle is read; ``exact`` where six digits are too few."""
    cholesky, info = torch.linalg.cholesky_ex(_plus_noise(gram, spread_variance))
    if int(info) == 0 and (not exact or _keeps_flat_directions(cholesky)):
        return cholesky
    noise = spread_variance.double().sqrt() * torch.eye(len(a), dtype=a.dtype, device=a.device)
    return lower_factor_of(torch.cat([a, noise], dim=1))


def lower_factor_of(root: Tensor) -> Tensor:
    """The lower-triangular A, (D, D) in float64, with AAᵀ = RRᵀ for a root R of shape (D, r), singular or not.

    From Rᵀ = QU it is Uᵀ, with columns of zeros where r < D; its diagonal is not negative.
    """
    upper = torch.linalg.qr(root.double().mT, mode="r").R
    upper = upper * torch.where(upper.diagonal() < 0, -1.0, 1.0).to(upper.dtype).unsqueeze(1)
    return torch.nn.functional.pad(upper.mT, (0, root.shape[0] - upper.shape[0]))


def _plus_noise(gram: Tensor, spread_variance: Tensor) -> Tensor:
    """Adds σ_Z² to the diagonal, in place."""
    gram.diagonal().add_(spread_variance.double())
    return gram


def _keeps_flat_directions(cholesky: Tensor) -> bool:
    """Whether ‖L‖² times the float64 resolution, the error of the sum, is small against its flattest direction."""
    return bool(cholesky.norm() <= 1e3 * cholesky.diagonal().min())


def spread_log_prob(z: Tensor, factor: Tensor, spread_variance: Tensor) -> Tensor:
    """log N(z; 0, AAᵀ + σ_Z² I) (equation 12) for a lower-triangular A.

    Args:
        z: points, shape (n, D).
        factor: A, shape (D, D). What it has above the diagonal is not read and gets gradient 0.
        spread_variance: σ_Z², a scalar tensor.

    Returns:
        Log-densities in the dtype of ``z``, shape (n,). Gradients with respect to ``z`` and
        ``factor`` have a closed form (see ``_SpreadLogProb``) and can be differentiated again.
    """
    log_prob: Tensor = _SpreadLogProb.apply(z, factor, spread_variance)  # type: ignore[no-untyped-call]
    return log_prob


class _SpreadLogProb(torch.autograd.Function):
    """Log-density with the closed-form gradient.

    With Σ = AAᵀ + σ_Z² I, y_n = Σ⁻¹ z_n and weights w_n from above:

        ∂/∂z_n = −w_n y_n,        ∂/∂A = tril((Σ_n w_n y_n y_nᵀ) A − (Σ_n w_n) Σ⁻¹A).

    Keeping the one Cholesky factor of the forward pass spares autograd the backward pass through
    the factorisation, which costs more than everything else together.
    """

    @staticmethod
    def forward(ctx: Any, z: Tensor, factor: Tensor, spread_variance: Tensor) -> Tensor:
        a = lower_double(factor)
        cholesky = cholesky_or_qr(a, lower_gram(a), spread_variance, exact=factor.dtype == torch.float64)
        whitened = torch.linalg.solve_triangular(cholesky, z.double().mT, upper=False)
        ctx.save_for_backward(z, factor, a, cholesky, whitened)
        return log_prob_of_whitened(whitened, cholesky).to(z.dtype)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        z, factor, a, cholesky, whitened = ctx.saved_tensors
        weights, twice = grad_outputs[0].double(), torch.is_grad_enabled()
        if twice:  # the gradient is going to be differentiated: the same numbers, with their history
            a = factor.tril().double()
            y = spread_solve(z.double().mT, a, cholesky)
        else:
            y = torch.linalg.solve_triangular(cholesky.mT, whitened, upper=True)
        weighted = y * weights
        grad_z = -weighted.mT.to(z.dtype) if ctx.needs_input_grad[0] else None
        if not ctx.needs_input_grad[1]:
            return grad_z, None, None
        if twice:
            grad = weighted @ (y.mT @ a) - weights.sum() * spread_solve(a, a, cholesky)
            return grad_z, grad.tril().to(factor.dtype), None
        solved = lower_cholesky_solve(cholesky, a).mul_(weights.sum())
        return grad_z, lower_product(weighted, a.mT @ y, factor.dtype, less=solved), None


def spread_solve(rhs: Tensor, factor: Tensor, cholesky: Tensor) -> Tensor:
    """(FFᵀ + σ_Z² I)⁻¹ rhs for float64 F (D, r) and rhs (D, m), given the Cholesky factor of the sum.

    Can be differentiated in ``rhs`` and ``factor`` as often as one likes; the Cholesky factor, whichever
    way it was found, serves as a number at every order and is never differentiated.
    """
    solution: Tensor = _SpreadSolve.apply(rhs, factor, cholesky)  # type: ignore[no-untyped-call]
    return solution


class _SpreadSolve(torch.autograd.Function):
    """X = Σ⁻¹B with Σ = FFᵀ + σ² I. For a gradient G of X: Ḃ = Σ⁻¹G and Ḟ = −(ḂXᵀ + XḂᵀ)F."""

    @staticmethod
    def forward(ctx: Any, rhs: Tensor, factor: Tensor, cholesky: Tensor) -> Tensor:
        solution = torch.cholesky_solve(rhs, cholesky)
        ctx.save_for_backward(solution, factor, cholesky)
        return solution

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, Tensor | None, None]:
        solution, factor, cholesky = ctx.saved_tensors
        grad_rhs = spread_solve(grad_outputs[0], factor, cholesky)
        grad_factor = None
        if ctx.needs_input_grad[1]:
            grad_factor = -(grad_rhs @ (solution.mT @ factor) + solution @ (grad_rhs.mT @ factor))
        return grad_rhs, grad_factor, None


def covariance_log_prob(z: Tensor, covariance: Tensor, spread_variance: Tensor) -> Tensor:
    """log N(z; 0, S + σ_Z² I) for a constant positive semi-definite S, (D, D); z (n, D); shape (n,).

    Differentiable in ``z``, at the cost of the triangular solves alone.
    """
    return log_prob_from_cholesky(z, covariance_cholesky(covariance, spread_variance))


@torch.no_grad()
def covariance_cholesky(covariance: Tensor, spread_variance: Tensor) -> Tensor:
    """Lower Cholesky factor of S + σ_Z² I in float64, (D, D), for a positive semi-definite S."""
    spread = _plus_noise(covariance.to(torch.float64, copy=True), spread_variance)
    cholesky, info = torch.linalg.cholesky_ex(spread.mT)  # symmetric, and by columns, as LAPACK wants it
    if int(info) != 0:  # rounding in S has outgrown σ_Z²
        cholesky = spread_cholesky(positive_root(covariance), spread_variance)
    return cholesky


def log_prob_from_cholesky(z: Tensor, cholesky: Tensor) -> Tensor:
    """log N(z; 0, LLᵀ), (n,), for a constant lower-triangular L in float64, (D, D), and points z, (n, D)."""
    log_prob: Tensor = _LogProbFromCholesky.apply(z, cholesky)  # type: ignore[no-untyped-call]
    return log_prob


class _LogProbFromCholesky(torch.autograd.Function):
    """Log-density of a constant covariance Σ = LLᵀ; ∂/∂z_n = −w_n L⁻ᵀ(L⁻¹z_n), of which the forward pass has half."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, cholesky: Tensor) -> Tensor:
        whitened = torch.linalg.solve_triangular(cholesky, z.double().mT, upper=False)
        ctx.save_for_backward(z, cholesky, whitened)
        return log_prob_of_whitened(whitened, cholesky).to(z.dtype)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor, None]:
        z, cholesky, whitened = ctx.saved_tensors
        if torch.is_grad_enabled():  # the gradient is going to be differentiated: the same numbers, with their history
            whitened = torch.linalg.solve_triangular(cholesky, z.double().mT, upper=False)
        y = torch.linalg.solve_triangular(cholesky.mT, whitened * -grad_outputs[0], upper=True)
        return y.mT.to(z.dtype), None


def log_prob_of_whitened(whitened: Tensor, cholesky: Tensor) -> Tensor:
    """The same from L⁻¹zᵀ, (D, n)."""
    log_det = cholesky.diagonal().log().sum()
    return whitened.square().sum(0).mul_(-0.5).sub_(log_det + 0.5 * len(cholesky) * LOG_2PI)
