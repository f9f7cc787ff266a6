"""Polynomials of a symmetric matrix for its resolvents 1 / (1 + τN) and log det(1 + τN) at several small τ.

N is (AᵀA)⁻¹ for a triangular A that is well away from singular, and τ_m = σ_Z² / s_m² the noise of a piece over the
square of its scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from nflows_spread.linalg.lanczos import largest_eigenvalue
from nflows_spread.linalg.triangular import invert_lower, lower_double, lower_gram, lower_product, mirrored

_LARGEST_DEGREE = 6
"""Of the polynomials, which three products of matrices give: a choice, for time."""

_ERROR, _ERROR_OF_FLOAT32 = 1e-13, 2e-7
"""The largest relative error of a polynomial, twice the resolution of float32; of float64 the densities keep
twelve digits."""

_LARGEST_RATIO = 0.5
"""σ_Z² / s_m² λ, λ the least eigenvalue of AAᵀ, beyond which no degree is enough: where that is seen at once."""

_SHARES = 1.0, 10.0, 3.0
"""Of that error, for 1 / (1 + r t), its square and log(1 + r t): of one degree the others' are larger by so much."""

_FARTHEST = 100.0
"""The mean square of a whitened coordinate up to which float32 keeps the digits of its corrections: a choice."""

_SAFETY = 1.2
"""Times the largest eigenvalue that a few steps find: they missed up to 6 % of it on made spectra, flat, with an edge,
with outliers, of random covariances."""

_PLACES = 64
"""Points at which a polynomial is compared with its function: a choice."""


class Series(NamedTuple):
    """Polynomials in N̂ = (AᵀA)⁻¹ / ν, ν about the largest eigenvalue or above it, and what they are made of.

    Attributes:
        whitened: A⁻¹ times points and means about an origin, (n + M, D), float64.
        inverse: A⁻¹, (D, D).
        powers: N̂ʲ, j = 1 … ⌈d / 2⌉, symmetric.
        traces: tr N̂ᵏ, k = 0 … d, (d + 1,), float64.
        resolvents: coefficients of 1 / (1 + τ_m ν t), (M, d + 1), float64, τ_m = σ_Z² / s_m².
        squares: of its square.
        logs: of log(1 + τ_m ν t).
    """

    whitened: Tensor
    inverse: Tensor
    powers: tuple[Tensor, ...]
    traces: Tensor
    resolvents: Tensor
    squares: Tensor
    logs: Tensor


