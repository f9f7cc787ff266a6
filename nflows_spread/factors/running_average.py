"""The factor without parameters: a running average of the second moment of the latents."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, distributed, nn

from nflows_spread import validation
from nflows_spread.argument_types import typed
from nflows_spread.factors.cache import cached_eigh
from nflows_spread.linalg.dense import covariance_cholesky, log_prob_from_cholesky
from nflows_spread.linalg.eigen import eigenvalues_descending, eigh_descending
from nflows_spread.linalg.moments import add_to_diagonal, average_in, second_moment_of
from nflows_spread.linalg.shrinkage import shrunk_cholesky
from nflows_spread.linalg.torch_func import under_transforms


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
    Batches with latents that are not finite are left out. In distributed training the moments of all processes
    are averaged, weighted by their numbers of latents; all processes must then take part in each step, unless
    it is within ``averages_of_this_process``.

    From some hundred features on most of a step goes into one Cholesky decomposition of the average, which in
    so short a time hardly changes. With a ``lag`` the density in training mode is that of the average at the last
    decomposition, and there is a new one as soon as the latents that came since weigh more than the lag: with
    0.04 every fifth step at the default decay, and every step at first. It is ``observe`` that decomposes; to ask for
    a density changes nothing. The average itself, all that is read off it, and the density in evaluation mode never
    lag.

    Args:
        features: D.
        decay: in [0, 1). The average remembers about 1 / (1 − decay) steps, whose latents, all together,
            should be many more than D.
        lag: in [0, 1), the largest share of the average that the density may lack.
        shrinkage: in [0, 1), 0 for the average as it is. About 1 / √n for n rows of data takes weak dependences between
            many features for chance (see ``shrunk_cholesky``): AAᵀ is then not the average, but what that leaves.

    Raises:
        ValueError: ``decay``, ``lag`` or ``shrinkage`` is out of range.
    """

    rate: Tensor
    second_moment: Tensor
    cholesky: Tensor
    unseen: Tensor
    decomposed_at: Tensor

    shrinkage = 0.0

    @typed
    def __init__(self, features: int, decay: float = 0.99, lag: float = 0.0, shrinkage: float = 0.0) -> None:
        super().__init__()
        validation.positive_int("features", features)
        for name, value in (("decay", decay), ("lag", lag), ("shrinkage", shrinkage)):
            if not 0.0 <= value < 1.0:
                raise ValueError(f"{name} must be at least 0 and below 1, got {value}")
        self.decay, self.lag, self.shrinkage = float(decay), float(lag), float(shrinkage)
        self._alone = False
        self.register_buffer("rate", torch.ones(()))
        self.register_buffer("second_moment", torch.eye(features, dtype=torch.float64))
        if self.lag > 0.0:  # in the state, so that a run that goes on from a checkpoint goes on with the same density
            self.register_buffer("cholesky", torch.eye(features, dtype=torch.float64).mT)  # by columns, as they come
            self.register_buffer("unseen", torch.ones((), dtype=torch.float64))
            self.register_buffer("decomposed_at", torch.zeros((), dtype=torch.float64))

    @classmethod
    def of_decay(
        cls, decay: float, *, lag: float = 0.0, shrinkage: float = 0.0
    ) -> Callable[[int], RunningAverageFactor]:
        """The kind for ``DegenerateGaussian(shape, factor=RunningAverageFactor.of_decay(0.999))``."""
        known = partial(cls, decay=decay, lag=lag)
        return partial(known, shrinkage=shrinkage) if shrinkage > 0.0 else known  # settings are recorded as they are

    @torch.no_grad()
    def matrix(self, spread_variance: Tensor) -> Tensor:
        values, vectors = self.eigh(spread_variance)
        return (vectors * values.sqrt()).to(self.rate.dtype)

    def log_prob(self, z: Tensor, spread_variance: Tensor) -> Tensor:
        return log_prob_from_cholesky(z, self.cholesky_of_density(z, spread_variance))

    def cholesky_of_density(self, z: Tensor, spread_variance: Tensor) -> Tensor:
        """Lower Cholesky factor of AAᵀ + σ_Z² I, (D, D) in float64, for the density at z; it may lag in training."""
        if self.lag == 0.0 or not self.training or under_transforms(z, self.second_moment, spread_variance):
            return self._decomposed(spread_variance)
        if self._outdated(spread_variance):  # asked between training steps, whose ``observe`` alone may keep a new one
            return self._decomposed(spread_variance)
        return self.cholesky

    def _decomposed(self, spread_variance: Tensor) -> Tensor:
        cholesky = covariance_cholesky(self.second_moment, spread_variance)
        return shrunk_cholesky(cholesky, self.shrinkage) if self.shrinkage > 0.0 else cholesky

    @torch.no_grad()
    def covariance(self, spread_variance: Tensor) -> Tensor:
        """AAᵀ, (D, D) in float64, which with a shrinkage may have eigenvalues a little below 0; not to be changed."""
        if self.shrinkage == 0.0:
            return self.second_moment
        cholesky = self._decomposed(spread_variance)
        return add_to_diagonal(cholesky @ cholesky.mT, -float(spread_variance))

    def _outdated(self, spread_variance: Tensor) -> bool:
        """Whether the last decomposition lags too far behind the average, or is of another spread variance."""
        return float(self.unseen) > self.lag or float(self.decomposed_at) != float(spread_variance)

    def _decompose_if_outdated(self, spread_variance: Tensor) -> None:
        if self.lag > 0.0 and self.training and self._outdated(spread_variance):
            # a new tensor: graphs may hold the old one
            self.cholesky = self._decomposed(spread_variance)
            self.unseen.zero_()
            self.decomposed_at.copy_(spread_variance)

    @torch.no_grad()
    def eigh(self, spread_variance: Tensor) -> tuple[Tensor, Tensor]:
        def compute() -> tuple[Tensor, Tensor]:
            return eigh_descending(self.covariance(spread_variance))

        return cached_eigh(self, compute, self.second_moment, *([spread_variance] if self.shrinkage > 0.0 else []))

    @torch.no_grad()
    def eigenvalues(self, spread_variance: Tensor) -> Tensor:
        return eigenvalues_descending(self.covariance(spread_variance))

    @torch.no_grad()
    def assign(self, root: Tensor, spread_variance: Tensor) -> None:
        """Take on RRᵀ, as an average that is past its first steps."""
        self.second_moment.copy_(root.double() @ root.double().mT)
        self.rate.fill_(1.0 - self.decay)
        if self.lag > 0.0:
            self.unseen.fill_(1.0)

    @torch.no_grad()
    def average_in(self, moment: Tensor, rate: Tensor, spread_variance: Tensor) -> None:
        """Move the average by a rate of its own towards a moment, (D, D), as a mixture does with each of its pieces."""
        self.second_moment.lerp_(moment, rate.to(moment.dtype))
        self._count(rate)
        self._decompose_if_outdated(spread_variance)

    @torch.no_grad()
    def average_in_products(
        self, left: list[Tensor], right: list[Tensor], rate: Tensor, spread_variance: Tensor
    ) -> None:
        """The same for the moment Σ leftᵀ right of factors (n, D), of which the first are those of each process."""
        if self.is_among_others:
            moment = left[0].mT @ right[0]
            distributed.all_reduce(moment)
            for one, other in zip(left[1:], right[1:], strict=True):
                moment.addmm_(one.mT, other)
            self.second_moment.lerp_(moment, rate.to(moment.dtype))
        else:  # in one product, in place
            share = float(rate)
            self.second_moment.addmm_(torch.cat(left).mT, torch.cat(right), beta=1.0 - share, alpha=share)
        self._count(rate)
        self._decompose_if_outdated(spread_variance)

    @torch.no_grad()
    def observe(self, z: Tensor, spread_variance: Tensor) -> None:
        self._average(z)
        self._decompose_if_outdated(spread_variance)

    @property
    def is_among_others(self) -> bool:
        """Whether the average is that of several processes."""
        return not self._alone and _processes() > 1

    def _average(self, z: Tensor) -> None:
        among_others = self.is_among_others
        if z.device.type == "cpu" and not among_others:  # numbers are at hand, and one product does it all, in place
            z = z.double()
            if validation.all_finite(z):
                before = float(self.rate)
                rate = max(before / (1.0 + before), 1.0 - self.decay)
                average_in(self.second_moment, z, rate)
                self.rate.fill_(rate)
                self._count(self.rate)
            return
        seen = torch.isfinite(z).all()
        moment = second_moment_of(torch.where(seen, z, 0.0))
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
        others = {"lag": self.lag, "shrinkage": self.shrinkage}
        return {"decay": self.decay, **{name: value for name, value in others.items() if value > 0.0}}

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> RunningAverageFactor:
        """As ``nn.Module`` does it, but the average stays in float64, where its flat directions have digits."""
        precise = {name: buffer for name, buffer in self._buffers.items() if name != "rate" and buffer is not None}
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for name, before in precise.items():
            now = getattr(self, name)
            if now.dtype != before.dtype:
                setattr(self, name, before.to(now.device))
        return self


@contextmanager
def averages_of_this_process(module: nn.Module) -> Iterator[None]:
    """Inside, running averages within a module are those of this process, whatever others do."""
    factors = [part for part in module.modules() if isinstance(part, RunningAverageFactor)]
    for factor in factors:
        factor._alone = True
    try:
        yield
    finally:
        for factor in factors:
            factor._alone = False


def _processes() -> int:
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def _mean_over_processes(moment: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """The mean of all processes' moments, weighted by their numbers of latents, and whether there were any."""
    total, count = moment * count, count.clone()
    distributed.all_reduce(total)
    distributed.all_reduce(count)
    return total / count.clamp_min(1), count > 0
