"""Log-densities of pieces that share one A at M scales, N(m_m, s_m² AAᵀ + σ_Z² I), by one decomposition of A."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from nflows_spread.linalg.pieces import plain_log_probs_of_scales
from nflows_spread.linalg.scaled_series import series_log_probs
from nflows_spread.linalg.spread_covariance import LOG_2PI
from nflows_spread.linalg.squares import gradients_of_squares, squares_of
from nflows_spread.linalg.torch_func import gradients_of_plain, under_transforms
from nflows_spread.linalg.triangular import lower_gram, lower_product

_LARGEST_RATIO, _LARGEST_RATIO_OF_FLOAT32 = 1e4, 1e10
"""The largest eigenvalue of AAᵀ over σ_Z² up to which AAᵀ is formed: of the 16 digits of σ_Z² it leaves 12, or 6."""


def log_probs_of_scales(
    z: Tensor, means: Tensor, factor: Tensor, scales: Tensor, spread_variance: Tensor, *, lower: bool
) -> Tensor:
    """log N(z; m_m, s_m² AAᵀ + σ_Z² I) for all M pieces.

    Args:
        z: points, shape (n, D).
        means: m, shape (M, D).
        factor: A, shape (D, r).
        scales: s, shape (M,), positive.
        spread_variance: σ_Z², a scalar tensor.
        lower: what A has above the diagonal is not read and gets gradient 0.

    Returns:
        Shape (n, M), float64. Gradients have a closed form (see ``_ScalesLogProb``) and can be differentiated again.
    """
    if under_transforms(z, means, factor, scales, spread_variance):
        return plain_log_probs_of_scales(z, means, factor, scales, spread_variance, lower=lower)
    if lower and len(factor) >= _MANY_FEATURES:
        quickly = series_log_probs(z, means, factor, scales, spread_variance)
        if quickly is not None:
            return quickly
    found: Tensor = _ScalesLogProb.apply(z, means, factor, scales, spread_variance, lower)  # type: ignore[no-untyped-call]
    return found


_LEAST_WEIGHT = 1e-20
"""Points whose weight for a piece is below this share of the largest one are left out of its moments: they are lost in
rounding, and in many features most points belong to one piece alone."""

_MANY_FEATURES = 192
"""Features from which on a polynomial of matrices is faster than an eigendecomposition, by measurement."""


class _Range(NamedTuple):
    """An orthonormal basis U (D, r) of a space that holds A's range, and AAᵀ = U diag(λ) Uᵀ."""

    basis: Tensor
    values: Tensor


def _range_of(a: Tensor, spread_variance: float, *, exact: bool, lower: bool) -> _Range:
    """U and λ of A (D, r) in float64: of AAᵀ, if A is square and nothing is lost so, in a fifth of the time."""
    if a.shape[1] < a.shape[0]:
        basis, upper = torch.linalg.qr(a)
        left, singular, _ = torch.linalg.svd(upper)
        return _Range(basis @ left, singular.square())
    values, vectors = torch.linalg.eigh(lower_gram(a) if lower else a @ a.mT)  # which reads the lower triangle
    limit = _LARGEST_RATIO if exact else _LARGEST_RATIO_OF_FLOAT32
    if not bool(values[-1] <= limit * spread_variance):
        vectors, singular, _ = torch.linalg.svd(a)
        values = singular.square()
    return _Range(vectors, values.clamp_min(0.0))


