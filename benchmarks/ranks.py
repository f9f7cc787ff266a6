"""What is left of images at each rank K: reconstructions by two orders of the latent directions, and their error."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from nflows_spread import DegenerateGaussian, base_of, decode, encode, linalg

if TYPE_CHECKING:
    from outcomes import Outcome

SHARES = (1 / 48, 1 / 12, 512 / 3072, 1 / 3, 2000 / 3072, 2500 / 3072, 3000 / 3072)
"""K over D; among them the paper's 512, 2000, 2500 and 3000 of 3072."""

_POINTS = 200
_PROBES = 512
_CHUNK = 256


@dataclass(frozen=True)
class Directions:
    """Orthonormal directions of the latent space.

    Attributes:
        mean: of the prior, or of the latents where the prior is fixed, (D,).
        variances: along each direction, descending, (D,).
        vectors: in columns, (D, D).
        energies: of each direction in data space, Λ_k E‖J_f e_k‖², (D,).
    """

    mean: Tensor
    variances: Tensor
    vectors: Tensor
    energies: Tensor

    def first(self, rank: int, *, by_energy: bool) -> Tensor:
        """The leading directions by eigenvalue or by energy in data space, (D, rank)."""
        order = self.energies.argsort(descending=True) if by_energy else torch.arange(len(self.variances))
        return self.vectors[:, order[:rank]]


@lru_cache(maxsize=1)
def directions_of(outcome: Outcome) -> Directions:
    """The eigenvectors of AAᵀ; for a fixed prior, which has none, those of its latents' covariance."""
    base, latents = base_of(outcome.trained.flow), outcome.latents
    if isinstance(base, DegenerateGaussian):
        variances, vectors = base.eigh()
        mean = base.mean().flatten()
    else:
        variances, vectors = linalg.eigh_descending(linalg.covariance_of(latents))
        mean = latents.mean(0)
    variances, vectors, mean = (part.detach().to(latents.dtype) for part in (variances, vectors, mean))
    return Directions(mean, variances, vectors, variances * _response(outcome, vectors))


@torch.enable_grad()
def _response(outcome: Outcome, vectors: Tensor) -> Tensor:
    """E‖J_f e‖² for each direction, (D,), from random probes v of the data space: E (vᵀ J_f e)²."""
    flow, generator = outcome.trained.flow, outcome.generator()
    total = torch.zeros(len(vectors))
    latents = outcome.latents[:_PROBES]
    for part in latents.split(_CHUNK):
        z = part.clone().requires_grad_(True)
        x = decode(flow, z)
        probe = torch.empty_like(x).normal_(generator=generator)
        (pulled,) = torch.autograd.grad((x * probe).sum(), z)
        total += (pulled @ vectors).square().sum(0) / len(latents)
    return total


@torch.no_grad()
def reconstructions(outcome: Outcome, directions: Directions, x: Tensor, rank: int, *, by_energy: bool) -> Tensor:
    """f(m + E Eᵀ (g(x) − m)) with the leading directions, of the shape of x."""
    chosen = directions.first(rank, by_energy=by_energy)
    z = encode(outcome.trained.flow, x) - directions.mean
    return decode(outcome.trained.flow, directions.mean + z @ chosen @ chosen.mT)


def ranks_of(features: int) -> list[int]:
    """K for each of the shares."""
    return [max(1, round(share * features)) for share in SHARES]


def reconstruction_errors(outcome: Outcome) -> dict[str, object]:
    """Mean squared error of held-out reconstructions at each K, ``mse_K`` by eigenvalue and ``mse_K_by_energy``."""
    directions, x = directions_of(outcome), outcome.task.held_out.x[:_POINTS]
    found: dict[str, object] = {}
    for rank in ranks_of(x[0].numel()):
        for by_energy, name in ((False, f"mse_{rank}"), (True, f"mse_{rank}_by_energy")):
            back = reconstructions(outcome, directions, x, rank, by_energy=by_energy)
            found[name] = float((back - x).square().mean())
    return found
