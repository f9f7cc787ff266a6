"""What is left of images at each rank K: reconstructions from K latent directions, chosen in three ways."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import torch
from torch import Tensor

from nflows_spread import DegenerateGaussian, base_of, decode, encode, linalg
from outcomes import Outcome

PAPERS_RANKS = (512 / 3072, 2000 / 3072, 2500 / 3072, 3000 / 3072)
"""K over D at which the paper shows samples."""
SHARES = tuple(sorted((1 / 48, 1 / 12, 1 / 3, *PAPERS_RANKS)))
"""K over D for reconstructions; the paper's are among them."""

BY_EIGENVALUE, BY_ENERGY, PRINCIPAL = "eigenvalue", "energy", "principal energy"
ORDERS = {BY_EIGENVALUE: "", BY_ENERGY: "_by_energy", PRINCIPAL: "_principal"}
"""How directions are chosen, each with the ending of its numbers' names."""

_POINTS = 200
_FOR_COVARIANCE = 12_000
_PROBES_PER_FEATURE = 2
_CHUNK = 256
_FLAT = 1e-9


@dataclass(frozen=True)
class Directions:
    """Directions of the latent space, leading ones first.

    ``eigenvalue`` is the paper's: the eigenvectors e_k of AAᵀ by Λ_k. ``energy`` has the same ones in the
    order of their energy in data space, Λ_k E‖J_f e_k‖². ``principal energy`` combines them anew: with
    R = E √Λ, the columns of R U, U the eigenvectors of Rᵀ E[J_fᵀ J_f] R. Among all sets of K directions these
    lose the least energy in data space, as far as f is linear; the projection on them is oblique.

    Attributes:
        mean: of the prior, or of the latents where the prior is fixed, (D,).
        variances: Λ, descending, (D,).
        vectors: E, in columns, (D, D).
        pulled: vᵀ J_f at latents, for random v in data space, (n, D); E[J_fᵀ J_f] is their second moment.
    """

    mean: Tensor
    variances: Tensor
    vectors: Tensor
    pulled: Tensor

    def maps(self, rank: int, order: str) -> tuple[Tensor, Tensor]:
        """Latents about the mean to their K coordinates, (D, K), and back, (K, D)."""
        if order == PRINCIPAL:
            scale = self.variances.clamp_min(0.0).sqrt()
            inverse = torch.where(self.variances > _FLAT * self.variances[0], 1.0 / scale, 0.0)
            leading = self._principal[:, :rank]
            return (self.vectors * inverse) @ leading, (self.vectors * scale @ leading).mT
        chosen = self.vectors[:, :rank] if order == BY_EIGENVALUE else self.vectors[:, self._by_energy[:rank]]
        return chosen, chosen.mT

    @cached_property
    def energies(self) -> Tensor:
        """Λ_k E‖J_f e_k‖², (D,)."""
        return self.variances * (self.pulled @ self.vectors).square().mean(0)

    @cached_property
    def _by_energy(self) -> Tensor:
        return self.energies.argsort(descending=True)

    @cached_property
    def _principal(self) -> Tensor:
        """U, (D, D)."""
        scaled = self.pulled @ (self.vectors * self.variances.clamp_min(0.0).sqrt())
        return linalg.eigh_descending(linalg.second_moment_of(scaled))[1].to(scaled.dtype)


@lru_cache(maxsize=1)
def directions_of(outcome: Outcome) -> Directions:
    """Those of AAᵀ; for a fixed prior, which has none, those of the covariance of training latents."""
    base = base_of(outcome.trained.flow)
    if isinstance(base, DegenerateGaussian):
        variances, vectors = base.eigh()
        mean = base.mean().flatten()
    else:
        latents = _training_latents(outcome)
        variances, vectors = linalg.eigh_descending(linalg.covariance_of(latents))
        mean = latents.mean(0)
    variances, vectors, mean = (part.detach().to(outcome.latents.dtype) for part in (variances, vectors, mean))
    return Directions(mean, variances, vectors, _pulled_back(outcome))


@torch.no_grad()
def _training_latents(outcome: Outcome) -> Tensor:
    """Of more points than there are features: any few lie in the span of their own covariance."""
    x = outcome.task.train.x[:_FOR_COVARIANCE]
    return torch.cat([encode(outcome.trained.flow, part).flatten(1) for part in x.split(_CHUNK)])


@torch.enable_grad()
def _pulled_back(outcome: Outcome) -> Tensor:
    """vᵀ J_f at held-out latents for random v, (2D, D)."""
    flow, latents, generator = outcome.trained.flow, outcome.latents, outcome.generator()
    rows = []
    for index in torch.arange(_PROBES_PER_FEATURE * latents.shape[1]).split(_CHUNK):
        z = latents[index % len(latents)].requires_grad_(True)
        x = decode(flow, z)
        probe = torch.empty_like(x).normal_(generator=generator)
        rows.append(torch.autograd.grad((x * probe).sum(), z)[0])
    return torch.cat(rows)


@torch.no_grad()
def reconstructions(outcome: Outcome, directions: Directions, x: Tensor, rank: int, order: str) -> Tensor:
    """f at the projections of the latents on K directions, of the shape of x."""
    forth, back = directions.maps(rank, order)
    z = encode(outcome.trained.flow, x) - directions.mean
    return decode(outcome.trained.flow, directions.mean + z @ forth @ back)


def ranks_of(features: int, shares: Sequence[float] = SHARES) -> list[int]:
    """K for each of the shares."""
    return [max(1, round(share * features)) for share in shares]


def reconstructed_ranks(outcome: Outcome) -> list[int]:
    """K of the reconstructions of one flow: those of D that are no more than its latents."""
    return [rank for rank in ranks_of(outcome.task.held_out.x[0].numel()) if rank <= outcome.latents.shape[1]]


def reconstruction_errors(outcome: Outcome) -> dict[str, object]:
    """Mean squared error of held-out reconstructions at each K: ``mse_K``, ``mse_K_by_energy``, ``mse_K_principal``."""
    directions, x = directions_of(outcome), outcome.task.held_out.x[:_POINTS]
    found: dict[str, object] = {}
    for rank in reconstructed_ranks(outcome):
        for order, ending in ORDERS.items():
            back = reconstructions(outcome, directions, x, rank, order)
            found[f"mse_{rank}{ending}"] = float((back - x).square().mean())
    return found
