"""How the covariance AAᵀ of the degenerate prior is parametrised: the kinds of factor behind one interface."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Protocol

import torch
from torch import Tensor, distributed, nn

from nflows_spread import linalg, validation


class Factor(Protocol):
    """The seam for kinds of factor.

    A factor is an ``nn.Module`` built from the number of latent features D, with at least one
    parameter or buffer, the first of which says in which dtype A is. ``DegenerateGaussian`` asks it
    for all that depends on the parametrisation and for nothing else. The spread variance σ_Z² belongs
    to the base, which passes it to each question.
    """

    def log_prob(self, z: Tensor, spread_variance: Tensor) -> Tensor:
        """log N(z; 0, AAᵀ + σ_Z² I) for ``z`` of shape (n, D); shape (n,)."""

    def matrix(self, spread_variance: Tensor) -> Tensor:
        """An A with AAᵀ the covariance of the degenerate prior, shape (D, r)."""

    def eigh(self, spread_variance: Tensor) -> tuple[Tensor, Tensor]:
        """Eigenvalues (D,) and eigenvectors (D, D, in columns) of AAᵀ, descending, float64."""

    def assign(self, root: Tensor, spread_variance: Tensor) -> None:
        """Take on the covariance RRᵀ of a root R of shape (D, r), or the nearest that this kind can represent."""

    def observe(self, z: Tensor) -> None:
        """See the latents (n, D) of a training step, before the spread noise. Most kinds have no use for it."""

    def options(self) -> dict[str, float]:
        """The keyword arguments, beyond ``features``, with which this factor was built."""


class _Trained(nn.Module):
    """A factor whose entries are trained by gradient: nothing to observe, no options unless it says so."""

    entries: nn.Parameter

    def observe(self, z: Tensor) -> None:
        pass

    def options(self) -> dict[str, float]:
        return {}

    @torch.no_grad()
    def _set(self, entries: Tensor) -> None:
        self.entries.copy_(entries)


class LowerTriangularFactor(_Trained):
    """The paper's A: lower-triangular, D(D+1)/2 free entries, the identity at the start (section 3).

    Represents every prior. A training step costs O(D³), with one Cholesky decomposition and a gradient
    in closed form.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.entries = nn.Parameter(torch.eye(features))

    def matrix(self, spread_variance: Tensor) -> Tensor:
        return self.entries.tril()

    def log_prob(self, z: Tensor, spread_variance: Tensor) -> Tensor:
        return linalg.spread_log_prob(z, self.entries, spread_variance)

    @torch.no_grad()
    def eigh(self, spread_variance: Tensor) -> tuple[Tensor, Tensor]:
        return linalg.factor_eigh(self.matrix(spread_variance))

    def assign(self, root: Tensor, spread_variance: Tensor) -> None:
        self._set(linalg.lower_factor_of(root.detach()))


