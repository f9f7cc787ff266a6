"""Read-outs of a flow on its manifold: projection to K coordinates, reconstruction, samples, density."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nflows_spread import validation
from nflows_spread.distributions import DegenerateGaussian
from nflows_spread.hosts import base_of, decode, encode
from nflows_spread.linalg.autocast import full_precision
from nflows_spread.linalg.dense import diagonal_log_prob


def project(flow: nn.Module, x: Tensor, *, rank: int, context: Tensor | None = None) -> Tensor:
    """Coordinates on the manifold, (z − m) E_K with z = g(x) (section 3).

    Args:
        flow: a flow whose base is a ``DegenerateGaussian``.
        x: data, shape (n, ...).
        rank: K, the number of coordinates.
        context: conditioning inputs, one row for each row of ``x``.

    Returns:
        Shape (n, K), in the dtype of ``x``.
    """
    base = _degenerate_base_of(flow)
    return _coordinates(_rows(flow, base, x, context), _leading(base, rank)[1])


def reconstruct(flow: nn.Module, x: Tensor, *, rank: int, context: Tensor | None = None) -> Tensor:
    """f(m + (g(x) − m) E_K E_Kᵀ): the data with all but its leading K latent coordinates removed.

    Args as for ``project``. Returns the shape of ``x``.
    """
    base = _degenerate_base_of(flow)
    rows = _rows(flow, base, x, context)
    directions = _leading(base, rank)[1]
    kept = _coordinates(_coordinates(rows, directions), directions.mT)
    return decode(flow, base.unflatten(kept), context)


def sample(
    flow: nn.Module,
    num_samples: int,
    *,
    rank: int,
    context: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Samples on the manifold, f(m + E_K √Λ_K ε) with ε ~ N(0, I_K) (section 3).

    Args:
        flow: a flow whose base is a ``DegenerateGaussian``.
        num_samples: number of samples; with a context it must be the number of its rows.
        rank: K, the dimension of the manifold.
        context: conditioning inputs, one row for each sample.
        generator: source of the randomness.

    Returns:
        Shape (num_samples, ...).
    """
    latent = _degenerate_base_of(flow).sample(num_samples, rank=rank, generator=generator)
    return decode(flow, latent, context)


def manifold_log_prob(flow: nn.Module, x: Tensor, *, rank: int, context: Tensor | None = None) -> Tensor:
    """The density allocation of appendix C.2: log N(z^proj; 0, Λ_K) at z^proj = (g(x) − m) E_K.

    A density in the coordinates of ``project``, not with respect to the area of the manifold.

    Args as for ``project``. Returns shape (n,).

    Raises:
        ValueError: the K-th eigenvalue of AAᵀ is 0, so that there is no K-dimensional density.
    """
    base = _degenerate_base_of(flow)
    variances, directions = _leading(base, rank)
    if float(variances[-1]) <= 0.0:
        raise ValueError(f"rank must be at most the rank of AAᵀ, {int((variances > 0.0).sum())}, got {rank}")
    return diagonal_log_prob(_coordinates(_rows(flow, base, x, context), directions), variances)


def _rows(flow: nn.Module, base: DegenerateGaussian, x: Tensor, context: Tensor | None) -> Tensor:
    """g(x) − m as rows (n, D)."""
    return base.flatten(encode(flow, validation.points("x", x), context))


def _coordinates(rows: Tensor, directions: Tensor) -> Tensor:
    """Rows (n, D) in directions (D, K), in the dtype of the rows."""
    with full_precision(rows):
        return rows @ directions.to(rows.dtype)


def _leading(base: DegenerateGaussian, rank: int) -> tuple[Tensor, Tensor]:
    """Λ_K (K,) and E_K (D, K), float64, from one decomposition."""
    rank = validation.rank_within(rank, base.features)
    values, vectors = base.eigh()
    return values[:rank], vectors[:, :rank]


def _degenerate_base_of(flow: nn.Module) -> DegenerateGaussian:
    base = base_of(flow)
    if not isinstance(base, DegenerateGaussian):
        raise TypeError(
            f"the base of the flow must be a DegenerateGaussian, got {type(base).__name__}; "
            "a standard Gaussian has no leading directions"
        )
    return base
