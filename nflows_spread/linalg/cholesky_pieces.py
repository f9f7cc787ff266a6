"""Log-densities of the pieces of a mixture by Cholesky factors of their spread covariances: each its own, or one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from nflows_spread.linalg.cholesky import spread_cholesky_of
from nflows_spread.linalg.spread_covariance import LOG_2PI
from nflows_spread.linalg.squares import weighted_squares
from nflows_spread.linalg.torch_func import gradients_of_plain, under_transforms
from nflows_spread.linalg.triangular import in_double, lower_product, solve_lower, solve_lower_transposed


def cholesky_log_probs_of_pieces(z: Tensor, means: Tensor, entries: Tensor, spread_variance: Tensor) -> Tensor:
    """log N(z; m_m, L_m L_mᵀ), (n, M) in float64, by one batched substitution.

    Args:
        z: points, shape (n, D).
        means: m, shape (M, D).
        entries: B of each piece, as for ``cholesky_log_prob``, shape (M, D, D).
        spread_variance: σ_Z², a scalar tensor.
    """
    b = entries.double()
    diagonal = (b.diagonal(dim1=1, dim2=2).square() + spread_variance.double()).sqrt()
    cholesky = b.tril(-1) + diagonal.diag_embed()
    centred = (z.double() - means.double().unsqueeze(1)).mT
    squares = torch.linalg.solve_triangular(cholesky, centred, upper=False).square().sum(1)
    return -0.5 * (squares.mT + (2.0 * diagonal.log().sum(1) + entries.shape[1] * LOG_2PI))


def cholesky_log_probs_of_scales(
    z: Tensor, means: Tensor, entries: Tensor, scales: Tensor, spread_variance: Tensor
) -> Tensor:
    """log N(z; m_m, T diag(s_m² B_ii² + σ_Z²) Tᵀ), (n, M) in float64, for the unit triangle T of L = T diag(L_ii).

    The scale of a piece is that of the part of the conditional variances L_ii² = B_ii² + σ_Z² that is not noise, so
    that they keep their floor; of scale 1 it is LLᵀ. With x = L⁻¹z, c_m = L⁻¹m_m and ρ² = L_ii² / (s_m² B_ii² + σ_Z²)
    the quadratic form is Σ_i ρ_mi² (x_i − c_mi)²: one substitution for all pieces.

    Args:
        z: points, shape (n, D).
        means: m, shape (M, D).
        entries: B, as for ``cholesky_log_prob``, shape (D, D).
        scales: s, shape (M,), positive.
        spread_variance: σ_Z², a scalar tensor.
    """
    noise, excess = spread_variance.double(), entries.diagonal().double().square()
    whitened = lower_solve(torch.cat([z.double(), means.double()]).mT, entries, spread_variance).mT
    variances = torch.outer(scales.double().square(), excess) + noise
    squares = weighted_squares(whitened[: len(z)], whitened[len(z) :], (excess + noise) / variances)
    return -0.5 * (squares + (variances.log().sum(1) + entries.shape[1] * LOG_2PI))


def log_probs_of_conditionals(z: Tensor, means: Tensor, cholesky: Tensor, variances: Tensor) -> Tensor:
    """log N(z; m_m, T diag(v_m) Tᵀ), (n, M) in float64, for the unit triangle T of a constant L = T diag(L_ii).

    Args:
        z: points, shape (n, D).
        means: m, shape (M, D).
        cholesky: L, shape (D, D), in float64.
        variances: v, shape (M, D), in float64: of each piece those of each feature given the features before it.
    """
    return log_probs_of_whitened(*whitened_by(cholesky, z, means), cholesky, variances)


def whitened_by(cholesky: Tensor, z: Tensor, means: Tensor) -> tuple[Tensor, Tensor]:
    """L⁻¹z, (n, D), and L⁻¹m, (M, D), in float64, by one substitution."""
    rows = torch.cat([z.double(), means.double()])
    whitened = torch.linalg.solve_triangular(cholesky, rows.mT, upper=False).mT
    return whitened[: len(z)], whitened[len(z) :]


def log_probs_of_whitened(x: Tensor, centres: Tensor, cholesky: Tensor, variances: Tensor) -> Tensor:
    """``log_probs_of_conditionals`` at x = L⁻¹z, (n, D), and the means L⁻¹m, (M, D)."""
    squares = weighted_squares(x, centres, cholesky.diagonal().square() / variances)
    return -0.5 * (squares + (variances.log().sum(1) + len(cholesky) * LOG_2PI))


def root_of_conditionals(cholesky: Tensor, variances: Tensor) -> Tensor:
    """T diag(√v), the Cholesky factor of one piece, (D, D), from its conditional variances, (D,)."""
    return cholesky * (variances.sqrt() / cholesky.diagonal())


def variances_of_scale(cholesky: Tensor, scale: Tensor, spread_variance: Tensor) -> Tensor:
    """s² (L_ii² − σ_Z²) + σ_Z², the conditional variances at a scale, (D,) or for scales (M, 1) of shape (M, D)."""
    noise = spread_variance.double()
    return scale.square() * (cholesky.diagonal().square() - noise).clamp_min(0.0) + noise


def scaled_entries_of(entries: Tensor, scale: Tensor, spread_variance: Tensor) -> Tensor:
    """The entries of the Cholesky factor T diag(√(s² B_ii² + σ_Z²)) of a piece, (D, D), in float64."""
    b, noise = entries.double(), spread_variance.double()
    excess = b.diagonal().square()
    ratio = ((scale.double().square() * excess + noise) / (excess + noise)).sqrt()
    return b.tril(-1) * ratio + (scale.double() * b.diagonal()).diag_embed()


def lower_solve(rhs: Tensor, entries: Tensor, spread_variance: Tensor) -> Tensor:
    """L⁻¹B for B (D, n) in float64; can be differentiated in B and the entries of L, as often as one likes."""
    if under_transforms(rhs, entries, spread_variance):
        return _plain_solve(rhs, entries, spread_variance)
    solution: Tensor = _LowerSolve.apply(rhs, entries, spread_variance)  # type: ignore[no-untyped-call]
    return solution


def _plain_solve(rhs: Tensor, entries: Tensor, spread_variance: Tensor) -> Tensor:
    return torch.linalg.solve_triangular(spread_cholesky_of(entries, spread_variance), rhs, upper=False)


class _LowerSolve(torch.autograd.Function):
    """X = L⁻¹B. For a gradient G of X: Ḃ = L⁻ᵀG and L̇ = −tril(ḂXᵀ), and Ḃ_ii of the entries is L̇_ii B_ii / L_ii."""

    @staticmethod
    def forward(ctx: Any, rhs: Tensor, entries: Tensor, spread_variance: Tensor) -> Tensor:
        diagonal = entries.diagonal().double().square().add_(spread_variance.double()).sqrt_()
        lower = in_double(entries, diagonal)
        solution = solve_lower(lower, diagonal, rhs)
        ctx.save_for_backward(rhs, entries, spread_variance, lower, diagonal, solution)
        return solution

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        rhs, entries, spread_variance, lower, diagonal, solution = ctx.saved_tensors
        if torch.is_grad_enabled() or under_transforms(*grad_outputs):  # differentiated again or mapped
            inputs = (rhs, entries, spread_variance)
            return gradients_of_plain(_plain_solve, inputs, ctx.needs_input_grad, grad_outputs[0])
        grad_rhs = solve_lower_transposed(lower, diagonal, grad_outputs[0])
        if not ctx.needs_input_grad[1]:
            return grad_rhs, None, None
        dtype = torch.promote_types(entries.dtype, torch.float32)
        grad = lower_product(grad_rhs.to(dtype), solution.to(dtype), entries.dtype).neg_()
        on_diagonal = -(grad_rhs * solution).sum(1) * entries.diagonal().double() / diagonal
        grad.diagonal().copy_(on_diagonal)
        return grad_rhs, grad, None