@torch.no_grad()
def series_of(z: Tensor, means: Tensor, factor: Tensor, scales: Tensor, spread_variance: Tensor) -> Series | None:
    """Of points (n, D), means (M, D), a lower-triangular A (D, D) and scales (M,); None where no small degree is exact.

    The error of a polynomial of degree d falls with (τ_m ν / 4)^(d+1). Corrections of a float32 factor are in float32.
    """
    lower = lower_double(factor)
    ratios = spread_variance.double() / scales.double().square()
    largest = float(ratios.max())
    if not largest < _LARGEST_RATIO * float(lower.diagonal().square().min()):
        return None
    rows = torch.cat([z.double(), means.double()]) - means.double().mean(0)  # an offset of all pieces costs no digits
    whitened = torch.linalg.solve_triangular(lower, rows.mT, upper=False).mT
    if not float(whitened.square().mean(1).max()) <= _FARTHEST:
        return None
    inverse = _inverse(lower, factor.dtype, largest)
    del lower  # of the size of all else together
    gram = mirrored(lower_gram(inverse))
    bound = _SAFETY * largest_eigenvalue(gram)
    found = _polynomials(ratios * bound, factor.dtype)
    if found is None:
        return None
    degree = found[0].shape[1] - 1
    powers = [gram.div_(bound)]
    while 2 * len(powers) < degree:
        powers.append(mirrored(lower_product(powers[-1], gram, gram.dtype)))
    traces = [float(len(gram)), _norm(inverse) ** 2 / bound]
    for k in range(2, degree + 1):
        traces.append(float(torch.dot(powers[k // 2 - 1].flatten(), powers[k - k // 2 - 1].flatten())))
    return Series(whitened, inverse, tuple(powers), torch.tensor(traces, dtype=torch.float64, device=z.device), *found)


def _inverse(lower: Tensor, dtype: torch.dtype, largest_ratio: float) -> Tensor:
    """A⁻¹ in this dtype for A in float64, which may be written over.

    In float32, at half the time, unless its error C (A C v − v) of one vector C v would show in the corrections.
    """
    if dtype == torch.float32:
        inverse = lower.to(dtype)
        invert_lower(inverse)
        column = torch.ones(len(lower), 1, dtype=dtype, device=lower.device)
        found = inverse @ column
        error = inverse @ (lower @ found.double() - column).to(dtype)
        ratio = largest_ratio * float(torch.linalg.vector_norm(inverse, dim=1).max()) ** 2
        if ratio * float(error.norm()) <= _ERROR_OF_FLOAT32 * float(found.norm()):
            return inverse
    invert_lower(lower)
    return lower.to(dtype)


def _norm(matrix: Tensor) -> float:
    """Frobenius'."""
    return float(torch.linalg.vector_norm(matrix, dtype=torch.float64))


def _polynomials(ratios: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor] | None:
    """Coefficients of 1 / (1 + r t), its square and log(1 + r t), each (M, d + 1), on [0, 1], of the least d."""
    t = torch.linspace(0.0, 1.0, _PLACES, dtype=torch.float64, device=ratios.device)
    x = torch.outer(ratios, t)
    exact = 1.0 / (1.0 + x), (1.0 + x) ** -2, x.log1p()
    allowed = _ERROR if dtype == torch.float64 else _ERROR_OF_FLOAT32
    for degree in range(1, _LARGEST_DEGREE + 1):
        logs = torch.nn.functional.pad(_interpolated(ratios, degree - 1, 0), (1, 0))  # t times that of log(1 + r t) / t
        found = _interpolated(ratios, degree, 1), _interpolated(ratios, degree, 2), logs
        pairs = zip(found, exact, _SHARES, strict=True)
        if all(float((c @ _powers_of(t, degree) - f).abs().max()) <= share * allowed for c, f, share in pairs):
            return found
    return None


def _interpolated(ratios: Tensor, degree: int, power: int) -> Tensor:
    """Coefficients, (M, d + 1), of (1 + r t)⁻ᵖ, or for p = 0 of log(1 + r t) / t, at Chebyshev's points of [0, 1]."""
    places = torch.arange(degree + 1, dtype=torch.float64, device=ratios.device)
    t = 0.5 - 0.5 * torch.cos(torch.pi * (places + 0.5) / (degree + 1))
    x = torch.outer(ratios, t)
    values = x.log1p() / t if power == 0 else (1.0 + x) ** -power
    return torch.linalg.solve(_powers_of(t, degree).mT, values.mT).mT


def _powers_of(t: Tensor, degree: int) -> Tensor:
    """tᵏ, (d + 1, n)."""
    return t ** torch.arange(degree + 1, device=t.device).unsqueeze(1)


def polynomial_of(coefficients: Tensor, powers: Sequence[Tensor]) -> Tensor:
    """Σ_k c_k N̂ᵏ, k from 1 on, (D, D), of which the lower triangle alone is right.

    Of the powers N̂ʲ up to r, and beyond them by one product N̂ʳ (c_r I + c_{r+1} N̂ + …).
    """
    c, known = coefficients.tolist()[1:], len(powers)
    if len(c) == known:
        return _sum_of(powers, c)
    high = _sum_of(powers, c[known:])
    high.diagonal().add_(c[known - 1])
    found = lower_product(powers[-1], high, high.dtype)
    for matrix, coefficient in zip(powers[:-1], c, strict=False):
        found.add_(matrix, alpha=coefficient)
    return found


def _sum_of(matrices: Sequence[Tensor], coefficients: Sequence[float]) -> Tensor:
    """Of as many as there are coefficients."""
    found = matrices[0] * coefficients[0]
    for matrix, coefficient in zip(matrices[1:], coefficients[1:], strict=False):
        found.add_(matrix, alpha=coefficient)
    return found
