"""Log-densities of pieces that share a triangular A at M scales, by polynomials of (AᵀA)⁻¹ and no decomposition.

Where A is well away from singular, AAᵀ large against σ_Z², a triangular A is its own Cholesky factor, and the noise of
each piece a small correction to it.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from nflows_spread.linalg.pieces import plain_log_probs_of_scales
from nflows_spread.linalg.resolvent_series import Series, polynomial_of, series_of
from nflows_spread.linalg.spread_covariance import LOG_2PI
from nflows_spread.linalg.squares import squares_of
from nflows_spread.linalg.torch_func import gradients_of_plain, under_transforms
from nflows_spread.linalg.triangular import add_lower_of_transposed, lower_product, solve_transposed_by_blocks


def series_log_probs(
    z: Tensor, means: Tensor, factor: Tensor, scales: Tensor, spread_variance: Tensor
) -> Tensor | None:
    """log N(z; m_m, s_m² AAᵀ + σ_Z² I), (n, M) in float64, or None where ``series_of`` has none.

    Args:
        z: points, shape (n, D).
        means: m, shape (M, D).
        factor: A, shape (D, D); what it has above the diagonal is not read and gets gradient 0.
        scales: s, shape (M,), positive.
        spread_variance: σ_Z², a scalar tensor.
    """
    series = series_of(z, means, factor, scales, spread_variance)
    if series is None:
        return None
    inputs = z, means, factor, scales, spread_variance
    found: Tensor = _SeriesLogProb.apply(*inputs, series)  # type: ignore[no-untyped-call]
    return found


class _SeriesLogProb(torch.autograd.Function):
    """With e_nm = A⁻¹(z_n − m_m), N = (AᵀA)⁻¹, τ_m = σ_Z² / s_m², p_m(N) = (I + τ_m N)⁻¹ and w_nm = p_m(N) e_nm:

        Σ_m = s_m² A (I + τ_m N) Aᵀ,        (z_n − m_m)ᵀΣ_m⁻¹(z_n − m_m) = e_nmᵀ w_nm / s_m²,
        log det Σ_m = 2 D log s_m + 2 Σ_i log |A_ii| + log det(I + τ_m N).

    With weights g_nm from above and γ_nm = g_nm / s_m²:

        ∂/∂z_n = −A⁻ᵀ Σ_m γ_nm w_nm,        ∂/∂m_m = A⁻ᵀ Σ_n γ_nm w_nm,
        ∂/∂A = tril(A⁻ᵀ (Σ_nm γ_nm w_nm w_nmᵀ − Σ_nm g_nm p_m(N))),
        ∂/∂s_m = Σ_n g_nm |w_nm|² / s_m³ − (Σ_n g_nm) tr p_m(N) / s_m.

    Every function of N is a polynomial, of the vectors f_k = N̂ᵏe of points and means, which are formed once. Of
    A⁻ᵀ the lower triangle is diag(1 / A_ii), so that only the corrections to I need a product of matrices.
    """

    @staticmethod
    def forward(
        ctx: Any,
        z: Tensor,
        means: Tensor,
        factor: Tensor,
        scales: Tensor,
        spread_variance: Tensor,
        series: Series,
    ) -> Tensor:
        s, features = scales.double(), z.shape[1]
        vectors, diagonal = [series.whitened], factor.diagonal().double()
        for _ in range(series.resolvents.shape[1] - 1):
            vectors.append(vectors[-1].to(factor.dtype) @ series.powers[0])
        f = torch.stack([vector.double() for vector in vectors], dim=1)  # (n + M, d + 1, D)
        moments = _moments(f[: len(z)], f[len(z) :])
        quadratic = torch.einsum("knm,mk->nm", moments, series.resolvents) / s.square()
        log_det = 2.0 * features * s.log() + 2.0 * diagonal.abs().log().sum()
        log_det = log_det + series.logs @ series.traces
        ctx.save_for_backward(z, means, factor, scales, spread_variance, moments, f)
        ctx.series = series
        return -0.5 * (quadratic + log_det + features * LOG_2PI)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        z, means, factor, scales, spread_variance, moments, f = ctx.saved_tensors
        upstream, series, n = grad_outputs[0].double(), ctx.series, len(z)
        if torch.is_grad_enabled() or under_transforms(upstream):  # differentiated again or mapped
            inputs = (z, means, factor, scales, spread_variance)
            gradients = gradients_of_plain(plain_log_probs_of_scales, inputs, ctx.needs_input_grad, upstream)
            return *gradients, None
        s, p, totals = scales.double(), series.resolvents, upstream.sum(0)
        given = (upstream / s.square()).unsqueeze(2) * p  # γ_nm p_mk, (n, M, d + 1)
        of_points, of_means = f[:n], f[n:]
        at_points = _contracted(given.sum(1, keepdim=True), of_points) - given.flatten(1) @ of_means.flatten(0, 1)
        at_means = given.transpose(0, 1).flatten(1) @ of_points.flatten(0, 1)
        at_means -= _contracted(given.sum(0).unsqueeze(1), of_means)
        diagonal = factor.diagonal().double()
        solve = partial(solve_transposed_by_blocks, factor, diagonal)
        by_z, by_means = -solve(at_points.mT).mT, solve(at_means.mT).mT
        by_scales = (upstream * torch.einsum("knm,mk->nm", moments, series.squares)).sum(0) / s**3
        by_scales = by_scales - totals * (p @ series.traces) / s
        by_factor = None
        if ctx.needs_input_grad[2]:
            pairs = given.mT.unsqueeze(3) * p  # γ_nm p_mk p_mj, (n, d + 1, M, d + 1)
            right = torch.bmm(pairs.sum(2), of_points)
            right -= (pairs.flatten(2).flatten(0, 1) @ of_means.flatten(0, 1)).view_as(right)
            right = torch.cat([right, -p.unsqueeze(2) * at_means.unsqueeze(1)])  # beside f, (n + M, d + 1, D)
            by_factor = lower_product(solve(f[:, 0].mT), right[:, 0].mT, factor.dtype)
            by_factor.diagonal().sub_(((totals @ p[:, 0]) / diagonal).to(factor.dtype))
            one, other = (part[:, 1:].flatten(0, 1).to(factor.dtype).mT for part in (f, right))
            corrections = lower_product(one, other, factor.dtype, less=polynomial_of(totals @ p, series.powers))
            add_lower_of_transposed(by_factor, series.inverse, corrections)
        return by_z.type_as(z), by_means.type_as(means), by_factor, by_scales.type_as(scales), None, None


def _moments(of_points: Tensor, of_means: Tensor) -> Tensor:
    """e_nmᵀ N̂ᵏ e_nm, (d + 1, n, M), from N̂ᵏ times points (n, d + 1, D) and means (M, d + 1, D)."""
    found = []
    for power in range(of_points.shape[1]):
        x, c = of_points[:, power // 2], of_means[:, power // 2]
        if power % 2 == 0:
            found.append(squares_of(x, c, torch.ones_like(c)))
            continue
        y, d = of_points[:, power // 2 + 1], of_means[:, power // 2 + 1]
        found.append((x * y).sum(1, keepdim=True) + (c * d).sum(1) - x @ d.mT - y @ c.mT)
    return torch.stack(found)


def _contracted(coefficients: Tensor, vectors: Tensor) -> Tensor:
    """Σ_k c_nk f_nk, (n, D), of coefficients (n, 1, d + 1) and vectors (n, d + 1, D)."""
    return torch.bmm(coefficients, vectors).squeeze(1)
