"""Products and solves of lower-triangular matrices that skip the half that is zero.

A library's product of two triangular matrices costs as much as that of two full ones. Split into
halves, A = [[A₁, 0], [A₂₁, A₂]], all but the off-diagonal quarter is two problems of half the size,
and the work falls to a third (product) or a half (solve) of that. A large factor in float32 is converted block by
block, when its turn comes.
"""

from __future__ import annotations

import torch
from torch import Tensor

_SMALLEST = 128
"""Below this size one call for the whole costs less than several for its parts."""
_ROWS, _ROWS_OF_SMALL = 256, 112
"""So many rows of a product or of a solution are formed at a time; the second up to 1024, a tenth faster there."""
_WHOLE = 1024
"""Up to this size, and on accelerators, a factor is best written out in float64 and handed to one substitution."""


def lower_double(matrix: Tensor) -> Tensor:
    """The lower triangle in float64, zeros above it."""
    if _half(matrix) == 0:
        return matrix.tril().double()
    out = torch.zeros(matrix.shape, dtype=torch.float64, device=matrix.device)
    for rows in _blocks(out):
        out[rows, : rows.stop] = matrix[rows, : rows.stop]
        out[rows, rows].tril_()
    return out


def lower_gram(a: Tensor) -> Tensor:
    """The lower triangle of AAᵀ for a lower-triangular A, (D, D); above the diagonal its entries mean nothing."""
    if _half(a) == 0:
        return a @ a.mT
    out = torch.empty_like(a).mT  # by columns, as LAPACK wants it next
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


def lower_quotient(cholesky: Tensor, rows: Tensor) -> Tensor:
    """L⁻¹A, (D, D), lower-triangular, for lower-triangular L and A."""
    out = rows.tril()
    _solve_in_place(cholesky, out)
    return out


def _solve_in_place(cholesky: Tensor, x: Tensor) -> None:
    """L⁻¹X: X₁ ← L₁⁻¹X₁, X₂₁ ← L₂⁻¹(X₂₁ − L₂₁X₁), X₂ ← L₂⁻¹X₂."""
    half = _half(x)
    if half == 0:
        _divide(x, cholesky.mT, upper=True)
        return
    _solve_in_place(cholesky[:half, :half], x[:half, :half])
    x[half:, :half].addmm_(cholesky[half:, :half], x[:half, :half], alpha=-1.0)
    _divide(x[half:, :half], cholesky[half:, half:].mT, upper=True)
    _solve_in_place(cholesky[half:, half:], x[half:, half:])


def _solve_transposed_in_place(cholesky: Tensor, x: Tensor) -> None:
    """The lower triangle of L⁻ᵀX: X₂ ← L₂⁻ᵀX₂, X₂₁ ← L₂⁻ᵀX₂₁, X₁ ← L₁⁻ᵀ(X₁ − L₂₁ᵀX₂₁)."""
    half = _half(x)
    if half == 0:
        _divide(x, cholesky, upper=False)
        return
    _solve_transposed_in_place(cholesky[half:, half:], x[half:, half:])
    _divide(x[half:, :half], cholesky[half:, half:], upper=False)
    x[:half, :half].addmm_(cholesky[half:, :half].mT, x[half:, :half], alpha=-1.0)
    _solve_transposed_in_place(cholesky[:half, :half], x[:half, :half])


def _divide(x: Tensor, triangle: Tensor, *, upper: bool) -> None:
    """Xᵀ ← Xᵀ T⁻¹ for a triangular T, in place: from the right, because rows of X are columns to LAPACK."""
    x.mT.copy_(torch.linalg.solve_triangular(triangle, x.mT, upper=upper, left=False))


def invert_lower(a: Tensor) -> None:
    """A ← A⁻¹ for a lower-triangular A, (D, D), in place: A₁⁻¹, −A₂⁻¹A₂₁A₁⁻¹ and A₂⁻¹."""
    half = _half(a)
    if half == 0:
        a.copy_(torch.linalg.solve_triangular(a, torch.eye(len(a), dtype=a.dtype, device=a.device), upper=False))
        return
    invert_lower(a[:half, :half])
    invert_lower(a[half:, half:])
    torch.mm(a[half:, half:] @ a[half:, :half], a[:half, :half], out=a[half:, :half]).neg_()


