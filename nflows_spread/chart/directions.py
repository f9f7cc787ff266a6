"""Directions of the latent space that lose least reconstruction error: by eigenvalue, energy in data space, or PCA."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from nflows_spread import validation
from nflows_spread.argument_types import typed
from nflows_spread.chart.latent_maps import LatentMaps
from nflows_spread.chart.prior_moments import mean_of
from nflows_spread.distributions import DegeneratePrior
from nflows_spread.hosts import base_of, decode, encode
from nflows_spread.linalg.eigen import eigh_descending
from nflows_spread.linalg.moments import covariance_of, second_moment_of

BY_EIGENVALUE, BY_ENERGY, PRINCIPAL = "eigenvalue", "energy", "principal energy"

ORDERS = (BY_EIGENVALUE, BY_ENERGY, PRINCIPAL)
"""What ``Directions.maps`` can order by."""

_FOR_COVARIANCE = 12_000  # rows: four for each feature of a 32×32 colour image; any few span their own covariance
_PROBES_PER_FEATURE = 2  # random vectors, so that their second moment has full rank
_CHUNK = 256  # rows that pass through the flow at a time, which bounds memory
_FLAT = 1e-9  # of the largest variance: directions of less are rounding errors, and not scaled up


@dataclass(frozen=True)
class Directions:
    """Directions of the latent space, leading ones first, in three orders.

    ``"eigenvalue"`` is the paper's: the eigenvectors e_k of AAᵀ by Λ_k. ``"energy"`` has the same ones in the
    order of their energy in data space, Λ_k E‖J_f e_k‖². ``"principal energy"`` combines them anew: with
    R = E √Λ, the columns of R U, U the eigenvectors of Rᵀ E[J_fᵀ J_f] R. Among all sets of K directions these
    lose the least energy in data space, as far as f is linear (of a linear f and latents of covariance AAᵀ they are
    the principal components of the data); the projection on them is oblique.

    Attributes:
        mean: of the prior, or of the latents where the base is another one, (D,).
        variances: Λ, descending, (D,), in latent units squared.
        vectors: E, in columns, (D, D).
        pulled: vᵀ J_f at latents, for v ~ N(0, I) in data space, (n, D); E[J_fᵀ J_f] is their second moment.
    """

    mean: Tensor
    variances: Tensor
    vectors: Tensor
    pulled: Tensor

    def maps(self, rank: int, order: str = PRINCIPAL) -> LatentMaps:
        """To the first K coordinates of an order, and back.

        Args:
            rank: K, between 1 and D.
            order: one of ``"eigenvalue"``, ``"energy"`` and ``"principal energy"``.

        Raises:
            ValueError: there is no such order, or K is out of range.
        """
        validation.rank_within(rank, len(self.variances))
        if order not in ORDERS:
            raise ValueError(f"order must be one of {', '.join(ORDERS)}, got {order!r}")
        if order == PRINCIPAL:
            leading = self.principal[:, :rank]
            return LatentMaps(self.mean, self.whitening @ leading, (self.colouring @ leading).mT)
        chosen = self.vectors[:, :rank] if order == BY_EIGENVALUE else self.vectors[:, self._by_energy[:rank]]
        return LatentMaps(self.mean, chosen, chosen.mT)

    def variances_of(self, rank: int, order: str) -> Tensor:
        """Of the first K coordinates of an order under the prior, (K,): Λ, or 1 for principal energy."""
        if order == PRINCIPAL:
            return torch.ones_like(self.variances[:rank])
        return self.variances[:rank] if order == BY_EIGENVALUE else self.variances[self._by_energy[:rank]]

    @cached_property
    def energies(self) -> Tensor:
        """Λ_k E‖J_f e_k‖² of the eigenvectors in the order of Λ, (D,), in data units squared."""
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
        """U, in columns, (D, D)."""
        scaled = self.pulled @ self.colouring
        return eigh_descending(second_moment_of(scaled))[1].to(scaled.dtype)

    @cached_property
    def _by_energy(self) -> Tensor:
        return self.energies.argsort(descending=True)


@typed
def directions_of(
    flow: nn.Module,
    x: Tensor,
    *,
    context: Tensor | None = None,
    latents: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Directions:
    """The directions of AAᵀ of a trained flow; of a flow with another base those of its latents' covariance.

    How far f stretches them is measured by 2D products of a random vector with its Jacobian, each at one of the
    latents in turn.

    Args:
        flow: a flow of any host, in evaluation mode; its parameters are left as they are.
        x: data like that it was trained on, shape (n, ...), of which at most the first 12 000 rows, or 2D if these are
            more, are encoded. For a base other than a ``DegenerateGaussian`` there must be two, and as many as give
            their covariance a meaning: n points span no more than n − 1 directions.
        context: conditioning inputs, one row for each row of ``x``, or one for all.
        latents: where the Jacobian of f is taken, shape (m, ...); by default g(x). With a context, of the first rows.
        generator: source of the random vectors, on the device of ``x``.

    Returns:
        In the dtype of the latents.

    Raises:
        TypeError: ``flow`` is no flow, or ``x`` or ``latents`` is no floating-point tensor.
        ValueError: they, or g(x), are empty or not finite, or ``x`` is one row where a covariance is asked for.

    Example:
        >>> from nflows_spread.models import coupling_flow
        >>> flow, x = coupling_flow(3, layers=2), torch.randn(100, 3)
        >>> maps = directions_of(flow, x).maps(2)
        >>> maps.reconstruct(flow, x).shape
        torch.Size([100, 3])
    """
    base = base_of(flow)
    validation.points("x", x)
    context = validation.context_of(len(x), context)
    if isinstance(base, DegeneratePrior):
        variances, vectors = base.eigh()
        mean = mean_of(base)
        probed = _encoded(flow, x[: _PROBES_PER_FEATURE * base.features], context) if latents is None else latents
    else:
        encoded = _encoded(flow, validation.two_points("x", x)[: max(_FOR_COVARIANCE, 2 * x[0].numel())], context)
        variances, vectors = eigh_descending(covariance_of(encoded.flatten(1)))
        mean = encoded.flatten(1).mean(0)
        probed = encoded if latents is None else latents
    if validation.points("latents", probed)[0].numel() != len(mean):
        raise ValueError(f"latents must have the flow's {len(mean)} features, got shape {tuple(probed.shape)}")
    variances, vectors, mean = (part.detach().to(probed.dtype) for part in (variances, vectors, mean))
    return Directions(mean, variances, vectors, _pulled_back(flow, probed, context, generator))


@torch.no_grad()
def _encoded(flow: nn.Module, x: Tensor, context: Tensor | None) -> Tensor:
    """Latents (n, ...) of the first rows of the data, a bounded number at a time."""
    indices = torch.arange(len(x), device=x.device).split(_CHUNK)
    return torch.cat([encode(flow, x[index], None if context is None else context[index]) for index in indices])


@torch.enable_grad()
def _pulled_back(flow: nn.Module, latents: Tensor, context: Tensor | None, generator: torch.Generator | None) -> Tensor:
    """vᵀ J_f at latents (n, ...) in turn for random v, (2D, D)."""
    rows = []
    for index in torch.arange(_PROBES_PER_FEATURE * latents[0].numel()).split(_CHUNK):
        turn = index % len(latents)
        z = latents[turn].detach().requires_grad_(True)
        x = decode(flow, z, None if context is None else context[turn % len(context)])
        probe = torch.empty_like(x).normal_(generator=generator)
        rows.append(torch.autograd.grad((x * probe).sum(), z)[0].flatten(1))
    return torch.cat(rows)
