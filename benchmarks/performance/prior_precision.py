"""Precision of the prior for a rank-deficient A: log-densities and gradients in float32 against float64.

float32 is what a user of ``MultivariateNormal`` takes first, and what makes it fast. On a well-conditioned covariance
that is fine; on a degenerate one, which is what this package is for, AAᵀ + σ_Z² I rounds σ_Z² away.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from nflows_spread import DegenerateGaussian
from performance import targets
from performance.races import Trial

SECTION = "prior"
PLACES, SMALL_PLACES = ((64, 1.0), (64, 3.0), (784, 0.3), (784, 1.0)), ((8, 10.0), (64, 30.0))
"""Sizes, and the standard deviation of the entries of A, with which float32 loses some digits, many, or all."""
BATCH, SPREAD_VARIANCE = 100, 1e-4
RANK_SHARE = 4
"""One in so many directions is not flat."""

Density = Callable[[Tensor, Tensor], Tensor]


def dense_factor(z: Tensor, a: Tensor) -> Tensor:
    """The spread prior of the paper's A, by this package, in the precision of z and A."""
    base = DegenerateGaussian([len(a)], spread_variance=SPREAD_VARIANCE).to(a)
    del base.factor.entries
    base.factor.entries = a
    return base.log_prob(z)


def from_covariance(a: Tensor) -> MultivariateNormal:
    """N(0, AAᵀ + σ_Z² I) for a lower-triangular A, by ``torch.distributions``."""
    a = a.tril()
    return MultivariateNormal(a.new_zeros(len(a)), a @ a.mT + SPREAD_VARIANCE * torch.eye(len(a), dtype=a.dtype))


def exact(z: Tensor, a: Tensor) -> Tensor:
    """The same from [A, σ_Z I]ᵀ = QR in float64, which forms no sum in which a flat direction could be lost."""
    noise = math.sqrt(SPREAD_VARIANCE) * torch.eye(len(a), dtype=a.dtype)
    root = torch.linalg.qr(torch.cat([a.tril(), noise], dim=1).mT).R.mT
    root = root * root.diagonal().sign()
    return MultivariateNormal(z.new_zeros(len(a)), scale_tril=root).log_prob(z)


def degenerate(features: int, scale: float) -> tuple[Tensor, Tensor]:
    """Points of a spread prior and its A, of rank D / 4, in float32."""
    generator = torch.Generator().manual_seed(0)
    a = scale * torch.randn(features, features, generator=generator, dtype=torch.float64).tril()
    a.diagonal().copy_(scale * (1.0 + torch.rand(features, generator=generator, dtype=torch.float64)))
    a[:, features // RANK_SHARE :] = 0.0
    draws = torch.randn(2, BATCH, features, generator=generator, dtype=torch.float64)
    return (draws[0] @ a.mT + math.sqrt(SPREAD_VARIANCE) * draws[1]).float(), a.float()


def values_and_gradients(density: Density, z: Tensor, a: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Log-densities, and the gradients of their mean in the points and in A, in float64."""
    leaves = [part.clone().requires_grad_() for part in (z, a)]
    values = density(*leaves)
    by_z, by_a = torch.autograd.grad(values.mean(), leaves)
    return values.detach().double(), by_z.double(), by_a.double()


def errors(density: Density, features: int, scale: float) -> dict[str, float | str]:
    """Relative errors of a density in float32, by name, or why there are none."""
    z, a = degenerate(features, scale)
    truth = values_and_gradients(exact, z.double(), a.double())
    try:
        found = values_and_gradients(density, z, a)
    except (ValueError, RuntimeError) as error:
        return {"fails": type(error).__name__}
    names = ("log-density", "gradient in z", "gradient in A")
    return {name: float((mine - true).norm() / true.norm()) for name, mine, true in zip(names, found, truth)}


def compared(features: int, scale: float) -> Mapping[str, Any]:
    """Both densities at one size, and whether ours has kept what float32 can hold."""
    start = time.perf_counter()
    theirs = errors(lambda z, a: from_covariance(a).log_prob(z), features, scale)
    ours = errors(dense_factor, features, scale)
    kept = all(isinstance(value, float) and value <= targets.PRIOR_ERROR for value in ours.values())
    said = {
        f"{who}: {what}": value if isinstance(value, str) else f"{value:.1e}"
        for who, by_name in (("LowerTriangularFactor", ours), ("MultivariateNormal float32", theirs))
        for what, value in by_name.items()
    }
    return {"seconds": time.perf_counter() - start, **said, "kept": kept}


def trials(small: bool) -> list[Trial]:
    """One a place."""
    return [
        Trial(
            section=SECTION,
            name=f"prior, D = {features}, float32 with entries of {scale:g} in an A of rank {features // RANK_SHARE}",
            run=partial(compared, features, scale),
            at_most=targets.PRIOR_PRECISION_SECONDS,
            expected={"kept": True},
        )
        for features, scale in (SMALL_PLACES if small else PLACES)
    ]