class SpreadCholeskyFactor(_Trained):
    """The Cholesky factor L of the spread covariance Σ = AAᵀ + σ_Z² I itself, for many features.

    A training step costs O(D² n) and has no decomposition. The entries B are those of L below the
    diagonal, and L_ii = √(B_ii² + σ_Z²), so that the conditional variances L_ii² of the latents keep
    the floor σ_Z² that they have under every spread prior; B = I at the start. This bounds the density,
    but it does not force all of Σ ≥ σ_Z² I. AAᵀ is read off as (Σ − σ_Z² I)₊, negative eigenvalues set
    to 0, at O(D³); where some were set to 0, ``log_prob`` is the density of Σ and not that of the
    clipped AAᵀ + σ_Z² I. What is read off carries no gradient.

    When ``spread_variance`` changes, B stays and L follows: the diagonal of Σ moves by exactly the
    change, as that of AAᵀ + σ_Z² I does, so the variances in AAᵀ stay (where nothing is clipped); its
    covariances move a little. To carry AAᵀ over exactly, once and at O(D³), take
    ``factor.matrix`` before the change and give it to ``factor.assign`` after it.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.entries = nn.Parameter(torch.eye(features))

    @torch.no_grad()
    def matrix(self, spread_variance: Tensor) -> Tensor:
        covariance = linalg.covariance_from_cholesky(self.entries, spread_variance)
        return linalg.positive_root(covariance).to(self.entries.dtype)

    def log_prob(self, z: Tensor, spread_variance: Tensor) -> Tensor:
        return linalg.cholesky_log_prob(z, self.entries, spread_variance)

    @torch.no_grad()
    def eigh(self, spread_variance: Tensor) -> tuple[Tensor, Tensor]:
        return linalg.eigh_descending(linalg.covariance_from_cholesky(self.entries, spread_variance))

    def assign(self, root: Tensor, spread_variance: Tensor) -> None:
        self._set(linalg.cholesky_entries_of(root.detach(), spread_variance))


class LowRankFactor(_Trained):
    """An A with r columns, for many features on a manifold whose dimension is at most about r.

    A training step costs O(D r (r + n)). At the start A is the first r columns of the identity. The
    D − r flat directions have variance σ_Z² alone, from the first step on.

    Args:
        features: D.
        rank: r, between 1 and D.

    Raises:
        TypeError: ``rank`` is no integer.
        ValueError: ``rank`` is out of range.
    """

    def __init__(self, features: int, rank: int) -> None:
        super().__init__()
        self.entries = nn.Parameter(torch.eye(features, validation.rank_within(rank, features)))

    @classmethod
    def of_rank(cls, rank: int) -> Callable[[int], LowRankFactor]:
        """The kind for ``DegenerateGaussian(shape, factor=LowRankFactor.of_rank(64))``."""
        return partial(cls, rank=rank)

    def matrix(self, spread_variance: Tensor) -> Tensor:
        return self.entries

    def log_prob(self, z: Tensor, spread_variance: Tensor) -> Tensor:
        return linalg.low_rank_log_prob(z, self.entries, spread_variance)

    @torch.no_grad()
    def eigh(self, spread_variance: Tensor) -> tuple[Tensor, Tensor]:
        return linalg.low_rank_eigh(self.entries)

    def assign(self, root: Tensor, spread_variance: Tensor) -> None:
        self._set(linalg.low_rank_of(root.detach(), self.entries.shape[1]))

    def options(self) -> dict[str, float]:
        return {"rank": self.entries.shape[1]}


class RunningAverageFactor(nn.Module):
    """No parameters: AAᵀ is an exponential running average of the second moment of the latents.

    At its optimum A is (Cov z̃ − σ_Z² I)₊, the covariance of the latents before the spread noise is
    added. So it is that of the latents z themselves which is averaged: the mean over the spread noise
    is taken exactly, AAᵀ can have no negative eigenvalues, and a change of ``spread_variance`` leaves
    it as it is. ``SpreadKLLoss`` shows it the latents of each training step. For the density the
    average is a constant: gradients reach z and, because A is at its optimum, they are those of the
    loss with A trained to the end.

    The average starts at the identity, which counts as one step and is forgotten like any other: the
    first 1 / (1 − decay) steps are averaged with equal weights, later ones with exponential weights.
    Latents that are not finite are left out. In distributed training the moments of all processes
    are averaged, weighted by their numbers of latents; all processes must then take part in each step.

    From some hundred features on most of a step goes into one Cholesky decomposition of the average, which in
    so short a time hardly changes. With a ``lag`` the density in training mode is that of the average at the last
    decomposition, and there is a new one as soon as the latents that came since weigh more than the lag: with
    0.04 every fifth step at the default decay, and every step at first. The average itself, all that is read off
    it, and the density in evaluation mode never lag.

    Args:
        features: D.
        decay: in [0, 1). The average remembers about 1 / (1 − decay) steps, whose latents, all together,
            should be many more than D.
        lag: in [0, 1), the largest share of the average that the density may lack.

    Raises:
        ValueError: ``decay`` or ``lag`` is out of range.
    """

    rate: Tensor
    second_moment: Tensor
    cholesky: Tensor
    unseen: Tensor
    decomposed_at: Tensor

    def __init__(self, features: int, decay: float = 0.99, lag: float = 0.0) -> None:
        super().__init__()
        for name, value in (("decay", decay), ("lag", lag)):
            if not 0.0 <= value < 1.0:
                raise ValueError(f"{name} must be at least 0 and below 1, got {value}")
        self.decay, self.lag = float(decay), float(lag)
        self.register_buffer("rate", torch.ones(()))
        self.register_buffer("second_moment", torch.eye(features, dtype=torch.float64))
        if self.lag > 0.0:  # in the state, so that a run that goes on from a checkpoint goes on with the same density
            self.register_buffer("cholesky", torch.eye(features, dtype=torch.float64).mT)  # by columns, as they come
            self.register_buffer("unseen", torch.ones((), dtype=torch.float64))
            self.register_buffer("decomposed_at", torch.zeros((), dtype=torch.float64))

    @classmethod
    def of_decay(cls, decay: float, *, lag: float = 0.0) -> Callable[[int], RunningAverageFactor]:
        """The kind for ``DegenerateGaussian(shape, factor=RunningAverageFactor.of_decay(0.999))``."""
        return partial(cls, decay=decay, lag=lag)

    @torch.no_grad()
    def matrix(self, spread_variance: Tensor) -> Tensor:
        return linalg.positive_root(self.second_moment).to(self.rate.dtype)

    def log_prob(self, z: Tensor, spread_variance: Tensor) -> Tensor:
        if self.lag == 0.0 or not self.training:
            return linalg.covariance_log_prob(z, self.second_moment, spread_variance)
        return linalg.log_prob_from_cholesky(z, self._recent_cholesky(spread_variance))

    def _recent_cholesky(self, spread_variance: Tensor) -> Tensor:
        """That of the average at the last decomposition, which is made anew where it lags too far behind."""
        if float(self.unseen) > self.lag or float(self.decomposed_at) != float(spread_variance):
            self.cholesky = linalg.covariance_cholesky(
                self.second_moment, spread_variance
            )  # graphs may hold the old one
            self.unseen.zero_()
            self.decomposed_at.copy_(spread_variance)
        return self.cholesky

    @torch.no_grad()
    def eigh(self, spread_variance: Tensor) -> tuple[Tensor, Tensor]:
        return linalg.eigh_descending(self.second_moment)

    @torch.no_grad()
    def assign(self, root: Tensor, spread_variance: Tensor) -> None:
        """Take on RRᵀ, as an average that is past its first steps."""
        self.second_moment.copy_(root.double() @ root.double().mT)
        self.rate.fill_(1.0 - self.decay)
        if self.lag > 0.0:
            self.unseen.fill_(1.0)

    @torch.no_grad()
    def observe(self, z: Tensor) -> None:
        among_others = distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1
        if z.device.type == "cpu" and not among_others:  # numbers are at hand, and one product does it all, in place
            if bool(torch.isfinite(z).all()):
                before = float(self.rate)
                rate = max(before / (1.0 + before), 1.0 - self.decay)
                linalg.average_in(self.second_moment, z, rate)
                self.rate.fill_(rate)
                self._count(self.rate)
            return
        seen = torch.isfinite(z).all()
        moment = linalg.second_moment_of(torch.where(seen, z, 0.0))
        if among_others:
            moment, seen = _mean_over_processes(moment, seen * len(z))
        now = (self.rate / (1.0 + self.rate)).clamp_min(1.0 - self.decay)
        weight = torch.where(seen, now, 0.0).to(moment.dtype)
        self.second_moment.lerp_(moment, weight)
        self.rate.copy_(torch.where(seen, now, self.rate))
        self._count(weight)

    def _count(self, weight: Tensor) -> None:
        """The share of the average that the last decomposition has not seen."""
        if self.lag > 0.0:
            self.unseen.lerp_(torch.ones_like(self.unseen), weight.to(self.unseen.dtype))

    def options(self) -> dict[str, float]:
        return {"decay": self.decay, **({"lag": self.lag} if self.lag > 0.0 else {})}

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> RunningAverageFactor:
        """As ``nn.Module`` does it, but the average stays in float64, where its flat directions have digits."""
        precise = {name: buffer for name, buffer in self._buffers.items() if name != "rate" and buffer is not None}
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for name, before in precise.items():
            now = getattr(self, name)
            if now.dtype != before.dtype:
                setattr(self, name, before.to(now.device))
        return self


def _mean_over_processes(moment: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """The mean of all processes' moments, weighted by their numbers of latents, and whether there were any."""
    total, count = moment * count, count.clone()
    distributed.all_reduce(total)
    distributed.all_reduce(count)
    return total / count.clamp_min(1), count > 0


KINDS: Mapping[str, Callable[..., Factor]] = MappingProxyType(
    {kind.__name__: kind for kind in (LowerTriangularFactor, SpreadCholeskyFactor, LowRankFactor, RunningAverageFactor)}
)
"""All kinds by name. ``KINDS[type(factor).__name__](features, **factor.options())`` is a new one of the same kind."""
