"""Products and solves of lower-triangular matrices that skip the half that is zero.

A library's product of two triangular matrices costs as much as that of two full ones. Split into
halves, A = [[A₁, 0], [A₂₁, A₂]], all but the off-diagonal quarter is two problems of half the size,
and the work falls to a third (product) or a half (solve) of that.
"""

from __future__ import annotations

import torch
from torch import Tensor

_SMALLEST = 256
"""Below this size one call for the whole costs less than several for its parts."""


def lower_gram(a: Tensor) -> Tensor:
    """The lower triangle of AAᵀ for a lower-triangular A, (D, D); above the diagonal its entries mean nothing."""
    out = torch.empty_like(a)
    _gram_into(out, a)
    return out


def _gram_into(out: Tensor, a: Tensor) -> None:
    """A₁A₁ᵀ, A₂₁A₁ᵀ and A₂A₂ᵀ + A₂₁A₂₁ᵀ."""
    half = _half(a)
    if half == 0:
        torch.mm(a, a.mT, out=out)
        return
    below = a[half:, :half]
    _gram_into(out[:half, :half], a[:half, :half])
    torch.mm(below, a[:half, :half].mT, out=out[half:, :half])
    _gram_into(out[half:, half:], a[half:, half:])
    _add_gram(out[half:, half:], below)


def _add_gram(out: Tensor, rows: Tensor) -> None:
    """Adds the lower triangle of rows · rowsᵀ to that of ``out``, and something above it."""
    half = _half(out)
    if half == 0:
        out.addmm_(rows, rows.mT)
        return
    _add_gram(out[:half, :half], rows[:half])
    out[half:, :half].addmm_(rows[half:], rows[:half].mT)
    _add_gram(out[half:, half:], rows[half:])


def lower_cholesky_solve(cholesky: Tensor, rows: Tensor) -> Tensor:
    """The lower triangle of (LLᵀ)⁻¹A for lower-triangular L and A, (D, D); above it the entries mean nothing.

    The lower triangle of L⁻ᵀ(L⁻¹A) needs nothing from above the diagonal: L⁻¹A is lower-triangular,
    and the substitution with Lᵀ runs upwards from the last row.
    """
    if _half(rows) == 0:
        return torch.cholesky_solve(rows, cholesky)
    out = rows.clone()
    _solve_in_place(cholesky, out)
    _solve_transposed_in_place(cholesky, out)
    return out


def _solve_in_place(cholesky: Tensor, x: Tensor) -> None:
    """L⁻¹X: X₁ ← L₁⁻¹X₁, X₂₁ ← L₂⁻¹(X₂₁ − L₂₁X₁), X₂ ← L₂⁻¹X₂."""
    half = _half(x)
    if half == 0:
        x.copy_(torch.linalg.solve_triangular(cholesky, x, upper=False))
        return
    below = x[half:, :half]
    _solve_in_place(cholesky[:half, :half], x[:half, :half])
    below.sub_(cholesky[half:, :half] @ x[:half, :half])
    below.copy_(torch.linalg.solve_triangular(cholesky[half:, half:], below, upper=False))
    _solve_in_place(cholesky[half:, half:], x[half:, half:])


def _solve_transposed_in_place(cholesky: Tensor, x: Tensor) -> None:
    """The lower triangle of L⁻ᵀX: X₂ ← L₂⁻ᵀX₂, X₂₁ ← L₂⁻ᵀX₂₁, X₁ ← L₁⁻ᵀ(X₁ − L₂₁ᵀX₂₁)."""
    half = _half(x)
    if half == 0:
        x.copy_(torch.linalg.solve_triangular(cholesky.mT, x, upper=True))
        return
    below = x[half:, :half]
    _solve_transposed_in_place(cholesky[half:, half:], x[half:, half:])
    below.copy_(torch.linalg.solve_triangular(cholesky[half:, half:].mT, below, upper=True))
    x[:half, :half].sub_(cholesky[half:, :half].mT @ below)
    _solve_transposed_in_place(cholesky[:half, :half], x[:half, :half])


def lower_product(left: Tensor, right: Tensor, out: Tensor) -> None:
    """Writes tril(left @ rightᵀ) into ``out``, (D, D) and zero above the diagonal, in the dtype of ``out``."""
    for start in range(0, len(out), _SMALLEST):
        stop = min(start + _SMALLEST, len(out))
        out[start:stop, :stop] = (left[start:stop] @ right[:stop].mT).tril_(start)


def _half(matrix: Tensor) -> int:
    """Where to cut, or 0 for a matrix that is not worth it."""
    return 0 if len(matrix) <= _SMALLEST else len(matrix) // 2