class _ScalesLogProb(torch.autograd.Function):
    """In the basis U of A's range every piece is diagonal, with variances v_mk = s_m² λ_k + σ_Z².

    With c_nm = Uᵀ(z_n − m_m), p_nm = (I − UUᵀ)(z_n − m_m), t_nm = c_nm / v_m and weights w_nm from above:

        (z_n − m_m)ᵀΣ_m⁻¹(z_n − m_m) = Σ_k c_nmk² / v_mk + ‖p_nm‖² / σ_Z²,
        y_nm = Σ_m⁻¹(z_n − m_m) = U t_nm + p_nm / σ_Z²,
        ∂/∂z_n = −Σ_m w_nm y_nm,        ∂/∂m_m = Σ_n w_nm y_nm,
        ∂/∂A = Σ_m s_m² (Σ_n w_nm y_nm t_nmᵀ − (Σ_n w_nm) U diag(1 / v_m)) UᵀA,
        ∂/∂s_m = s_m Σ_k λ_k (Σ_n w_nm t_nmk² − (Σ_n w_nm) / v_mk).
    """

    @staticmethod
    def forward(
        ctx: Any, z: Tensor, means: Tensor, factor: Tensor, scales: Tensor, spread_variance: Tensor, lower: bool
    ) -> Tensor:
        a, variance = (factor.tril() if lower else factor).double(), float(spread_variance)
        basis, values = _range_of(a, variance, exact=factor.dtype == torch.float64, lower=lower)
        origin = means.double().mean(0)  # so that an offset of all pieces costs no digits
        points, centres = z.double() - origin, means.double() - origin
        inside, inner_means = points @ basis, centres @ basis
        variances = torch.outer(scales.double().square(), values) + variance
        squares = squares_of(inside, inner_means, variances.reciprocal())
        log_det = variances.log().sum(1)
        features, rank = a.shape
        outside = outer_means = points[:, :0]
        if rank < features:
            outside, outer_means = points - inside @ basis.mT, centres - inner_means @ basis.mT
            distances = torch.cdist(outside, outer_means, compute_mode="donot_use_mm_for_euclid_dist")
            squares = squares + distances.square() / variance
            log_det = log_det + (features - rank) * spread_variance.double().log()
        parts = (a, basis, values, variances, inside, inner_means, outside, outer_means)
        ctx.save_for_backward(z, means, factor, scales, spread_variance, *parts)
        ctx.lower = lower
        return -0.5 * (squares + log_det + features * LOG_2PI)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:
        z, means, factor, scales, spread_variance, *parts = ctx.saved_tensors
        weights = grad_outputs[0].double()
        if torch.is_grad_enabled() or under_transforms(weights):  # differentiated again or mapped
            inputs, function = (
                (z, means, factor, scales, spread_variance),
                partial(plain_log_probs_of_scales, lower=ctx.lower),
            )
            return *gradients_of_plain(function, inputs, ctx.needs_input_grad, weights), None
        a, basis, values, variances, inside, inner_means, outside, outer_means = parts
        variance, totals = spread_variance.double(), weights.sum(0)
        by_inside, by_inner_means, seconds = gradients_of_squares(weights, inside, inner_means, variances.reciprocal())
        by_z, by_means = -by_inside @ basis.mT, by_inner_means @ basis.mT
        if outside.shape[1]:
            by_z -= (weights.sum(1, keepdim=True) * outside - weights @ outer_means) / variance
            by_means += (weights.mT @ outside - totals.unsqueeze(1) * outer_means) / variance
        s = scales.double()
        excess = seconds / variances.square() - totals.unsqueeze(1) / variances
        by_scales = s * (excess @ values)
        by_factor = None
        if ctx.needs_input_grad[2]:
            moment = -torch.diag((s.square() * totals) @ variances.reciprocal())
            sums, of_pieces = torch.zeros_like(inside), torch.empty_like(inner_means)
            least = _LEAST_WEIGHT * weights.abs().max()
            for piece in range(len(s)):  # one by one, for the memory
                own = (weights[:, piece].abs() > least).nonzero().flatten()
                t = (inside[own] - inner_means[piece]) / variances[piece]
                weighted = t * (weights[own, piece].unsqueeze(1) * s[piece].square())
                moment.addmm_(weighted.mT, t)
                sums.index_add_(0, own, weighted)
                of_pieces[piece] = weighted.sum(0)
            found = basis @ moment
            if outside.shape[1]:
                found += (outside.mT @ sums - outer_means.mT @ of_pieces) / variance
            in_basis = a.mT @ basis
            if ctx.lower:
                by_factor = lower_product(found, in_basis, factor.dtype)
            else:
                by_factor = (found @ in_basis.mT).type_as(factor)
        return by_z.type_as(z), by_means.type_as(means), by_factor, by_scales.type_as(scales), None, None
