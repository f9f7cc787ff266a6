"""Directions of a flow's latent space: by eigenvalue, as the paper has them, or by their energy in data space."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import torch
from torch import Tensor

from nflows_spread import DegenerateGaussian, base_of, decode, encode
from nflows_spread.linalg.eigen import eigh_descending
from nflows_spread.linalg.moments import covariance_of, second_moment_of
from paper.results import Outcome

BY_EIGENVALUE, BY_ENERGY, PRINCIPAL = "eigenvalue", "energy", "principal energy"

Maps = tuple[Tensor, Tensor]
"""Latents about the mean to their K coordinates, (D, K), and back, (K, D)."""

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

    def maps(self, rank: int, order: str) -> Maps:
        """To the first K of an order, and back."""
        if order == PRINCIPAL:
            leading = self.principal[:, :rank]
            return self.whitening @ leading, (self.colouring @ leading).mT
        chosen = self.vectors[:, :rank] if order == BY_EIGENVALUE else self.vectors[:, self._by_energy[:rank]]
        return chosen, chosen.mT

    @cached_property
    def energies(self) -> Tensor:
        """Λ_k E‖J_f e_k‖², (D,)."""
        return self.variances * (self.pulled @ self.vectors).square().mean(0)

    @cached_property
    def colouring(self) -> Tensor:
        """R = E √Λ, from coordinates of variance 1, (D, D)."""
        return self.vectors * self.variances.clamp_min(0.0).sqrt()

    @cached_property
    def whitening(self) -> Tensor:
        """E / √Λ, to coordinates of variance 1, without those of no variance, (D, D)."""
        scale = self.variances.clamp_min(0.0).sqrt()
        return self.vectors * torch.where(self.variances > _FLAT * self.variances[0], 1.0 / scale, 0.0)

    @cached_property
    def principal(self) -> Tensor:
        """U, (D, D)."""
        scaled = self.pulled @ self.colouring
        return eigh_descending(second_moment_of(scaled))[1].to(scaled.dtype)

    @cached_property
    def _by_energy(self) -> Tensor:
        return self.energies.argsort(descending=True)


@lru_cache(maxsize=1)
def directions_of(outcome: Outcome) -> Directions:
    """Those of AAᵀ; for a fixed prior, which has none, those of the covariance of training latents."""
    base = base_of(outcome.trained.flow)
    if isinstance(base, DegenerateGaussian):
        variances, vectors = base.eigh()
        mean = base.mean().flatten()
    else:
        latents = _training_latents(outcome)
        variances, vectors = eigh_descending(covariance_of(latents))
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
