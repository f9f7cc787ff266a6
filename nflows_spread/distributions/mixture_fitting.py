"""Fitting a mixture prior to latents: by pieces that lie apart, or by the scales of concentric ones."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from nflows_spread.distributions.latent_conditionals import conditionals_of_latents
from nflows_spread.distributions.latent_pieces import Blocks, pieces_of_latents
from nflows_spread.distributions.latent_scales import LatentScales, scales_of_latents
from nflows_spread.factors.running_semi_tied import RunningSemiTiedFactors
from nflows_spread.factors.running_tied import RunningTiedFactors
from nflows_spread.factors.tied_pieces import TiedFactors
from nflows_spread.linalg.shrinkage import shrunk_cholesky
from nflows_spread.linalg.spread_covariance import spread_cholesky

if TYPE_CHECKING:
    from nflows_spread.distributions.mixture import DegenerateGaussianMixture


def fit_mixture(
    base: DegenerateGaussianMixture, latents: Blocks, *, warm_start: bool, generator: torch.Generator | None
) -> None:
    """Expectation maximisation in place: ``scales_of_latents`` if tied and without means, else ``pieces_of_latents``.

    Args:
        base: the mixture.
        latents: gives them anew, in blocks.
        warm_start: go on from the pieces as they are.
        generator: source of new starts.

    Raises:
        ValueError: a block is none of rows of the mixture's features.
    """
    latents = _checked(latents, base.features)
    noise, factors = base.spread_variance, base.factors
    if isinstance(factors, TiedFactors) and base.locs is None:
        begun = LatentScales(base.weights, factors.squares, _root_of(factors, noise)) if warm_start else None
        shrinkage = factors.shrinkage if isinstance(factors, RunningTiedFactors) else 0.0
        decomposed = partial(_decomposed, spread_variance=noise, shrinkage=shrinkage)
        scales = scales_of_latents(
            latents, base.pieces, float(noise), begun=begun, decomposed=decomposed if shrinkage > 0.0 else None
        )
        if isinstance(factors, RunningSemiTiedFactors):
            weights, whitened = conditionals_of_latents(
                latents, scales.weights, scales.squares, decomposed(scales.root)
            )
            factors.assign_whitened(scales.root, whitened, noise)
        else:
            weights = scales.weights
            factors.assign_scales(scales.root, scales.squares, noise)
        base.logits.copy_(weights.log())
        return
    given = torch.cat([base.responsibilities(_of(base, rows)) for rows in latents()]) if warm_start else None
    found = pieces_of_latents(
        latents, base.pieces, float(noise), tied=bool(base.tied), begun=given, generator=generator
    )
    base.assign(*found)


def _checked(latents: Blocks, features: int) -> Blocks:
    """The same blocks, each of which is seen to be (rows, D)."""

    def blocks() -> Iterator[Tensor]:
        for rows in latents():
            if rows.dim() != 2 or rows.shape[1] != features:
                raise ValueError(
                    f"blocks of latents must have shape (rows, {features}), as the prior has {features} features, got "
                    f"{tuple(rows.shape)}; give rows in which the entries of each latent are flat"
                )
            yield rows

    return blocks


def _of(base: DegenerateGaussianMixture, rows: Tensor) -> Tensor:
    """Rows (n, D) as latents of the distribution, in its dtype."""
    return rows.to(base.logits.dtype).unflatten(1, base.shape)


def _decomposed(root: Tensor, spread_variance: Tensor, shrinkage: float) -> Tensor:
    """L of a shape LLᵀ = RRᵀ + σ_Z² I, weak dependences taken off as its factor takes them off."""
    cholesky = spread_cholesky(root, spread_variance)
    return shrunk_cholesky(cholesky, shrinkage) if shrinkage > 0.0 else cholesky


def _root_of(factors: TiedFactors, spread_variance: Tensor) -> Tensor:
    return spread_cholesky(factors.kind.matrix(spread_variance).double(), spread_variance)