def add_lower_of_transposed(out: Tensor, a: Tensor, matrix: Tensor) -> None:
    """Adds tril(AᵀB), for a lower-triangular A, (D, D), and a B of which the lower triangle is read, to one."""
    for rows in _blocks(out):  # A is read from these rows on
        out[rows, : rows.stop].addmm_(a[rows.start :, rows].mT, matrix[rows.start :, : rows.stop])
    out.tril_()


def mirrored(matrix: Tensor) -> Tensor:
    """The symmetric matrix, (D, D), of this lower triangle, in place."""
    for rows in _blocks(matrix):
        on_diagonal = matrix[rows, rows]
        on_diagonal.copy_(on_diagonal.tril() + on_diagonal.tril(-1).mT)
        matrix[: rows.start, rows] = matrix[rows, : rows.start].mT
    return matrix


def in_double(lower: Tensor, diagonal: Tensor) -> Tensor:
    """What the substitutions want of L, given its strict lower triangle and its diagonal in float64.

    That is L itself in float64, unless it is large: then it is the lower triangle as it was given, of which the
    substitutions convert a block when they come to it, so that no copy of all of it goes through the memory.
    """
    if _by_blocks(lower):
        return lower
    whole = lower.to(torch.float64, copy=True)
    whole.diagonal().copy_(diagonal)
    return whole


def solve_lower(lower: Tensor, diagonal: Tensor, rhs: Tensor) -> Tensor:
    """L⁻¹B in float64 for B (D, n) in float64, given L as ``in_double`` leaves it and its diagonal."""
    if not _by_blocks(lower):
        return torch.linalg.solve_triangular(lower, rhs, upper=False)
    x = rhs.clone()
    blocks = _blocks(lower)
    for i, columns in enumerate(blocks):
        x[columns] = torch.linalg.solve_triangular(_on_diagonal(lower, diagonal, columns), x[columns], upper=False)
        for rows in blocks[i + 1 :]:
            x[rows].addmm_(lower[rows, columns].double(), x[columns], alpha=-1.0)
    return x


def solve_lower_transposed(lower: Tensor, diagonal: Tensor, rhs: Tensor) -> Tensor:
    """L⁻ᵀB in float64 for B (D, n) in float64, given L as ``in_double`` leaves it and its diagonal."""
    if not _by_blocks(lower):
        return torch.linalg.solve_triangular(lower.mT, rhs, upper=True)
    return solve_transposed_by_blocks(lower, diagonal, rhs)


def solve_transposed_by_blocks(lower: Tensor, diagonal: Tensor, rhs: Tensor) -> Tensor:
    """L⁻ᵀB in float64 for B (D, n) in float64, given a lower triangle of any dtype and the diagonal in float64."""
    x = rhs.clone()
    blocks = _blocks(lower)
    for i, rows in reversed(list(enumerate(blocks))):
        x[rows] = torch.linalg.solve_triangular(_on_diagonal(lower, diagonal, rows).mT, x[rows], upper=True)
        for columns in blocks[:i]:
            x[columns].addmm_(lower[rows, columns].double().mT, x[rows], alpha=-1.0)
    return x


def _by_blocks(lower: Tensor) -> bool:
    return len(lower) > _WHOLE and lower.device.type == "cpu"


def _on_diagonal(lower: Tensor, diagonal: Tensor, block: slice) -> Tensor:
    out = lower[block, block].to(torch.float64, copy=True)
    out.diagonal().copy_(diagonal[block])
    return out


def lower_product(left: Tensor, right: Tensor, dtype: torch.dtype, less: Tensor | None = None) -> Tensor:
    """tril(left @ rightᵀ − less), (D, D) with zeros above the diagonal, in this dtype; the product is in theirs."""
    if _half(left) == 0:
        product = left @ right.mT if less is None else torch.addmm(less, left, right.mT, beta=-1.0)
        return product.tril_().to(dtype)
    out = left.new_zeros(len(left), len(right), dtype=dtype)
    for rows in _blocks(out):
        product = left[rows] @ right[: rows.stop].mT
        if less is not None:
            product -= less[rows, : rows.stop]
        out[rows, : rows.stop] = product.tril_(rows.start)
    return out


def _half(matrix: Tensor) -> int:
    """Where to cut, or 0 for a matrix that is not worth it."""
    return 0 if len(matrix) <= _SMALLEST else len(matrix) // 2


def _blocks(matrix: Tensor) -> list[slice]:
    """Its rows, so many at a time."""
    size = _ROWS if len(matrix) > _WHOLE else _ROWS_OF_SMALL
    return [slice(start, min(start + size, len(matrix))) for start in range(0, len(matrix), size)]
